"""The template that chats are counted and trained under, and that is saved with what is trained."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, cast

from corpus.errors import SetupError
from corpus.recipe import Train

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PLAIN = Path(__file__).with_name("plain_chat.jinja")
"""The template of a model that comes without one. A changed file is another base model to checkpoints in folders."""
_NO_OPTIONS = {"true", "false", "none", "messages", "add_generation_prompt"}


def apply_template(train: Train, tokenizer: PreTrainedTokenizerBase) -> None:
    """Give `tokenizer` the template that it trains with: the recipe's, else its own, else the plain one; with options.

    Raises:
        SetupError: `train.chat_template` is not there or empty, or `train.template_options` cannot be written in Jinja.
    """
    template = cast("str | dict[str, str] | None", tokenizer.chat_template)
    options = dict(train.template_options)
    if train.chat_template is not None:
        template = _read(train.chat_template)
    elif not template:
        template, options = _read(PLAIN), {"puts_bos": puts_bos(tokenizer), **options}
    if isinstance(template, dict):
        tokenizer.chat_template = {name: with_options(text, options) for name, text in template.items()}
    else:
        tokenizer.chat_template = with_options(template, options)


def puts_bos(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether a tokenizer of transformers puts a BOS before every text."""
    token_ids = cast("list[int]", tokenizer("a")["input_ids"])
    return tokenizer.bos_token_id is not None and token_ids[0] == tokenizer.bos_token_id


def has_plain_template(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether `apply_template` had to give a tokenizer the plain template."""
    return isinstance(tokenizer.chat_template, str) and tokenizer.chat_template.endswith(_read(PLAIN))


def template_identity(train: Train, folder: Path | str) -> list[str]:
    """What turns chats into text besides the model's own files: nothing where its template is used as it comes.

    Of a hub id, the revision says whether it has a template, without the network.

    Raises:
        SetupError: as `apply_template`.
    """
    text = ""
    if train.chat_template is not None:
        text = _read(train.chat_template)
    elif isinstance(folder, Path) and not _has_template(folder):
        text = _read(PLAIN)
    statements = _statements(train.template_options)
    return [text, *statements] if text or statements else []


def with_options(template: str, options: Mapping[str, object]) -> str:
    """A template that begins by setting `options`, so that whoever renders it needs none; rendered as with them given.

    Raises:
        SetupError: a name that is no identifier, or a value that Jinja has no literal for.
    """
    if not options:
        return template
    above = "\n".join(_statements(options))
    if template[:1].isspace():
        # It is rendered, and "-" would take it away; the one line break after a statement transformers leaves out.
        above = above.removesuffix("-%}") + "%}"
    return f"{above}\n{template}"


def _statements(options: Mapping[str, object]) -> list[str]:
    for name in options:
        if not name.isidentifier() or iskeyword(name) or name in _NO_OPTIONS:
            raise SetupError(f"train.template_options has '{name}', which is no name for a variable of a template")
    return [f"{{%- set {name} = {_literal(name, options[name])} -%}}" for name in sorted(options)]


def _literal(name: str, value: object) -> str:
    """A value as Jinja reads it; its strings know Python's escapes, and end only at their quote."""
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return repr(value)
    if isinstance(value, list):
        return f"[{', '.join(_literal(name, item) for item in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_literal(name, key)}: {_literal(name, item)}' for key, item in value.items())}}}"
    raise SetupError(f"train.template_options.{name} holds {value!r}; give values that JSON has")


def _has_template(folder: Path) -> bool:
    """Whether the tokenizer in a folder has a template: by its files, since importing transformers takes seconds."""
    if (folder / "chat_template.jinja").is_file() or any(folder.glob("additional_chat_templates/*.jinja")):
        return True
    config = folder / "tokenizer_config.json"
    return config.is_file() and bool(json.loads(config.read_text(encoding="utf-8")).get("chat_template"))


def _read(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"train.chat_template, {path}, cannot be read: {error}") from None
    if not text.strip():
        raise SetupError(f"train.chat_template, {path}, is empty; leave the key out to have the tokenizer's own")
    return text
