"""Models and tokenizers by name: the builtin one, a folder, a hub id."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from corpus.builtin import BUILTIN, PACKAGES, builtin_folder
from corpus.chat_template import apply_template
from corpus.errors import SetupError
from corpus.privacy import no_telemetry
from corpus.store.identity import content_id, file_id

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from corpus.recipe import EngineSettings, Train

_SAMPLES = 64
_SAMPLE_BYTES = 1 << 16
_WEIGHTS = ("*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "config.json", "adapter_config.json")


class _ChatTokenizer(Protocol):
    def apply_chat_template(self, conversation: object, *, tokenize: bool) -> list[str]: ...


def model_folder(name: str, revision: str | None = None) -> Path | str:
    """Where the model `name` lies: a folder, or a hub id unchanged (whoever loads it downloads `revision`).

    `builtin:NAME` is converted once, under `$SPECMILL_CACHE` or `~/.cache/specmill`; that takes some 30 s and
    270 MB. Any number of processes may ask at once, and one that is killed leaves nothing half-written.

    Raises:
        SetupError: an unknown builtin, its package is not installed, or there is no model in the folder.
    """
    if name.startswith(BUILTIN):
        return builtin_folder(name.removeprefix(BUILTIN))
    if not name.startswith(("/", ".", "~")) and not Path(name).is_dir():
        return name
    folder = Path(name).expanduser()
    if not (folder / "config.json").is_file():
        raise SetupError(
            f"there is no model in {folder}: it has no config.json; name a folder that holds one, a hub id, or "
            f"{BUILTIN}{next(iter(PACKAGES))}"
        )
    return folder


@cache
def model_identity(name: str, revision: str | None = None) -> str:
    """What a brief's identity says of the model: a name, with its revision; of a folder its content, not its place.

    Raises:
        SetupError: `name` is a path, and no model is there.
    """
    if name.startswith(BUILTIN) or not isinstance(folder := model_folder(name), Path):
        return name if revision is None else f"{name}@{revision}"
    return f"{folder.name}@{base_hash(folder)}"


def engine_identity(settings: EngineSettings) -> str:
    """What writes: the model's identity, and that of the adapter it writes with."""
    model = model_identity(settings.model, settings.revision)
    return f"{model}+{model_identity(settings.adapter)}" if settings.adapter else model


def request_options(settings: EngineSettings) -> dict[str, object]:
    """What every request has besides its own, and so is a part of what makes a reply; a server gets it in the body."""
    templated = {"chat_template_kwargs": dict(settings.template_options)} if settings.template_options else {}
    return {**(settings.options if settings.kind == "openai" else {}), **templated}


def tokenizer_hash(name: str, revision: str | None = None) -> str | None:
    """Hash of a tokenizer's file; None where there is none on this machine (of a hub id the revision says which)."""
    try:
        file = Path(model_folder(name, revision)) / "tokenizer.json"
    except SetupError:
        return None
    return file_id(file) if file.is_file() else None


def base_hash(folder: Path) -> str:
    """Identity of a base model for manifests: its config and indexes whole, its weights by size and by samples.

    The samples are blocks spread over each file: any fine-tuning of a layer they meet shows, and 65 GB take no longer
    than 1.
    """
    files = sorted({path for pattern in _WEIGHTS for path in folder.glob(pattern)})
    return content_id(
        "base", *((path.name, file_id(path) if path.suffix == ".json" else _samples_id(path)) for path in files)
    )


def _samples_id(path: Path) -> str:
    size = path.stat().st_size
    with path.open("rb") as file:
        digest = hashlib.blake2b(digest_size=16)
        for number in range(_SAMPLES):
            file.seek(number * max(0, size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return content_id("samples", size, digest.hexdigest())


def token_counter(
    name: str, revision: str | None = None, trust_remote_code: bool = False
) -> Callable[[Sequence[str]], list[int]]:
    """A function from texts to their numbers of tokens, without special tokens; a batch runs on all cores.

    What looks like a special token is counted as the characters it is, as training reads it.

    Raises:
        SetupError: the model or its tokenizer is not there.
    """
    return _counter(_tokenizer(name, revision, trust_remote_code, reads_special=False))


def chat_token_counter(train: Train) -> Callable[[Sequence[Sequence[Mapping[str, str]]]], list[int]]:
    """A function from chats (messages with `role` and `content`) to their tokens, under the template they train in.

    Imports transformers, whose rendering of templates training uses too.

    Raises:
        SetupError: the model or its tokenizer is not there, or the recipe's template cannot be used.
    """
    no_telemetry()
    from transformers import AutoTokenizer

    base = (train.model, train.revision, train.trust_remote_code)
    count = _counter(_tokenizer(*base, reads_special=True))
    tokenizer = AutoTokenizer.from_pretrained(
        model_folder(*base[:2]), revision=train.revision, trust_remote_code=train.trust_remote_code
    )
    apply_template(train, tokenizer)
    templated = cast(_ChatTokenizer, tokenizer)

    def count_chats(chats: Sequence[Sequence[Mapping[str, str]]]) -> list[int]:
        conversations = [[dict(message) for message in chat] for chat in chats]
        return count(templated.apply_chat_template(conversations, tokenize=False)) if chats else []

    return count_chats


def _counter(tokenizer: Tokenizer) -> Callable[[Sequence[str]], list[int]]:
    def count(texts: Sequence[str]) -> list[int]:
        return [len(encoding) for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]

    return count


@lru_cache(maxsize=4)
def _tokenizer(name: str, revision: str | None, trust_remote_code: bool, *, reads_special: bool) -> Tokenizer:
    """The Rust tokenizer: straight from `tokenizer.json`, since importing transformers (and torch) takes seconds.

    `reads_special` for text that a chat template wrote, where special tokens are meant.
    """
    from tokenizers import Tokenizer

    folder = model_folder(name, revision)
    file = Path(folder) / "tokenizer.json"
    if file.is_file():
        tokenizer = Tokenizer.from_file(str(file))
        tokenizer.encode_special_tokens = not reads_special
        return tokenizer

    no_telemetry()
    from transformers import AutoTokenizer

    try:
        loaded = AutoTokenizer.from_pretrained(folder, revision=revision, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise SetupError(f"there is no tokenizer for the model '{name}' (revision {revision}): {error}") from None
    tokenizer = cast("Tokenizer", loaded.backend_tokenizer)
    tokenizer.encode_special_tokens = not reads_special
    return tokenizer
