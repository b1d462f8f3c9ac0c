"""Imports: the forms that conversations come in, rows that cannot be used, and what a row holds besides."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.conversations import FORMS, BadRow, read_conversation
from corpus.errors import DataError
from corpus.import_files import BATCH_ROWS
from corpus.imports import ImportReport, import_rows
from corpus.recipe import Imports
from corpus.store import open_reader, open_writer

Messages = list[dict[str, str]]
WORDS = st.text(min_size=1).filter(str.strip)
EXCHANGES = st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=3)
SHAREGPT = {"system": "system", "user": "human", "assistant": "gpt"}


def conversation(system: str | None, exchanges: Sequence[tuple[str, str]]) -> Messages:
    said: Messages = [] if system is None else [{"role": "system", "content": system}]
    for asked, answered in exchanges:
        said += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
    return said


def as_listed(messages: Messages) -> dict[str, object]:
    return {"messages": messages}


def as_sharegpt(messages: Messages) -> dict[str, object]:
    return {"conversations": [{"from": SHAREGPT[turn["role"]], "value": turn["content"]} for turn in messages]}


def as_parts(messages: Messages) -> dict[str, object]:
    return {"messages": [turn | {"content": [{"type": "text", "text": turn["content"]}]} for turn in messages]}


def with_a_system_column(row: Mapping[str, object], name: str) -> dict[str, object]:
    column = next(iter(row))
    turns = list(row[column])
    return {column: turns[1:], name: turns[0].get("content", turns[0].get("value"))}


@given(st.none() | WORDS, EXCHANGES)
@pytest.mark.parametrize("write", [as_listed, as_sharegpt, as_parts])
def test_lists_of_turns_are_read_back_as_the_messages_they_were_written_from(
    write: Callable[[Messages], dict[str, object]], system: str | None, exchanges: list[tuple[str, str]]
) -> None:
    messages = conversation(system, exchanges)
    found = read_conversation(write(messages))
    assert found is not None
    assert (found.messages, found.rest) == (messages, {})


@given(WORDS, EXCHANGES)
@pytest.mark.parametrize("name", ["system", "system_prompt"])
def test_a_system_column_is_the_first_turn(name: str, system: str, exchanges: list[tuple[str, str]]) -> None:
    messages = conversation(system, exchanges)
    found = read_conversation(with_a_system_column(as_listed(messages), name))
    assert found is not None
    assert (found.messages, found.rest) == (messages, {})


PAIRS = [form.needs for form in FORMS if len(form.needs) == 2]


@given(asked=WORDS, answered=WORDS, system=st.none() | st.just(" ") | WORDS, rest=st.dictionaries(WORDS, st.integers()))
@pytest.mark.parametrize("columns", PAIRS, ids=" and ".join)
def test_a_pair_is_one_exchange_and_what_stands_beside_it_is_kept(
    columns: tuple[str, str], asked: str, answered: str, system: str | None, rest: dict[str, int]
) -> None:
    beside = {name: value for name, value in rest.items() if not any(name in (*f.needs, *f.may_have) for f in FORMS)}
    beside.pop("system", None), beside.pop("system_prompt", None)
    found = read_conversation({columns[0]: asked, columns[1]: answered, "system": system} | beside)
    assert found is not None
    named = system if system and system.strip() else None
    assert found.messages == conversation(named, [(asked, answered)])
    assert {name: value for name, value in found.rest.items() if name != "system"} == beside


@pytest.mark.parametrize(
    ("columns", "more"), [(("instruction", "output"), "input"), (("instruction", "response"), "context")]
)
def test_what_an_instruction_is_about_stands_below_it(columns: tuple[str, str], more: str) -> None:
    row = {columns[0]: "Translate.", columns[1]: "Wasser"}
    for about, asked in (("water", "Translate.\n\nwater"), ("", "Translate."), (None, "Translate.")):
        found = read_conversation(row | {more: about})
        assert found is not None
        assert found.messages == conversation(None, [(asked, "Wasser")])


def test_prompt_and_completion_may_be_lists_of_turns() -> None:
    messages = conversation("Be brief.", [("Why?", "Because.")])
    found = read_conversation({"prompt": messages[:-1], "completion": messages[-1:]})
    assert found is not None
    assert found.messages == messages


def test_a_system_that_says_nothing_is_no_turn() -> None:
    found = read_conversation({"messages": conversation("", [("Why?", "Because.")])})
    assert found is not None
    assert found.messages == conversation(None, [("Why?", "Because.")])


def test_a_form_with_nothing_in_it_gives_way_to_the_next() -> None:
    found = read_conversation({"messages": None, "conversations": [], "prompt": "Why?", "response": "Because."})
    assert found is not None
    assert found.form.needs == ("prompt", "response")
    assert read_conversation({"prompt": "Why?", "text": "A text with its prompt."}) is None


def turns(*roles: str) -> dict[str, object]:
    return {"messages": [{"role": role, "content": "something"} for role in roles]}


UNUSABLE: dict[str, dict[str, object]] = {
    "no assistant turn": turns("user"),
    "ends with a user turn": turns("user", "assistant", "user"),
    "ends with a tool turn": turns("user", "assistant", "tool"),
    "two user turns in a row": turns("user", "user", "assistant"),
    "two assistant turns in a row": turns("user", "assistant", "assistant"),
    "the role 'developer'": turns("developer", "user", "assistant"),
    "the role None": {"conversations": [{"value": "x"}]},
    "a turn without content": {"prompt": "Why?", "response": " \n"},
    "content that is no text": {"question": "How many?", "answer": 3},
    "a turn that calls a tool": {"messages": [{"role": "assistant", "content": "", "tool_calls": [{"id": "1"}]}]},
    "a turn without role and content": {"messages": ["Why?"]},
    "'messages' is no list of turns": {"messages": "Why?"},
    "nothing in a known form": {"words": "none"},
    "half a character": {"prompt": "Why?", "response": "\ud800"},
}


@pytest.mark.parametrize(("kind", "row"), UNUSABLE.items(), ids=UNUSABLE.keys())
def test_a_row_that_cannot_be_used_is_refused_by_kind_and_line(
    tmp_path: Path, kind: str, row: dict[str, object]
) -> None:
    file = rows_file(tmp_path, [GOOD, row])
    with pytest.raises(DataError, match=r"rows\.jsonl:2: .*--skip-bad") as refused:
        imported(tmp_path, file)
    assert kind in str(refused.value)
    assert stored(tmp_path) == 0
    report = imported(tmp_path, file, skip_bad=True)
    assert {name: tuple(rows) for name, rows in report.tally.bad.items()} == {kind: (1, "rows.jsonl:2")}
    assert (report.chats, stored(tmp_path)) == (1, 1)


GOOD: dict[str, object] = {"prompt": "Why?", "response": "Because."}


def rows_file(folder: Path, rows: Sequence[object], name: str = "rows.jsonl") -> Path:
    file = folder / name
    file.write_text("".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows))
    return file


def imported(folder: Path, *files: Path, skip_bad: bool = False) -> ImportReport:
    with open_writer(folder / "run") as store:
        return import_rows(
            store, files, "mix", lambda texts: [len(text) for text in texts], lambda chats: [len(c) for c in chats],
            Imports(skip_bad=skip_bad),
        )  # fmt: skip


def rows_of(folder: Path, sql: str) -> list[dict[str, object]]:
    return open_reader(folder / "run").rows(sql)


def stored(folder: Path) -> int:
    return len(rows_of(folder, "SELECT doc_id FROM all_documents UNION ALL SELECT chat_id FROM all_chats"))


def test_each_kind_of_bad_row_is_counted_with_its_first_line(tmp_path: Path) -> None:
    rows = [turns("user"), GOOD, "{oops\n", turns("user"), "[1]\n", {"text": "A document."}, "\n", "{oops\n"]
    report = imported(tmp_path, rows_file(tmp_path, rows), skip_bad=True)
    assert {kind: tuple(bad) for kind, bad in report.tally.bad.items()} == {
        "no assistant turn": (2, "rows.jsonl:1"),
        "not JSON": (2, "rows.jsonl:3"),
        "no JSON object": (1, "rows.jsonl:5"),
    }
    assert (report.documents, report.chats, report.known) == (1, 1, 0)
    assert report.tables()[-1][1][0] == {"reason": "no assistant turn", "rows": 2, "first": "rows.jsonl:1"}


def test_a_file_without_one_row_that_can_be_used_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"not one row.*2 x not JSON \(first rows\.jsonl:1\)"):
        imported(tmp_path, rows_file(tmp_path, ["oops\n", "oops\n"]), skip_bad=True)


def test_what_a_row_holds_besides_is_kept_as_json_and_reported(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {
            "id": 7,
            "text": "A document.",
            "genre": "memo",
            "url": "https://example.org",
            "stars": float("nan"),
            "no": None,
        },
        GOOD | {"category": "é", "meta": {"deep": [1, None]}},
        {"messages": [{"role": "user", "content": "a", "name": "Ann"}, {"role": "assistant", "content": "b"}]},
        GOOD,
    ]
    report = imported(tmp_path, rows_file(tmp_path, rows))
    kept = rows_of(
        tmp_path, "SELECT source, extra FROM documents UNION ALL SELECT source, extra FROM chats ORDER BY source"
    )
    assert [None if row["extra"] is None else json.loads(str(row["extra"])) for row in kept] == [
        {"id": 7, "url": "https://example.org", "stars": None},
        {"category": "é", "meta": {"deep": [1, None]}},
        {"messages": [{"name": "Ann"}, {}]},
        None,
    ]
    assert dict(report.tally.extra) == dict.fromkeys(("id", "url", "stars", "category", "meta", "messages"), 1)
    assert rows_of(tmp_path, "SELECT extra->>'url' AS url FROM documents") == [{"url": "https://example.org"}]


def test_a_parquet_file_of_several_batches_is_imported_whole_and_once(tmp_path: Path) -> None:
    rows = [{"question": f"{n}?", "answer": f"{n}.", "level": n} for n in range(2 * BATCH_ROWS + 1)]
    rows[-1] |= {"text": "A column that makes no document of a conversation."}
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    assert imported(tmp_path, file).chats == len(rows)
    again = imported(tmp_path, file)
    assert (again.chats, again.known, stored(tmp_path)) == (0, len(rows), len(rows))
    assert len(list((tmp_path / "run" / "chats").glob("*.parquet"))) == 1
    assert rows_of(tmp_path, "SELECT sum((extra->>'level')::int) AS levels, min(num_tokens) AS least FROM chats") == [
        {"levels": len(rows) * (len(rows) - 1) // 2, "least": 2}
    ]


def test_a_parquet_file_that_ends_early_is_named_and_nothing_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([GOOD]), file)
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"rows\.parquet is not a whole Parquet file"):
        imported(tmp_path, rows_file(tmp_path, [GOOD]), file)
    assert stored(tmp_path) == 0


def test_a_file_that_does_not_read_is_named_and_nothing_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "memory.jsonl"
    file.symlink_to("/proc/self/mem")  # a file that opens, and whose first page does not read
    with pytest.raises(DataError, match=r"memory\.jsonl does not read to its end: .*Input/output error"):
        imported(tmp_path, rows_file(tmp_path, [GOOD]), file)
    assert stored(tmp_path) == 0


def test_a_file_whose_name_is_not_utf_8_is_named_and_nothing_is_imported(tmp_path: Path) -> None:
    file = tmp_path / os.fsdecode(b"b\xff.jsonl")
    file.write_text(json.dumps(GOOD))
    with pytest.raises(DataError, match=r"b\\udcff\.jsonl' is not UTF-8"):
        imported(tmp_path, rows_file(tmp_path, [GOOD]), file)
    assert stored(tmp_path) == 0


def test_a_row_is_refused_by_its_kind_alone() -> None:
    with pytest.raises(BadRow) as refused:
        read_conversation(turns("wizard"))
    assert refused.value.kind == "the role 'wizard'"
