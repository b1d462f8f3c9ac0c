"""Prose by people that every Python brings along: the documentation of its standard library.

One subject, treated by hundreds of hands since 1990: what a collection on one subject looks like when many people wrote
it. It is technical prose with its own formulas, so no text of ours is measured against literature.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterator, Sequence
from inspect import cleandoc
from itertools import chain
from pathlib import Path

_NO_PROSE = re.compile(r"^\s+\S|^\s*(\*|\||[-=+~]{3}|\d+\.|\.\. )|::|>>>", re.MULTILINE)
"""Indented lines (code, definitions), lists, tables, headings, examples, directives."""
_PLAIN = re.compile(r"[A-Za-z \n,.;:'\"()-]")
_SENTENCE_END = re.compile(r"[.!?]['\")]*\Z")
_MIN_PLAIN_FRACTION = 0.95
"""Share of letters and ordinary punctuation, below which a paragraph is more code than prose (fraction; ours)."""
_LEFT_OUT = {"site-packages", "test", "tests", "idlelib"}


def python_prose(min_words: int) -> list[str]:
    """The prose of each docstring of the standard library, and each paragraph of the language reference in it.

    Args:
        min_words: shorter texts are left out (words).

    Returns:
        Different texts, in a fixed order.
    """
    texts = {text for text in [*_docstrings(), *_topics()] if len(text.split()) >= min_words}
    return sorted(texts)


def whole_paragraphs(min_words: int, max_words: int, packages: Sequence[str] = ()) -> list[str]:
    """Paragraphs that end as a sentence does: of the language reference and, where named, of installed packages.

    Args:
        min_words: shorter paragraphs are left out (words).
        max_words: longer ones, too (words).
        packages: whose docstrings are read besides; `stdlib` is Python's own library.

    Returns:
        Different paragraphs, in a fixed order for the same versions of the packages.
    """
    site = Path(sysconfig.get_path("purelib"))
    roots = [Path(sysconfig.get_path("stdlib")) if name == "stdlib" else site / name for name in packages]
    texts = {text for text in [*_topics(), *chain.from_iterable(map(_docstrings, roots))] if _SENTENCE_END.search(text)}
    return sorted(text for text in texts if min_words <= len(text.split()) <= max_words)


def _docstrings(root: Path | None = None) -> Iterator[str]:
    root = root or Path(sysconfig.get_path("stdlib"))
    for file in root.rglob("*.py"):
        if not _LEFT_OUT & set(file.relative_to(root).parts):
            tree = ast.parse(file.read_bytes())
            for node in ast.walk(tree):
                if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    yield " ".join(_prose(ast.get_docstring(node, clean=False) or ""))


def _topics() -> Iterator[str]:
    from pydoc_data.topics import topics

    for topic in topics.values():
        yield from _prose(topic)


def _prose(text: str) -> Iterator[str]:
    """The paragraphs that are prose, each on one line."""
    for paragraph in re.split(r"\n\s*\n", cleandoc(text)):
        is_plain = len(_PLAIN.findall(paragraph)) >= _MIN_PLAIN_FRACTION * len(paragraph)
        if paragraph and is_plain and not _NO_PROSE.search(paragraph):
            yield " ".join(paragraph.split())
