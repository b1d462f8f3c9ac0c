"""From a row back to what made it."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from corpus.errors import QueryError
from corpus.inspect.look import Look, Row
from corpus.inspect.trace import Trace, trace
from corpus.inspect.trace_tree import render
from corpus.store import open_writer


def first(root: Path, sql: str) -> Row:
    with Look(root) as look:
        return look.rows(f"{sql} LIMIT 1")[0]


def drawn(found: Trace) -> str:
    console = Console(file=io.StringIO(), width=200, force_terminal=True, color_system="truecolor")
    with console.capture() as captured:
        console.print(render(found))
    return captured.get()


def test_a_document_leads_to_its_brief_calls_clause_scores_verdicts_and_mixes(run: Path) -> None:
    row = first(run, "SELECT * FROM documents JOIN mixes USING (doc_id) ORDER BY position")
    found = trace(run, str(row["doc_id"]))
    assert found.kind == "document"
    assert [made["id"] for made in found.made] == [row["doc_id"]]
    assert [brief["brief_id"] for brief in found.briefs] == [row["brief_id"]]
    assert [call["call_id"] for call in found.calls] == [row["call_id"]]
    assert [clause["clause_id"] for clause in found.clauses] == row["clause_ids"]
    assert "words" in [score["name"] for score in found.scores]
    assert found.verdicts[0]["filter"] == "length"
    assert (found.mixes[0]["mix"], found.mixes[0]["shard"]) == ("docs", "00000.parquet")
    text = drawn(found)
    assert str(found.clauses[0]["text"])[:40] in text
    assert f"characters {found.clauses[0]['start_char']} to" in text
    assert str(found.briefs[0]["idea"]) in text


def test_a_duplicate_leads_to_its_survivor_and_what_it_matched(run: Path) -> None:
    row = first(run, "SELECT * FROM duplicates WHERE kind = 'near' AND doc_id <> survivor_id")
    found = trace(run, str(row["doc_id"]))
    assert {member["doc_id"] for member in found.duplicates} == {row["doc_id"], row["survivor_id"]}
    assert "jaccard 0.86" in drawn(found)
    assert str(row["survivor_id"]) in drawn(found)


def test_an_imported_row_leads_to_its_file_and_line(run: Path) -> None:
    row = first(run, "SELECT doc_id FROM documents WHERE source IS NOT NULL")
    found = trace(run, str(row["doc_id"]))
    assert found.briefs == []
    assert "source essays.jsonl:12" in drawn(found)


def test_what_an_imported_row_held_besides_is_shown(run: Path) -> None:
    row = first(run, "SELECT doc_id FROM documents WHERE source IS NOT NULL AND extra IS NOT NULL")
    assert '{"url": "https://example.org/essay"}' in drawn(trace(run, str(row["doc_id"])))


def test_a_chat_shows_its_turns(run: Path) -> None:
    row = first(run, "SELECT chat_id, messages FROM chats")
    found = trace(run, str(row["chat_id"]))
    assert found.kind == "chat"
    assert "What about" in drawn(found)
    assert found.mixes[0]["mix"] == "sft"


def test_a_brief_leads_to_what_was_made_of_it(run: Path) -> None:
    row = first(run, "SELECT * FROM documents WHERE brief_id IS NOT NULL")
    found = trace(run, str(row["brief_id"]))
    assert [made["id"] for made in found.made] == [row["doc_id"]]
    assert [call["call_id"] for call in found.calls] == [row["call_id"]]


def test_a_failed_call_leads_to_its_brief_and_shows_its_reply(run: Path) -> None:
    row = first(run, "SELECT * FROM calls WHERE outcome = 'truncated'")
    found = trace(run, str(row["call_id"]))
    assert found.made == []
    assert [brief["brief_id"] for brief in found.briefs] == [row["item_id"]]
    assert "cut <b>off" in drawn(found)


def test_a_clause_leads_to_all_that_was_written_about_it(run: Path) -> None:
    row = first(run, "SELECT clause_ids[1] AS clause_id, count(*) AS n FROM documents GROUP BY ALL ORDER BY n DESC")
    found = trace(run, str(row["clause_id"]))
    assert found.kind == "clause"
    assert sum(made["kind"] == "document" for made in found.made) == row["n"]
    assert found.num_made == len(found.made)


def test_a_cluster_leads_to_its_members(run: Path) -> None:
    row = first(run, "SELECT cluster_id FROM duplicates WHERE kind = 'exact'")
    found = trace(run, str(row["cluster_id"]))
    assert found.kind == "cluster"
    assert len(found.made) == len(found.duplicates) == 2


@pytest.mark.parametrize("shorten", [lambda row_id: row_id[:12], lambda row_id: row_id.removeprefix("b2:")[:9]])
def test_the_beginning_of_an_id_is_enough(run: Path, shorten: object) -> None:
    row_id = str(first(run, "SELECT doc_id FROM documents")["doc_id"])
    assert callable(shorten)
    assert trace(run, shorten(row_id)).row_id == row_id


def test_a_beginning_that_several_ids_share_lists_them(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(run, root)
    document = first(root, "SELECT * EXCLUDE (stale) FROM all_documents WHERE source IS NOT NULL")
    with open_writer(root) as store:
        for ending in ("0", "1"):
            store.writer("corpus").append({"documents": [document | {"doc_id": f"b2:facade{ending}"}]})
    with pytest.raises(QueryError, match=r"2 ids begin with facade(.|\n)*b2:facade0  document\n  b2:facade1  document"):
        trace(root, "facade")
    assert trace(root, "facade1").row_id == "b2:facade1"


@pytest.mark.parametrize(
    ("row_id", "said"),
    [
        ("0000000000000000", "no row of filled"),
        ("b2:00", "too short"),
        ("not an id", "is no id"),
        ("'; --", "is no id"),
    ],
)
def test_what_is_no_id_of_the_run_is_said(run: Path, row_id: str, said: str) -> None:
    with pytest.raises(QueryError, match=said):
        trace(run, row_id)


def test_stale_rows_are_found_and_named_so(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(run, root)
    row_id = str(first(root, "SELECT doc_id FROM documents WHERE brief_id IS NOT NULL")["doc_id"])
    assert "stale" not in drawn(trace(root, row_id))
    with open_writer(root) as store:
        store.writer("corpus").set_current("briefs", {"all": "another pass"})
    assert "stale: not of the current recipe" in drawn(trace(root, row_id))


def test_text_of_a_model_is_never_markup_nor_control(run: Path) -> None:
    row_id = str(first(run, "SELECT doc_id FROM documents WHERE text LIKE '<script%'")["doc_id"])
    text = drawn(trace(run, row_id))
    assert "[bold red]loud[/bold red] \\x1b[31mred\\x00 \\u202eright" in text
    assert "\x1b[31m" not in text
    assert "\u202e" not in text


def test_an_id_in_a_part_that_does_not_read_back_is_not_called_unknown(run: Path, tmp_path: Path) -> None:
    root = tmp_path / "run"
    shutil.copytree(run, root)
    first, _ = sorted((root / "documents").glob("*.parquet"))
    doc_id = pq.read_table(first)["doc_id"][0].as_py()
    first.write_bytes(first.read_bytes()[:-20])
    with pytest.raises(QueryError, match=f"some do not read back: .*{first.name}"):
        trace(root, doc_id)
