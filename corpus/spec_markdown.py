"""Cuts Markdown into blocks, each with its exact place in the source.

A line scanner of our own: Markdown libraries give lines where a clause needs characters. One pass, linear in
the source. It leaves CommonMark where a spec would lose rules by it: a fence that is never closed opens
nothing, indented text is no code, and a paragraph that ends in a full stop is no heading, whatever dashes are
under it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from corpus.spec_lines import (
    ADMONITION,
    ALERT,
    EN_DASH,
    FOOTNOTE,
    FRONT_MATTER_KEY,
    HEADING,
    HTML_TAGS,
    LINK_DEFINITION,
    QUOTE,
    Marker,
    is_break,
    is_delimiter_row,
    is_underline,
    match_fence,
    match_marker,
    read_lines,
)

BlockRole = Literal[
    "admonition",
    "break",
    "comment",
    "fence",
    "fence-marker",
    "footnote",
    "front-matter",
    "heading",
    "html",
    "item",
    "link-definition",
    "paragraph",
    "quote",
    "table-marker",
    "table-row",
]

_OPENERS: tuple[tuple[re.Pattern[str], BlockRole], ...] = (
    (ADMONITION, "admonition"),
    (ALERT, "admonition"),
    (QUOTE, "quote"),
    (FOOTNOTE, "footnote"),
    (LINK_DEFINITION, "link-definition"),
    (HTML_TAGS, "html"),
)


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its mark (`-`, `!!! note`, `>`) is `source[outer:start]`, its text `source[start:end]`."""

    role: BlockRole
    outer: int
    start: int
    end: int
    indent: int
    """Columns in front of the block."""
    level: int = 0
    """Of a heading: 1 to 6."""
    name: str = ""
    """A heading's title, an admonition's type, an item's number or id, a footnote's name."""
    is_named: bool = False
    """Of an item: it carries an id that its author gave it (SP1), more than a number in a list."""


def read_blocks(source: str) -> list[Block]:
    """The blocks in order; between them, and between a mark and its text, is only white space."""
    return list(_Scanner(source).blocks())


