"""Walks a spec's blocks under their headings and lists, and makes clauses and segments of them.

Blocks come from `spec_markdown`, judgements about a text from `spec_kinds`; what is here is the context:
which section, which list, which example a block stands in.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal, NamedTuple

from corpus.spec_kinds import (
    ClauseKind,
    ends_in_colon,
    flatten,
    heading_kind,
    is_commentary,
    is_definition,
    is_dialogue,
    is_example_title,
    is_instruction,
    is_title,
    is_turn,
    names_tier,
    only_leads_in,
    read_attributes,
    shorten,
)
from corpus.spec_lines import heading_name
from corpus.spec_markdown import Block, BlockRole, read_blocks
from corpus.store.identity import content_id

SegmentRole = BlockRole | Literal["admonition-marker", "blank", "clause", "lead-in", "marker", "title"]
_LISTED = ("item", "table-marker", "table-row")
_INTRODUCED = (*_LISTED, "paragraph")  # a paragraph only where it is indented
_TIER_LEVEL, _TITLE_LEVEL = 7, 8  # below every heading that has its `#`


@dataclass(frozen=True, slots=True)
class Clause:
    """One rule of a spec, or one piece of what explains its rules."""

    clause_id: str
    """Hash of path, text, and the number of earlier clauses equal in both."""
    ordinal: int
    """Place among the spec's clauses, from 0."""
    path: tuple[str, ...]
    """Headings from the top, then the lead-ins and bullets it stands under."""
    label: str | None
    """The spec's own id: the rule's (SP1), else that of its heading, else its number in a list; `^1` for a
    footnote."""
    authority: str | None
    """As the nearest heading with an `authority` attribute says."""
    kind: ClauseKind
    text: str
    """Exactly `source[start_char:end_char]`."""
    start_char: int
    end_char: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A span of the source and what it is there for."""

    role: SegmentRole
    start_char: int
    end_char: int


class _Section(NamedTuple):
    level: int
    title: str
    label: str | None
    authority: str | None
    kind: ClauseKind | None


class _Frame(NamedTuple):
    """An item or a lead-in, and how far a later block must be indented to stand under it."""

    bullet_indent: int
    number_indent: int
    text_indent: int
    text: str
    name: str
    is_named: bool
    instructs: bool

    def holds(self, block: Block) -> bool:
        if block.role not in _LISTED:
            return block.indent >= self.text_indent
        return block.indent >= (self.number_indent if block.name else self.bullet_indent)


class SpecReader:
    """Reads one source when it is made: `clauses`, and `marks`, the segments but for white space."""

    def __init__(self, source: str) -> None:
        self.clauses: list[Clause] = []
        self.marks: list[Segment] = []
        self._source = source
        self._blocks = read_blocks(source)
        self._sections: list[_Section] = []
        self._frames: list[_Frame] = []
        self._table_header: str | None = None
        self._seen: Counter[tuple[tuple[str, ...], str]] = Counter()
        i = 0
        while i < len(self._blocks):
            i = self._read(i)

    def _read(self, i: int) -> int:
        """Reads block `i`, and the ones after it that belong to it; the number of the next."""
        block = self._blocks[i]
        if block.role not in ("table-marker", "table-row"):
            self._table_header = None
        match block.role:
            case "heading":
                self._mark("heading", block.start, block.end)
                self._open_section(block.level, block.name)
            case "paragraph" | "item":
                return self._read_text(i)
            case "quote":
                self._mark_marker("marker", block)
                text = self._text(block)
                self._add(block, "example" if is_turn(text.lstrip("> ")) else self._kind(block, text))
            case "fence":
                self._add(block, "example")
            case "admonition":
                self._mark_marker("admonition-marker", block)
                self._add(block, "example" if block.name.startswith("example") else "commentary")
            case "footnote":
                self._mark_marker("marker", block)
                self._add_clause((), f"^{block.name}", None, "commentary", block.start, block.end)
            case "table-marker":
                self._mark("table-marker", block.start, block.end)
                header = self._text(block).splitlines()[0]
                self._table_header = " | ".join(cell.strip() for cell in header.strip("| ").split("|"))
            case "table-row":
                self._add(block, self._kind(block, self._text(block)))
            case _:
                self._mark(block.role, block.start, block.end)
        return i + 1

    def _read_text(self, i: int) -> int:
        block = self._blocks[i]
        text = self._text(block)
        below = self._blocks[i + 1] if i + 1 < len(self._blocks) else None
        below_text = self._text(below) if below and below.role == "paragraph" else ""
        self._frames = self._frames_over(block)
        if is_example_title(text):
            return self._add_example(i, text)
        if block.role == "paragraph":
            above_item = below is not None and below.role == "item" and below.indent < block.indent + 2
            if is_title(text, below_text, above_item):
                self._mark("title", block.start, block.end)
                self._open_section(_TIER_LEVEL if names_tier(text) else _TITLE_LEVEL, text)
                return i + 1
            if is_dialogue(text, below_text):
                return self._add_example(i, "")
        self._mark_marker("marker", block)
        frame = self._frame_of(block, text)
        announces = ends_in_colon(text) and below is not None and below.role in _INTRODUCED and frame.holds(below)
        is_lead_in = announces and only_leads_in(text)
        if is_lead_in:
            self._mark("lead-in", block.start, block.end)
        else:
            self._add(block, self._kind(block, text))
        if announces or block.role == "item":
            stand_in = flatten(text) if is_lead_in else shorten(text)
            self._frames.append(frame._replace(text=stand_in, instructs=announces and is_instruction(stand_in)))
        return i + 1

    def _frame_of(self, block: Block, text: str) -> _Frame:
        """The frame, still without its text, of a list under a paragraph or of what is nested in an item."""
        indent = block.indent
        nested = indent + 2 if block.role == "item" else indent
        # Bullets that a numbered rule announces are often not indented: they are its own all the same.
        bullets = indent if block.name and ends_in_colon(text) else nested
        text_indent = max(nested, indent + 1)
        return _Frame(bullets, nested, text_indent, "", block.name, block.is_named, False)

    def _add_example(self, i: int, title: str) -> int:
        """Makes one clause of the example that block `i` opens; the number of the block after it.

        If its title ends in a colon or is one word, the paragraph or list right below belongs to it; then the
        fences, quotes and turns of a dialogue that follow.
        """
        blocks, frame, end = self._blocks, self._frame_of(self._blocks[i], title), i + 1
        self._mark_marker("marker", blocks[i])
        if ends_in_colon(title) or len(title.split()) == 1:
            while end < len(blocks) and blocks[end].role == "item" and frame.holds(blocks[end]):
                end += 1
            if end == i + 1 < len(blocks) and blocks[end].role == "paragraph":
                end += 1
        while end < len(blocks) and self._continues_dialogue(blocks[end]):
            end += 1
        self._add(blocks[i], "example", blocks[end - 1].end)
        return end

    def _continues_dialogue(self, block: Block) -> bool:
        return block.role in ("fence", "quote") or (block.role == "paragraph" and is_turn(self._text(block)))

    def _open_section(self, level: int, raw_title: str) -> None:
        title = raw_title.rstrip()
        bare, attributes = read_attributes(title)
        unclosed = bare.rstrip("#")
        # `## Title ##` closes a heading; `## C#` does not.
        title = flatten(unclosed if unclosed != bare and unclosed.endswith((" ", "\t")) else bare)
        while self._sections and self._sections[-1].level >= level:
            self._sections.pop()
        above = self._sections[-1] if self._sections else _Section(0, "", None, None, None)
        self._frames = []
        self._sections.append(
            _Section(
                level,
                title,
                attributes.get("#") or heading_name(title) or above.label,
                attributes.get("authority") or above.authority,
                heading_kind(title) or above.kind,
            )
        )

    def _kind(self, block: Block, text: str) -> ClauseKind:
        section_kind = self._sections[-1].kind if self._sections else None
        if section_kind:
            return section_kind
        if is_commentary(text):
            return "commentary"
        if is_definition(text):
            return "definition"
        is_rule = block.is_named or is_instruction(text) or any(f.instructs for f in self._frames_over(block))
        return "rule" if is_rule else "value"

    def _frames_over(self, block: Block) -> list[_Frame]:
        """The items and lead-ins that `block` stands under."""
        return list(takewhile(lambda frame: frame.holds(block), self._frames))

    def _label(self, block: Block, frames: list[_Frame]) -> str | None:
        holders = [
            (block.name, block.is_named),
            *((frame.name, frame.is_named) for frame in reversed(frames)),
        ]
        if block.role != "item":
            del holders[0]
        named = next((name for name, is_named in holders if is_named), None)
        section = self._sections[-1].label if self._sections else None
        return named or section or next((name for name, _ in holders if name), None)

    def _add(self, block: Block, kind: ClauseKind, end: int | None = None) -> None:
        """Makes a clause of `block`, up to `end` if more belongs to it; of a text without words, none."""
        text = self._source[block.start : end or block.end]
        if not any(map(str.isalnum, text)):
            if text:
                self._mark("break", block.start, block.end)
            return
        frames = self._frames_over(block)
        titles = [section.title for section in self._sections] + [frame.text for frame in frames]
        if block.role == "table-row" and self._table_header:
            titles.append(self._table_header)
        authority = self._sections[-1].authority if self._sections else None
        path = tuple(filter(None, titles))
        self._add_clause(path, self._label(block, frames), authority, kind, block.start, end or block.end)

    def _add_clause(
        self,
        path: tuple[str, ...],
        label: str | None,
        authority: str | None,
        kind: ClauseKind,
        start: int,
        end: int,
    ) -> None:
        text = self._source[start:end]
        clause_id = content_id("clause", path, text, self._seen[path, text])
        self._seen[path, text] += 1
        self.clauses.append(Clause(clause_id, len(self.clauses), path, label, authority, kind, text, start, end))
        self._mark("clause", start, end)

    def _mark(self, role: SegmentRole, start: int, end: int) -> None:
        self.marks.append(Segment(role, start, end))

    def _mark_marker(self, role: SegmentRole, block: Block) -> None:
        if marker := self._source[block.outer : block.start].rstrip():
            self._mark(role, block.outer, block.outer + len(marker))

    def _text(self, block: Block) -> str:
        return self._source[block.start : block.end]
