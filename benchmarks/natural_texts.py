"""Natural texts that a machine has anyway: documentation, manuals, changelogs, licences, package descriptions, sources.

Many hands wrote them, in many languages, as prose, lists, tables, logs and code: every rule for web pages finds
something to object to. Files are cut into pieces at blank lines.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import re
import sysconfig
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

FOLDERS = (
    "/usr/share/doc", "/usr/share/man", "/usr/share/perl", sysconfig.get_path("stdlib"), sysconfig.get_path("purelib"),
)  # fmt: skip
"""Where Linux and Python keep them, the packages that are installed included."""
_NAMES = re.compile(
    r"\.(txt|md|rst|html?|js|css|json|py|pl|pm|pod|log|[1-8])(\.gz)?$"
    r"|^(METADATA|README|NEWS|AUTHORS|THANKS|TODO|LICENSE|COPYING|copyright|changelog)[^/]*$",
    re.IGNORECASE,
)
_MAX_FILE_BYTES = 400_000
_PIECE_WORDS = (20, 60, 150, 400, 1_000)
"""A piece is as many paragraphs as reach one of these, drawn by its place (words)."""
_PIECES_PER_FILE = 12
_RARE = {
    "bullets": re.compile(r"[ \t]*[-\u2022] ?\w.*"),
    "ellipses": re.compile(r".*\w ?(?:\.\.\.|\u2026)"),
    "short words": re.compile(r"\s*(?:\S{1,3}\s+){5,}\S{1,3}\s*"),
    "lorem ipsum": re.compile(r".*lorem ipsum.*[.!?]", re.IGNORECASE),
    "javascript": re.compile(r".*javascript.*[.!?]", re.IGNORECASE),
    "policy": re.compile(
        r".*(?:terms of use|privacy policy|cookie policy|uses? (?:of )?cookies).*[.!?]", re.IGNORECASE
    ),
    "long words": re.compile(r".*\S{1001}.*"),
}
"""Lines that rare rules look for."""
_LINES_EACH = 400
_PAGES_EACH = 200
_LIST_LINES = 30
_LONG_WORDS = 125_000


def natural_texts(num: int, folders: Iterable[str] = FOLDERS) -> list[str]:
    """`num` different pieces in an order of chance that is always the same; fewer if there are no more."""
    found: dict[str, str] = {}
    for folder in folders:
        for path in sorted(Path(folder).rglob("*")):
            if _NAMES.search(path.name) and path.is_file() and path.stat().st_size <= _MAX_FILE_BYTES:
                for piece in _pieces(path):
                    found[hashlib.blake2b(piece.encode("utf-8"), digest_size=8).hexdigest()] = piece
    return [piece for _, piece in sorted(found.items())[:num]]


def rare_texts(texts: Sequence[str], num_long: int) -> list[str]:
    """Texts for the rules that natural ones hardly break, put together from natural lines.

    Lists of bullets, of lines that trail off and of lines of short words; pieces with a line of another piece at their
    end, which speaks of JavaScript, of cookies or lorem ipsum, or has a very long word; and `num_long` texts of more
    than 100,000 words.
    """
    lines: dict[str, dict[str, None]] = {kind: {} for kind in _RARE}
    for line in (line for text in texts for line in text.splitlines()):
        for kind, pattern in _RARE.items():
            if len(lines[kind]) < _LINES_EACH * _LIST_LINES and pattern.fullmatch(line):
                lines[kind][line] = None
    made: list[str] = []
    for kind in ("bullets", "ellipses", "short words"):
        found = list(lines[kind])
        starts = range(0, max(1, len(found) - _LIST_LINES), max(1, len(found) // _PAGES_EACH))
        made += ["\n".join(found[start : start + _LIST_LINES]) for start in starts]
    for kind in ("lorem ipsum", "javascript", "policy", "long words"):
        found = list(lines[kind])[:_LINES_EACH]
        made += [f"{texts[i % len(texts)]}\n\n{found[i % len(found)]}" for i in range(_PAGES_EACH) if found]
    words = itertools.cycle(texts)
    for _ in range(num_long):
        kept, num_words = [], 0
        while num_words < _LONG_WORDS:
            kept.append(next(words))
            num_words += len(kept[-1].split())
        made.append("\n\n".join(kept))
    return made


def _pieces(path: Path) -> Iterator[str]:
    data = path.read_bytes()
    if path.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError):
            return
    text = data.decode("utf-8", "ignore")
    if path.name.removesuffix(".gz")[-2:-1] == ".":
        text = _without_roff(text)
    elif ".htm" in path.name:
        text = re.sub(r"<[^>]*>", "", text)
    kept: list[str] = []
    num_words = num_pieces = 0
    for paragraph in re.split(r"(\n\s*\n)", text):
        kept.append(paragraph)
        num_words += len(paragraph.split())
        wanted = _PIECE_WORDS[hash_of(path.name, num_pieces) % len(_PIECE_WORDS)]
        if num_words >= wanted:
            piece = "".join(kept)
            if num_pieces < _PIECES_PER_FILE:
                yield piece
            kept, num_words, num_pieces = [], 0, num_pieces + 1
    if num_words >= _PIECE_WORDS[0]:
        yield "".join(kept)


def hash_of(name: str, number: int) -> int:
    """A number that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(f"{name} {number}".encode(), digest_size=4).digest())


def _without_roff(text: str) -> str:
    """A manual page without most of its commands: the lines that begin with a dot, and changes of font."""
    lines = (re.sub(r"\\f.|\\-|\\&", "", line) for line in text.splitlines() if not line.startswith((".\\", "'\\")))
    return "\n".join("" if line == ".PP" else re.sub(r"^\.[A-Z]{1,2} ?", "", line) for line in lines)