class _Scanner:
    def __init__(self, source: str) -> None:
        self.source = source
        self.lines = read_lines(source)
        self.at = 0
        self.comment_end = -2  # end of the last `-->` looked up; -1: there are no more
        self.closers = {"`": self._closers("`"), "~": self._closers("~")}
        self.readers: dict[BlockRole, Callable[[], Block]] = {
            "admonition": self._admonition,
            "comment": self._comment,
            "fence": self._fence,
            "footnote": self._footnote,
            "heading": self._heading,
            "item": self._item,
            "paragraph": self._paragraph,
            "quote": self._quote,
        }

    def _closers(self, mark: str) -> list[int]:
        """For each line, the length of the longest closing fence of `mark` from that line on."""
        longest = [0] * (len(self.lines) + 1)
        for i in range(len(self.lines) - 1, -1, -1):
            longest[i] = max(longest[i + 1], self._mark_count(i, mark))
        return longest

    def blocks(self) -> Iterator[Block]:
        if last := self._last_of_front_matter():
            yield self._take("front-matter", last)
        while self.at < len(self.lines):
            role = self._role(self.at)
            if role == "table-marker":
                yield from self._table()
            elif read := self.readers.get(role):
                yield read()
            else:
                yield self._take(role, self.at)

    def _role(self, i: int) -> BlockRole:
        """The block that line `i` opens; a paragraph if it opens nothing else."""
        line = self.lines[i]
        if line.text.startswith("<!--") and self._last_of_comment(i) >= i:
            return "comment"
        if fence := match_fence(line.text):
            return "fence" if self.closers[fence[0]][i + 1] >= len(fence) else "fence-marker"
        if line.indent < 4 and HEADING.match(line.text):
            return "heading"
        if is_break(line.text):
            return "break"
        for pattern, role in _OPENERS:
            if pattern.match(line.text):
                return role
        if "|" in line.text and (row := self._row_role(i)):
            return row
        return "item" if match_marker(line.text) else "paragraph"

    def _row_role(self, i: int) -> BlockRole | None:
        if i + 1 < len(self.lines) and self._goes_on(i + 1) and is_delimiter_row(self.lines[i + 1].text):
            return "table-marker"
        text = self.lines[i].text
        return "table-row" if len(text) > 1 and text[0] == text[-1] == "|" else None

    def _take(self, role: BlockRole, last: int) -> Block:
        """The block from the current line through line `last`, whole."""
        first = self.lines[self.at]
        self.at = last + 1
        return Block(role, first.start, first.start, self.lines[last].end, first.indent)

    def _last_of_front_matter(self) -> int:
        """The last line of the YAML that the source opens with; 0 if it opens with none."""
        texts = [line.text for line in self.lines[:2]]
        if len(texts) < 2 or texts[0] != "---" or not FRONT_MATTER_KEY.match(texts[1]):
            return 0
        for i, line in enumerate(self.lines[1:], start=1):
            if line.text in ("---", "..."):
                return i
            if not (line.indent or line.text[0] in "#-" or FRONT_MATTER_KEY.match(line.text)):
                return 0
        return 0

    def _fence(self) -> Block:
        fence = match_fence(self.lines[self.at].text)
        last = self.at + 1
        while not self.lines[last].text.startswith(fence) or self._mark_count(last, fence[0]) == 0:
            last += 1
        return self._take("fence", last)

    def _mark_count(self, i: int, mark: str) -> int:
        """The length of the closing fence of `mark` on line `i`; 0 if there is none."""
        text = self.lines[i].text
        return len(text) if text[0] == mark and text == mark * len(text) else 0

    def _table(self) -> Iterator[Block]:
        yield self._take("table-marker", self.at + 1)
        while self.at < len(self.lines) and self._goes_on(self.at) and "|" in self.lines[self.at].text:
            yield self._take("table-row", self.at)

    def _comment(self) -> Block:
        return self._take("comment", self._last_of_comment(self.at))

    def _last_of_comment(self, i: int) -> int:
        """Where the comment that opens line `i` ends; -1 if it does not, or text follows it there."""
        begin = self.lines[i].start + len("<!--")
        # Looked up again only beyond the last answer: many openers before one end stay linear.
        if self.comment_end != -1 and self.comment_end < begin + len("-->"):
            found = self.source.find("-->", begin)
            self.comment_end = found + len("-->") if found >= 0 else -1
        if self.comment_end == -1:
            return -1
        last = bisect_left(self.lines, self.comment_end, lo=i, key=lambda line: line.end)
        return last if self.lines[last].end == self.comment_end else -1

    def _admonition(self) -> Block:
        first = self.lines[self.at]
        alert = ALERT.match(first.text)
        opener = alert or ADMONITION.match(first.text)
        assert opener, first
        self.at += 1
        begin = first.start + alert.end() if alert else first.end
        end = first.end
        while self.at < len(self.lines):
            line = self.lines[self.at]
            if alert and (line.after_blank or line.text[0] != ">"):
                break
            if not alert and line.indent < first.indent + 2:
                break
            end = line.end
            self.at += 1
        body = self.source[begin:end]
        lead = body.lstrip("> \t\r\n") if alert else body.lstrip()
        start = end - len(lead)
        return Block("admonition", first.start, start, end, first.indent, name=opener[1].lower())

    def _heading(self) -> Block:
        line = self.lines[self.at]
        hashes = HEADING.match(line.text)
        assert hashes, line
        self.at += 1
        title = line.text[hashes.end() :]
        return Block("heading", line.start, line.start, line.end, line.indent, len(hashes[1]), title)

    def _quote(self) -> Block:
        first = self.lines[self.at]
        end = first.end
        self.at += 1
        while self.at < len(self.lines) and self._goes_on(self.at) and self._role(self.at) == "quote":
            end = self.lines[self.at].end
            self.at += 1
        opener = QUOTE.match(self.source, first.start, end)
        assert opener, first
        return Block("quote", first.start, opener.end(), end, first.indent)

    def _item(self) -> Block:
        first = self.lines[self.at]
        marker = match_marker(first.text)
        assert marker, first
        end = self._end_of_text(marker)
        begin = first.start + marker.num_chars
        start = end - len(self.source[begin:end].lstrip())
        return Block("item", first.start, start, end, first.indent, name=marker.name, is_named=marker.kind == "named")

    def _footnote(self) -> Block:
        first = self.lines[self.at]
        opener = FOOTNOTE.match(first.text)
        assert opener, first
        end = self._end_of_text(None)
        while self.at < len(self.lines) and self.lines[self.at].indent >= first.indent + 2:
            end = self.lines[self.at].end
            self.at += 1
        start = end - len(self.source[first.start + opener.end() : end].lstrip())
        return Block("footnote", first.start, start, end, first.indent, name=opener[1])

    def _paragraph(self) -> Block:
        first = self.lines[self.at]
        below = self.at + 1
        if (
            below < len(self.lines)
            and self._goes_on(below)
            and is_underline(self.lines[below].text)
            and first.indent < 4
            and first.text[-1] not in ".!?:;"
        ):
            level = 1 if self.lines[below].text[0] == "=" else 2
            self.at += 2
            end = self.lines[below].end
            return Block("heading", first.start, first.start, end, first.indent, level, first.text)
        return Block("paragraph", first.start, first.start, self._end_of_text(None), first.indent)

    def _goes_on(self, i: int) -> bool:
        return not self.lines[i].after_blank

    def _end_of_text(self, opener: Marker | None) -> int:
        """Takes the current line and what continues its text, whatever the indent; where it ends."""
        self.at += 1
        while self.at < len(self.lines) and self._goes_on(self.at) and not self._interrupts(opener):
            self.at += 1
        return self.lines[self.at - 1].end

    def _interrupts(self, opener: Marker | None) -> bool:
        """Whether the current line opens a block of its own, though it follows text without a blank line."""
        line = self.lines[self.at]
        role = self._role(self.at)
        if role != "item":
            return role != "paragraph"
        marker = match_marker(line.text)
        assert marker, line
        # A wrapped line may happen to begin with a number ("in\n1984. ...") or a dash that is no bullet.
        if marker.kind == "number":
            return bool(opener) or marker.name == "1" or self.lines[self.at - 1].text[-1] == ":"
        return line.text[0] != EN_DASH or bool(opener)
