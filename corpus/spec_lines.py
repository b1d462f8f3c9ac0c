"""What one line of Markdown can be: the source cut into lines, and the marks that open a block.

Every pattern is anchored at the line's first character and takes time linear in the line.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

TAB_COLUMNS = 4
EN_DASH = "\u2013"
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")

HEADING = re.compile(r"(#{1,6})(?=\s|$)\s*")
_FENCE = re.compile(r"(`{3,})[^`]*$|(~{3,})")
ADMONITION = re.compile(r"(?:!!!|\?\?\?\+?)\s+([\w-]+)")
ALERT = re.compile(r">\s?\[!([A-Za-z]+)\][+-]?")
QUOTE = re.compile(r">[>\s]*")
FOOTNOTE = re.compile(r"\[\^([^\]\s]+)\]:(?=\s|$)\s*")
LINK_DEFINITION = re.compile(r"\[[^\]\[^][^\]\[]*\]:\s*\S")
HTML_TAGS = re.compile(r"(?:</?[A-Za-z][^<>]*>\s*)+$")
FRONT_MATTER_KEY = re.compile(r"[A-Za-z_][\w-]*\s*:(?:\s|$)")

# The ids that authors give their rules: SP1, GP-2, R3.1, Rule 4.
_ID = (
    r"[A-Z]{1,6}[-_.]?[0-9]{1,4}(?:\.[0-9]+)*[a-z]?"
    r"|(?:Rule|Principle|Article|Policy|Guideline|Clause|Law) [0-9]{1,4}(?:\.[0-9]+)*"
)
_BULLET = re.compile(r"[-*+•◦▪‣\u2013](?=\s|$)\s*")
_NAMED = re.compile(
    rf"(?:\*\*|__)({_ID})[.:)]?(?:\*\*|__)[.:)]?(?:\s+[-\u2013\u2014])?(?:\s+|$)"
    rf"|\[({_ID})\][.:)]?\s+"
    rf"|({_ID})(?:[.:)]|\s+[-\u2013\u2014])(?:\s+|$)"
)
_NAMED_TITLE = re.compile(rf"(?:\*\*|__)?({_ID})(?=[\s.:)(\u2014\u2013-])")
_NUMBER = re.compile(
    r"([0-9]{1,9})[.)](?=\s|$)\s*"
    r"|([0-9]+(?:\.[0-9]+)+)[.)]?\s+(?=[A-Z\"'“\u2018*_`\[])"
    r"|\(?([a-z]|[ivx]{1,4}|[0-9]{1,3})\)\s+"
)


class Line(NamedTuple):
    """A line that is not blank: `text` is the source from `start` to `end`."""

    start: int
    end: int
    indent: int  # columns before `start`
    text: str
    after_blank: bool


class Marker(NamedTuple):
    """The mark that opens an item: a bullet, a number, a rule's id, or a bullet and one of these."""

    kind: Literal["bullet", "number", "named"]
    num_chars: int
    name: str  # the number or id; empty for a bullet


def read_lines(source: str) -> list[Line]:
    """The lines that are not blank. CR, LF or CRLF ends one; a byte order mark is white space."""
    lines: list[Line] = []
    after_blank = True
    for match in _LINE.finditer(source):
        raw = match[0]
        body = raw.lstrip("\ufeff").lstrip() if match.start() == 0 else raw.lstrip()
        text = body.rstrip()
        if text:
            start = match.end() - len(body)
            margin = source[match.start() : start].lstrip("\ufeff")
            lines.append(Line(start, start + len(text), len(margin.expandtabs(TAB_COLUMNS)), text, after_blank))
        after_blank = not text
    return lines


def match_marker(text: str) -> Marker | None:
    """The item that this line opens, if it opens one.

    `**SP1: No lies.** Never ...` is named SP1 though no mark can be cut off in front of its text.
    """
    bullet = _BULLET.match(text)
    num_chars = bullet.end() if bullet else 0
    if named := _NAMED.match(text, num_chars):
        return Marker("named", named.end(), named[named.lastindex or 0])
    if text.startswith(("**", "__"), num_chars) and (title := _NAMED_TITLE.match(text, num_chars)):
        return Marker("named", num_chars, title[1])
    if number := _NUMBER.match(text, num_chars):
        return Marker("number", number.end(), number[number.lastindex or 0])
    return Marker("bullet", num_chars, "") if bullet else None


def match_fence(text: str) -> str:
    """The backticks or tildes that open a fence on this line; empty if none do."""
    match = _FENCE.match(text)
    return (match[1] or match[2]) if match else ""


def heading_name(title: str) -> str:
    """The id that opens a heading (`SP1: Honesty`, `1.2 Honesty`); empty if there is none."""
    if named := _NAMED_TITLE.match(title) or _NAMED.match(title):
        return named[named.lastindex or 0]
    number = _NUMBER.match(title)
    return number[number.lastindex or 0] if number else ""


def is_break(text: str) -> bool:
    """A horizontal rule: three or more of one of `-*_=`, white space between them or not."""
    marks = "".join(text.split())
    return len(marks) >= 3 and marks[0] in "-*_=" and marks == marks[0] * len(marks)


def is_underline(text: str) -> bool:
    """The line under a setext heading."""
    return text[0] in "=-" and text == text[0] * len(text)


def is_delimiter_row(text: str) -> bool:
    """The `| --- | --- |` between the header and the rows of a table."""
    return "|" in text and "-" in text and set(text) <= set("|:- \t")
