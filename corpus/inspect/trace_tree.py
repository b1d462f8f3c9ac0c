"""Shows a trace as a tree. Every text is shown as it is: nothing in it is markup, no control character acts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from corpus.inspect.answers import plain
from corpus.inspect.difference import Change, Difference
from corpus.inspect.look import Row
from corpus.inspect.trace import MAX_ROWS, Trace
from corpus.inspect.visible import shortened, visible

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

_TEXT_CHARS = 600
_PEEK_CHARS = 160
_SHOWN_CHANGES = 12
"""Places where two texts differ that are shown."""
_FEW = 3
"""Rows of one kind that are shown at length; of more, each gets one line."""


@dataclass(frozen=True)
class _Shape:
    """How the rows of one table are shown."""

    title: str
    key: str
    short: tuple[str, ...]
    """Columns that share a line."""
    long: tuple[str, ...] = ()
    """Columns with a line of their own."""


_MADE = _Shape(
    "", "id", ("set", "source", "genre", "question_kind", "reasoning", "num_tokens", "parent_id", "twin_id"),
    ("text", "extra"),
)  # fmt: skip
_BRIEF = _Shape(
    "brief", "brief_id", ("kind", "stance", "genre", "domain", "subdomain", "variant", "model", "seed"),
    ("idea", "sampling", "prompt_hash", "context_hash"),
)  # fmt: skip
_CLAUSE = _Shape("clause", "clause_id", ("label", "authority", "kind", "split"), ("text",))
_CALL = _Shape(
    "call", "call_id",
    (
        "room", "purpose", "outcome", "finish_reason", "attempt", "model", "served_model", "prompt_tokens",
        "completion_tokens", "seconds",
    ),
    ("error", "reply"),
)  # fmt: skip
_SCORE = ("scorer", "name", "value", "label", "evidence")
_VERDICT = ("filter", "outcome", "reason")
_DUPLICATE = ("doc_id", "kind", "survivor_id", "matched_id", "band", "estimated_jaccard", "jaccard")
_MIX = ("mix", "position", "repeat", "shard", "num_tokens")


def render(trace: Trace) -> Tree:
    """The trace as a tree for a rich console."""
    from rich.tree import Tree

    tree = Tree(_line(trace.kind, trace.row_id))
    for fault in trace.faults:
        tree.add(_line("missing here", str(fault)))
    if trace.kind == "clause":
        _add_rows(tree, trace.clauses, _CLAUSE)
    _add_rows(tree, trace.made, _MADE, trace.row_id)
    if trace.num_made > len(trace.made):
        tree.add(_line("and", f"{trace.num_made - len(trace.made)} more documents and chats"))
    _add_rows(tree, trace.briefs, _BRIEF)
    if trace.kind != "clause":
        _add_rows(tree, trace.clauses, _CLAUSE)
    _add_rows(tree, trace.calls, _CALL)
    _add_lines(tree, "scores", trace.scores, _SCORE)
    _add_lines(tree, "verdicts", trace.verdicts, _VERDICT)
    _add_lines(tree, "cluster", trace.duplicates, _DUPLICATE)
    for difference in trace.differences:
        _add_difference(tree, difference)
    _add_lines(tree, "mixes", trace.mixes, _MIX)
    return tree


def _add_rows(tree: Tree, rows: Sequence[Row], shape: _Shape, whole: str = "") -> None:
    """Few rows at length, many as one line each; of a row's relatives only the beginning of the text."""
    if len(rows) > _FEW:
        _add_lines(tree, shape.title or "documents and chats", rows, (shape.key, *shape.short))
        return
    for row in rows:
        branch = tree.add(_line(shape.title or str(row["kind"]), f"{row[shape.key]}{_staleness(row)}"))
        fields = _fields(row, shape.short)
        if fields:
            branch.add(_line("", fields))
        if row.get("path"):
            span = f"characters {row['start_char']} to {row['end_char']} of the spec"
            branch.add(_line("under", f"{' > '.join(cast('list[str]', row['path']))}  ({span})"))
        num_chars = _TEXT_CHARS if shape is not _MADE or row["id"] == whole else _PEEK_CHARS
        for name in shape.long:
            if row.get(name) is not None:
                branch.add(_line(name, shortened(_shown(row[name]), num_chars)))
        for message in cast("list[dict[str, str]] | None", row.get("messages")) or []:
            branch.add(_line(message["role"], shortened(message["content"], num_chars)))


def _add_lines(tree: Tree, title: str, rows: Sequence[Row], names: Sequence[str]) -> None:
    if not rows:
        return
    more = f" (the first {MAX_ROWS})" if len(rows) == MAX_ROWS else ""
    branch = tree.add(_line(title, f"{len(rows)}{more}"))
    for row in rows:
        branch.add(_line("", _fields(row, names) + _staleness(row)))


def _add_difference(tree: Tree, found: Difference) -> None:
    """The first changes, each on a line: [-this row's words-] {+the other's+}, with what stands around them."""
    part = "matched and survivor" if found.is_survivor and found.is_matched else "matched"
    branch = tree.add(_line(f"differs from {part if found.is_matched else 'survivor'}", found.other_id))
    if found.changes is None:
        branch.add(_line("", "its text is not there"))
        return
    branch.add(_line("", f"{len(found.changes)} places differ" if found.changes else "no word differs"))
    for change in found.changes[:_SHOWN_CHANGES]:
        branch.add(_change(change))
    if len(found.changes) > _SHOWN_CHANGES:
        branch.add(_line("and", f"{len(found.changes) - _SHOWN_CHANGES} more places"))


def _change(change: Change) -> Text:
    from rich.text import Text

    removed, added = visible(_middle_out(change.removed)), visible(_middle_out(change.added))
    parts: list[tuple[str, str]] = [(f"… {visible(change.before, '')} ", "")]
    parts += [(f"[-{removed}-] ", "red")] if removed else []
    parts += [(f"{{+{added}+}} ", "green")] if added else []
    return Text.assemble(*parts, f"{visible(change.after, '')} …")


def _middle_out(text: str) -> str:
    """A long text by its beginning and end."""
    return text if len(text) <= _PEEK_CHARS else f"{text[: _PEEK_CHARS // 2]} … {text[-_PEEK_CHARS // 2 :]}"


def _fields(row: Row, names: Sequence[str]) -> str:
    shown = [(name, shortened(_shown(row[name]), _PEEK_CHARS)) for name in names if row.get(name) is not None]
    return "  ".join(value if name == "id" else f"{name} {value}" for name, value in shown)


def _staleness(row: Row) -> str:
    return "  (stale: not of the current recipe)" if row["stale"] else ""


def _line(label: str, value: str) -> Text:
    from rich.text import Text

    return Text.assemble((f"{label} " if label else "", "bold"), visible(value))


def _shown(value: object) -> str:
    simple = plain(value)
    return f"{simple:.6g}" if isinstance(simple, float) else str(simple)
