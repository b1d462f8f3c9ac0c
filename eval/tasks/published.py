"""Item files as others published them: known by their fields, and read into our own items.

Three schemas, of the sets that came with the paper (arXiv 2605.02087; fields as replicators report them):

- item comparisons: `question` ("Which do you prefer, X or Y?"), `item1`, `item2`, `liked_item`, `disliked_item`
- political opinions: `question` (a stem, "A) ...", "B) ...", and what is asked), `answer` (the letter of the value's
  option), `opinion_area`
- open questions: `question`, `category`, and `id` where there is one

The options are told from the question's text, since both orders of each are asked. Rows of a set without an area are
clusters of their own: an interval then takes them for independent, which is all that such a set can say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from eval.tasks.items import AnyItem, Item, ItemError, PreferenceItem, QuestionItem, refuse_equal_options

_LETTERED = re.compile(
    r"(?P<stem>.*?)\s*(?<![\w.])A\)\s*(?P<a>.+?)\s*(?<![\w.])B\)\s*(?P<b>.+?)(?:\s*\n\s*(?P<ask>[^\n]+\?))?\s*",
    re.DOTALL,
)
WHICH = "Which do you prefer?"
"""What is asked where the options are all that a question says."""
_ASK = re.compile(r"(?P<b>.*[.!\"'])\s+(?P<ask>(?:Which|What)\b[^?]*\?)", re.DOTALL)


_NAMES: Mapping[type[Item], str] = {
    PreferenceItem: "forced choices (preference)", QuestionItem: "open questions (spec_qa)",
}  # fmt: skip


def read_published(path: Path | None, kind: type[AnyItem]) -> list[AnyItem] | None:
    """The items of a file whose first row has the fields of a published set; None where it has others, or no file.

    Raises:
        ItemError: a row that is not of its set's form (the message names file, line and field), or a set whose items
            are not of this kind.
    """
    rows = _rows(path) if path else []
    if not rows:
        return None
    fields = set(rows[0][1])
    read = next((read for schema, read in _SCHEMAS.items() if fields >= schema), None)
    if read is None or "item_id" in fields:
        return None
    items = [read(row, f"{path}, line {number}", number) for number, row in rows]
    seen: dict[str, int] = {}
    for item, (number, _) in zip(items, rows, strict=True):
        if seen.setdefault(item.item_id, number) != number:
            first = seen[item.item_id]
            raise ItemError(
                f"{path}, line {number}: {item.item_id!r} is already the id of line {first}; give each its own"
            )
    if not isinstance(items[0], kind):
        raise ItemError(
            f"{path}: a published set of {_NAMES[type(items[0])]}, and the task asks for {_NAMES[kind]}; name it in a "
            "task of the other kind"
        )
    return [item for item in items if isinstance(item, kind)]


def _rows(path: Path) -> list[tuple[int, Mapping[str, object]]]:
    """The rows with their line numbers; none where a line is no object, which our own loader then says."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
        read = [(number, json.loads(line)) for number, line in enumerate(lines, 1) if line.strip()]
    except (OSError, ValueError):
        return []
    return read if all(isinstance(row, dict) for _, row in read) else []


def _comparison(row: Mapping[str, object], place: str, number: int) -> PreferenceItem:
    liked, disliked = (_text(row, name, place) for name in ("liked_item", "disliked_item"))
    refuse_equal_options([liked, disliked], place, f"row {number}")
    question = _text(row, "question", place)
    ask = WHICH
    for one, other in ((liked, disliked), (disliked, liked)):
        first, last = _places(one, question), _places(other, question)
        if first and last and first[0] < last[-1]:
            ask = question[: first[0]].rstrip(" ,:") + "?"
            break
    return PreferenceItem(
        item_id=str(row.get("id") or f"row-{number:04d}"),
        cluster=str(row.get("domain") or row.get("category") or f"row-{number:04d}"),
        question=ask,
        aligned=liked,
        other=disliked,
    )


def _places(option: str, question: str) -> list[int]:
    """Where a question names an option: as whole words, not inside others."""
    named = re.finditer(rf"(?<!\w){re.escape(option)}(?!\w)", question, re.IGNORECASE)
    return [found.start() for found in named]


def _opinion(row: Mapping[str, object], place: str, number: int) -> PreferenceItem:
    question, answer = _text(row, "question", place), _text(row, "answer", place).strip().rstrip(").").upper()
    if answer not in ("A", "B"):
        raise ItemError(f"{place}, field answer: {row['answer']!r} is neither A nor B; correct the row")
    parts = _LETTERED.fullmatch(question)
    if parts is None:
        raise ItemError(
            f"{place}, field question: holds no 'A) ...' and 'B) ...' (seen: {question[:80]!r}); correct the row"
        )
    second, ask = parts["b"], parts["ask"]
    if ask is None and (behind := _ASK.fullmatch(second)) is not None:
        second, ask = behind["b"], behind["ask"]
    options = {"A": parts["a"].strip(), "B": second.strip()}
    refuse_equal_options(list(options.values()), place, f"row {number}")
    return PreferenceItem(
        item_id=str(row.get("id") or f"row-{number:04d}"),
        cluster=_text(row, "opinion_area", place),
        question=" ".join(filter(None, (parts["stem"].strip(), (ask or WHICH).strip()))),
        aligned=options[answer],
        other=options["B" if answer == "A" else "A"],
    )


def _open_question(row: Mapping[str, object], place: str, number: int) -> QuestionItem:
    return QuestionItem(
        item_id=str(row.get("id") or f"row-{number:04d}"),
        cluster=_text(row, "category", place),
        question=_text(row, "question", place),
    )


def _text(row: Mapping[str, object], name: str, place: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ItemError(f"{place}, field {name}: is {value!r}; it should be a text that is not empty")
    return value


_SCHEMAS: Mapping[frozenset[str], Callable[[Mapping[str, object], str, int], PreferenceItem | QuestionItem]] = {
    frozenset({"question", "liked_item", "disliked_item"}): _comparison,
    frozenset({"question", "answer", "opinion_area"}): _opinion,
    frozenset({"question", "category"}): _open_question,
}
"""The fields by which each set is known, in the order in which they are looked for."""
