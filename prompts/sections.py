"""What our Markdown files have in common: bytes with a hash, cut into `## ` sections that know their line."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HEADING = "## "


class PromptError(ValueError):
    """A prompt or a genre card, or the values given to one, are not what they should be."""


@dataclass(frozen=True, slots=True)
class Section:
    """The text below one heading, without the blank lines around it."""

    line: int
    """Line in the file, from 1, of the text's first line; the heading's own line where there is no text."""
    text: str


def at(path: Path, line: int, problem: str) -> PromptError:
    """An error that says where it is, as `FILE:LINE: what is wrong`, which most editors can follow."""
    return PromptError(f"{path}:{line}: {problem}")


def read_hashed(path: Path) -> tuple[str, str]:
    """A file's text, with plain newlines for CRLF, and its hash: "b2:" and the blake2b-128 hex of its bytes.

    Raises:
        PromptError: the file cannot be read, or is not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PromptError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise at(path, line, f"byte 0x{data[error.start]:02x} is not UTF-8; save it as UTF-8") from error
    return text.replace("\r\n", "\n"), "b2:" + hashlib.blake2b(data, digest_size=16).hexdigest()


def split_sections(path: Path, text: str, first_line: int, known: Sequence[str]) -> dict[str, Section]:
    """The sections of `text`, which starts at `first_line` of `path`, by title, in the file's order.

    Raises:
        PromptError: text above the first heading, a heading not in `known`, or one that stands twice.
    """
    bodies: dict[str, list[tuple[int, str]]] = {}
    title = ""
    for line, content in enumerate(text.split("\n"), start=first_line):
        if content.startswith(HEADING):
            title = content.removeprefix(HEADING).strip()
            if title not in known:
                raise at(path, line, f"unknown section {title!r}; the sections are {', '.join(known)}")
            if title in bodies:
                raise at(path, line, f"a second section {title!r}; join the two")
            bodies[title] = [(line, "")]
        elif title:
            bodies[title].append((line, content))
        elif content.strip():
            raise at(path, line, f"text above the first section: {content.strip()[:60]!r}; move it into one")
    return {title: _section(body) for title, body in bodies.items()}


def _section(body: list[tuple[int, str]]) -> Section:
    text = "\n".join(content for _, content in body).strip()
    return Section(next((line for line, content in body if content.strip()), body[0][0]), text)
