"""Files that are not what they should be: each gets one message that names file and row, and nothing is lost."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from corpus import import_files, imports
from corpus.errors import DataError
from corpus.imports import ImportReport, import_rows
from corpus.inspect.sql import run_sql
from corpus.recipe import Imports
from corpus.store import WritingStore, open_reader, open_writer

GOOD = json.dumps({"text": "A text that says something."}) + "\n"


def lengths(texts: Sequence[str]) -> list[int]:
    return [len(text) for text in texts]


def chat_lengths(chats: Sequence[Sequence[Mapping[str, str]]]) -> list[int]:
    return [len(chat) for chat in chats]


def imported(folder: Path, *files: Path, **settings: object) -> ImportReport:
    with open_writer(folder / "run") as store:
        return import_rows(store, files, "set", lengths, chat_lengths, Imports.model_validate(settings))


def refusal(folder: Path, *files: Path, **settings: object) -> str:
    """What an import that must be refused says; nothing of it may stay."""
    with pytest.raises(DataError) as refused:
        imported(folder, *files, **settings)
    for table in ("documents", "chats", "rejected"):
        assert list((folder / "run" / table).iterdir()) == []
    return str(refused.value)


def rows_of(folder: Path, sql: str) -> list[dict[str, object]]:
    return open_reader(folder / "run").rows(sql)


def texts_of(folder: Path) -> list[object]:
    return [row["text"] for row in rows_of(folder, "SELECT text FROM documents ORDER BY source, text")]


def written(folder: Path, name: str, content: str | bytes | pa.Table) -> Path:
    file = folder / name
    if isinstance(content, pa.Table):
        pq.write_table(content, file)
    else:
        file.write_bytes(content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content)
    return file


BAD_ROWS: dict[str, tuple[str, str | bytes | pa.Table, str, str]] = {
    "wrong columns": ("a.parquet", pa.table({"body": ["x"], "url": ["y"]}), "a.parquet:1: nothing in a known form",
                      "['body', 'url']"),
    "a wrong type": ("a.parquet", pa.table({"text": [7]}), "a.parquet:1: a text that is no text", "`text` is 7"),
    "bytes": ("a.parquet", pa.table({"text": [b"bytes"]}), "a.parquet:1: a text that is no text", "cast the column"),
    "a null": ("a.parquet", pa.table({"text": ["x", None]}), "a.parquet:2: no text", "null"),
    "an empty text": ("a.parquet", pa.table({"text": ["x", " \n"]}), "a.parquet:2: an empty text", r"' \n'"),
    "an empty text in JSON": ("a.jsonl", GOOD + '{"text": ""}\n', "a.jsonl:2: an empty text", "''"),
    "a date of no calendar": (
        "a.parquet", pa.table({"text": ["x", "y"], "when": pa.array([0, 10**15], pa.timestamp("s"))}),
        "a.parquet:2: a value that cannot be read", "too large"),
    "a bad line": ("a.jsonl", GOOD + "{oops\n" + GOOD, "a.jsonl:2: not JSON", "line 1 column 2"),
    "a last line that was cut off": ("a.jsonl", GOOD + GOOD[:15], "a.jsonl:2: not JSON", "Unterminated"),
    "no object": ("a.jsonl", "[1, 2]\n", "a.jsonl:1: no JSON object", "[1, 2]"),
    "Latin-1": ("a.jsonl", b'{"text": "caf\xe9"}\n', "a.jsonl:1: not UTF-8", "byte 0xe9 at position 13"),
    "UTF-16": ("a.jsonl", GOOD.encode("utf-16"), "a.jsonl:1: not UTF-8", "byte 0xff"),
    "half a character": ("a.jsonl", '{"text": "half \\ud800 of it"}\n', "a.jsonl:1: half a character", "surrogates"),
    "half a character in a name": ("a.jsonl", '{"text": "x", "\\ud800": 1}\n', "a.jsonl:1: half a character", ""),
    "a NUL": ("a.jsonl", GOOD + '{"text": "nil \\u0000 here"}\n', "a.jsonl:2: a NUL character", "character 4"),
    "JSON without a bottom": ("a.jsonl", '{"text": "x", "v": ' + "[" * 50_000 + "]" * 50_000 + "}\n",
                              "a.jsonl:1: not JSON", "recursion"),
    "lists without a bottom": ("a.jsonl", '{"text": "x", "v": ' + "[" * 900 + "]" * 900 + "}\n",
                               "a.jsonl:1: nested too deeply", ""),
    "turns without a bottom": ("a.jsonl", '{"messages": ' + "[" * 900 + "]" * 900 + "}\n", "a.jsonl:1: ", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_ROWS)
def test_a_bad_row_is_named_by_file_and_line_with_the_value_seen(tmp_path: Path, case: str) -> None:
    name, content, place, seen = BAD_ROWS[case]
    message = refusal(tmp_path, written(tmp_path, name, content))
    assert message.startswith(place)
    assert seen in message
    assert "imports.skip_bad" in message


@pytest.mark.parametrize("case", BAD_ROWS)
def test_the_recipe_may_ask_for_the_rest_and_the_bad_row_is_kept_apart(tmp_path: Path, case: str) -> None:
    name, content, place, _ = BAD_ROWS[case]
    beside = written(tmp_path, "beside.jsonl", GOOD)
    report = imported(tmp_path, written(tmp_path, name, content), beside, skip_bad=True)
    row, *more = run_sql(tmp_path / "run", "rejected").table.to_pylist()
    assert sum(bad.num_rows for bad in report.tally.bad.values()) == 1 + len(more)
    assert f"{row['source']}: {row['detail']}".startswith(place)
    assert row["detail"].startswith(row["reason"])
    assert "A text that says something." in texts_of(tmp_path)
    # importing again adds neither a document nor a rejection
    assert imported(tmp_path, tmp_path / name, beside, skip_bad=True).documents == 0
    assert len(rows_of(tmp_path, "FROM rejected")) == 1 + len(more)


def test_a_rejected_row_shows_how_it_begins_with_nothing_that_a_terminal_obeys(tmp_path: Path) -> None:
    lines = GOOD + "\x1b[2J oops " + "x" * 500 + "\n" + '{"text": null, "note": "' + "y" * 500 + '"}\n'
    imported(tmp_path, written(tmp_path, "a.jsonl", lines), skip_bad=True)
    first, second = rows_of(tmp_path, "SELECT reason, excerpt FROM rejected ORDER BY source")
    assert str(first["excerpt"]).startswith(r"\x1b[2J oops xxx")
    assert str(second["excerpt"]).startswith("{'note': 'yyy")
    assert max(len(str(row["excerpt"])) for row in (first, second)) <= 200


def test_equal_bad_rows_are_a_row_each(tmp_path: Path) -> None:
    imported(tmp_path, written(tmp_path, "a.jsonl", GOOD + "oops\n" * 3), skip_bad=True)
    assert [row["source"] for row in rows_of(tmp_path, "FROM rejected ORDER BY source")] == [
        "a.jsonl:2", "a.jsonl:3", "a.jsonl:4",
    ]  # fmt: skip


READABLE: dict[str, tuple[str, str | bytes | pa.Table]] = {
    "large strings": ("a.parquet", pa.table({"text": pa.array(["one", "two"], pa.large_string())})),
    "a dictionary": ("a.parquet", pa.table({"text": pa.array(["one", "two"]).dictionary_encode()})),
    "string views": ("a.parquet", pa.table({"text": pa.array(["one", "two"], pa.string_view())})),
    "a byte-order mark in files that were joined": (
        "a.jsonl", b"\xef\xbb\xbf" + b'{"text": "one"}\n' + b"\xef\xbb\xbf" + b'{"text": "two"}\n'),
    "line ends of Windows, blank lines, none at the end": ("a.ndjson", '{"text": "one"}\r\n\r\n \r\n{"text": "two"}'),
    "gzip": ("a.jsonl.gz", gzip.compress(b'{"text": "one"}\n') + gzip.compress(b'{"text": "two"}\n')),
    "Zstandard": ("a.jsonl.zst", pa.compress(b'{"text": "one"}\n{"text": "two"}\n', "zstd", asbytes=True)),
}  # fmt: skip


@pytest.mark.parametrize("case", READABLE)
def test_what_is_only_written_another_way_is_read(tmp_path: Path, case: str) -> None:
    name, content = READABLE[case]
    imported(tmp_path, written(tmp_path, name, content))
    assert texts_of(tmp_path) == ["one", "two"]


def test_turns_that_are_maps_are_turns(tmp_path: Path) -> None:
    turns = [[[("role", "user"), ("content", "Why?")], [("role", "assistant"), ("content", "So.")]]]
    table = pa.table({"messages": pa.array(turns, pa.list_(pa.map_(pa.string(), pa.string())))})
    assert imported(tmp_path, written(tmp_path, "a.parquet", table)).chats == 1


def test_a_label_that_is_no_text_is_kept_beside(tmp_path: Path) -> None:
    imported(tmp_path, written(tmp_path, "a.jsonl", '{"text": "x", "genre": ["memo"], "domain": 3}\n'))
    assert rows_of(tmp_path, "SELECT genre, domain, extra FROM documents") == [
        {"genre": None, "domain": "3", "extra": '{"genre": ["memo"]}'}
    ]


def half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def zeros_inside(data: bytes) -> bytes:
    return data[:8] + bytes(32) + data[40:]


@pytest.mark.parametrize("damage", [half, zeros_inside, lambda _: b"", lambda _: b"no Parquet"])
def test_a_damaged_parquet_file_is_named_and_nothing_of_the_others_stays(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    file = written(tmp_path, "a.parquet", pa.table({"text": ["x" * 50, "y" * 50]}))
    file.write_bytes(damage(file.read_bytes()))
    for settings in ({}, {"skip_bad": True}):
        message = refusal(tmp_path, written(tmp_path, "b.jsonl", GOOD), file, **settings)
        assert "a.parquet is not a whole Parquet file" in message


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_compressed_file_that_was_cut_off_or_is_none_is_named(tmp_path: Path, kind: str) -> None:
    data = (GOOD * 50).encode()
    whole = gzip.compress(data) if kind == "gz" else pa.compress(data, "zstd", asbytes=True)
    for content in (whole[:-6], b"plain words"):
        assert "does not read to its end" in refusal(tmp_path, written(tmp_path, f"a.jsonl.{kind}", content))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.jsonl", "there is no file"),
        ("nothing*.jsonl", "no file matches"),
        ("folder.jsonl", "is a folder; name the files in it"),
        ("rows.csv", "COPY (FROM 'rows.csv') TO 'rows.parquet'"),
        ("rows.json", "COPY (FROM 'rows.json') TO 'rows.parquet'"),
        ("rows.txt.gz", "ends in '.txt.gz'; import takes .jsonl"),
        ("rows", "import takes .jsonl"),
    ],
)
def test_what_is_no_file_to_import_is_refused_before_any_is_read(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    for other in ("rows.csv", "rows.json", "rows.txt.gz", "rows"):
        (tmp_path / other).write_text("text\nsomething\n")
    bad = written(tmp_path, "bad.jsonl", "oops\n")
    assert message in refusal(tmp_path, bad, tmp_path / name)


def test_a_file_named_twice_is_refused_by_whatever_name(tmp_path: Path) -> None:
    file = written(tmp_path, "a.jsonl", GOOD)
    (tmp_path / "b.jsonl").symlink_to(file)
    assert "named twice" in refusal(tmp_path, file, tmp_path / "b.jsonl")


def test_files_without_a_row_are_refused_but_one_of_several_may_be_empty(tmp_path: Path) -> None:
    empty = written(tmp_path, "empty.jsonl", "\n \n")
    none = written(tmp_path, "none.parquet", pa.table({"text": pa.array([], pa.string())}))
    assert "no rows; nothing was imported" in refusal(tmp_path, empty, none)
    assert imported(tmp_path, empty, written(tmp_path, "a.jsonl", GOOD), none).documents == 1


def test_an_id_that_comes_twice_keeps_both_texts_and_a_copy_stays_a_row(tmp_path: Path) -> None:
    first = [{"id": "a", "text": "one"}, {"id": "a", "text": "two"}, {"id": "a", "text": "one"}]
    second = [{"id": "a", "text": "three"}, {"id": "a", "text": "one"}, {"id": "b", "text": "one"}]
    for name, rows, num_added, num_known in (("1.jsonl", first, 3, 0), ("2.jsonl", second, 2, 1)):
        report = imported(tmp_path, written(tmp_path, name, "".join(json.dumps(row) + "\n" for row in rows)))
        assert (report.documents, report.known) == (num_added, num_known)
    assert sorted(map(str, texts_of(tmp_path))) == ["one", "one", "one", "three", "two"]


def test_a_text_over_the_limit_is_refused_by_its_length_and_the_recipe_may_raise_it(tmp_path: Path) -> None:
    file = written(tmp_path, "a.jsonl", GOOD + json.dumps({"text": "x" * 5_000_001}) + "\n")
    message = refusal(tmp_path, file)
    assert "a.jsonl:2: a text of more than 5,000,000 characters: it has 5,000,001" in message
    assert imported(tmp_path, file, max_text_chars=5_000_001).documents == 2
    turns = [{"role": "user", "content": "x" * 30}, {"role": "assistant", "content": "y" * 30}]
    chat = written(tmp_path, "chat.jsonl", json.dumps({"messages": turns}) + "\n")
    with pytest.raises(DataError, match="more than 59 characters: it has 60"):
        imported(tmp_path, chat, max_text_chars=59)


def test_a_line_without_an_end_is_not_read_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_files, "MAX_LINE_BYTES", 64)
    file = written(tmp_path, "a.jsonl", GOOD + "x" * 1000 + "\n" + "y" * 63 + "\n" + GOOD)
    assert imported(tmp_path, file, skip_bad=True).documents == 2
    assert [(row["source"], row["reason"]) for row in rows_of(tmp_path, "FROM rejected ORDER BY source")] == [
        ("a.jsonl:2", "a line of more than 0 MiB"),
        ("a.jsonl:3", "not JSON"),
    ]


def test_parts_are_of_bounded_size_and_what_a_kill_left_out_is_added_by_the_next_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "BATCH_ROWS", 8)
    monkeypatch.setattr(imports, "PART_BYTES", 4_000)
    rows = [{"text": f"{number} " + "word " * 40} for number in range(100)]
    file = written(tmp_path, "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    add_part = WritingStore.add_part
    num_parts = 0

    def dies_at_the_third(self: WritingStore, *arguments: object) -> None:
        nonlocal num_parts
        num_parts += 1
        if num_parts == 3:
            raise KeyboardInterrupt
        add_part(self, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(WritingStore, "add_part", dies_at_the_third)
        with pytest.raises(KeyboardInterrupt):
            imported(tmp_path, file)
    num_left = len(texts_of(tmp_path))
    assert 0 < num_left < 100
    report = imported(tmp_path, file)
    assert (report.documents, report.known) == (100 - num_left, num_left)
    assert len(set(texts_of(tmp_path))) == 100
    sizes = [pq.read_metadata(part).num_rows for part in (tmp_path / "run" / "documents").iterdir()]
    assert max(sizes) <= 32
