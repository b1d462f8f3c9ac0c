"""Named queries and the report's figures beside counting by hand, on small runs that hold the awkward cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from fakes.rows import row

from corpus.inspect.look import Look
from corpus.inspect.report_beside import beside
from corpus.inspect.report_texts import SAMPLE_DOCUMENTS, diversity, pairs
from corpus.inspect.sql import run_sql
from corpus.store import open_writer
from corpus.store.schema import TABLES

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a run from rows by table; those that carry a hash get one that is current."""

    def make(name: str = "run", **tables: Sequence[Mapping[str, object]]) -> Path:
        root = tmp_path / name
        with open_writer(root) as store:
            for table, rows in tables.items():
                writer = store.writer(TABLES[table].writers[0])
                if "pass_hash" in TABLES[table].schema.names:
                    made = pa.Table.from_pylist([{**one, "pass_hash": "p"} for one in rows], TABLES[table].schema)
                    writer.commit(table, "p", made)
                    writer.set_current(table, {"all": "p"})
                else:
                    writer.append({table: [dict(one) for one in rows]})
        return root

    return make


def curate(root: Path, dropped: Sequence[str], *, lost: Mapping[str, str] | None = None) -> None:
    """One filter drops some rows of a run and keeps the others; some give way to a duplicate."""
    with open_writer(root) as store:
        ids = [
            one["id"] for one in store.rows("SELECT doc_id AS id FROM documents UNION ALL SELECT chat_id FROM chats")
        ]
        writer = store.writer("filters")
        writer.append({
            "verdicts": [
                row("verdicts", doc_id=one, filter="f", outcome="drop" if one in dropped else "keep", filter_hash="h")
                for one in ids
            ]
        })  # fmt: skip
        members = {**(lost or {}), **{survivor: survivor for survivor in (lost or {}).values()}}
        rows = [
            row("duplicates", doc_id=one, survivor_id=survivor, cluster_id=survivor, kind="exact", pass_hash="d")
            for one, survivor in members.items()
        ]
        writer.commit("duplicates", "d", pa.Table.from_pylist(rows, TABLES["duplicates"].schema))
        writer.set_current("duplicates", {"all": "d"})
        writer.set_current("verdicts", {"f": "h", "@unjudged": "drop"})


def documents(num: int, text: Callable[[int], str] = str, **more: object) -> list[dict[str, object]]:
    return [row("documents", doc_id=f"d{n}", set="s", text=text(n), num_tokens=1, **more) for n in range(num)]


def test_coverage_tells_curated_from_written(write: Write) -> None:
    briefs = [row("briefs", brief_id=f"b{n}", kind="document", clause_ids=["c"], genre="g") for n in range(5)]
    written = [row("documents", doc_id=f"d{n}", brief_id=f"b{n}", clause_ids=["c"], genre="g") for n in range(4)]
    imported = [row("documents", doc_id="web", clause_ids=["c"], genre="g")]
    clause = row("clauses", clause_id="c", ordinal=0, path=["C"], kind="rule", split="train")
    root = write(clauses=[clause], briefs=briefs, documents=written + imported)
    curate(root, ["d0"], lost={"d1": "d2"})
    [found] = run_sql(root, "coverage").table.to_pylist()
    assert (found["briefs"], found["documents"], found["curated"]) == (5, 4, 2)


def test_a_clause_is_starved_when_nothing_of_it_is_curated_and_not_before(write: Write) -> None:
    briefs = [row("briefs", brief_id=f"b{n}", kind="document", clause_ids=[f"c{n // 2}"]) for n in range(4)]
    clauses = [row("clauses", clause_id=f"c{n}", ordinal=n, path=["C"], kind="rule", split="train") for n in range(2)]
    written = [row("documents", doc_id=f"d{n}", brief_id=f"b{n}", clause_ids=[f"c{n // 2}"]) for n in range(4)]
    root = write(clauses=clauses, briefs=briefs, documents=written)
    curate(root, ["d0", "d2", "d3"])
    assert [one["clause_id"] for one in run_sql(root, "starved_clauses").table.to_pylist()] == ["c1"]


def test_the_funnel_counts_preferences_among_the_chats_that_were_asked_for(write: Write) -> None:
    kinds = ("document", "chat", "preference", "preference")
    root = write(briefs=[row("briefs", brief_id=kind + str(n), kind=kind) for n, kind in enumerate(kinds)])
    [asked] = [one for one in run_sql(root, "funnel").table.to_pylist() if one["step"] == "briefs"]
    assert (asked["documents"], asked["chats"]) == (1, 3)


def test_what_recurs_is_a_share_of_last_versions_as_it_was_counted(write: Write) -> None:
    rewritten = [row("documents", doc_id=f"r{n}", parent_id=f"d{n}") for n in range(3)]
    found = row("recurring", row_kind="documents", kind="name", text="Anna", cluster="Anna", num_documents=3)
    root = write(documents=[*documents(3), *rewritten], recurring=[found])
    [shown] = run_sql(root, "recurring").table.to_pylist()
    assert shown["document_fraction"] == 1.0


def test_an_arm_is_not_called_current_when_one_of_its_stages_has_no_data_any_more(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = [("chain", "arm", "m+s"), ("data", "m", "h-m"), ("data", "s", "h-s")]
    chains = [
        row("stages", chain=chain, seed=0, stage=chain[-1], data_hash=f"h-{chain[-1]}", stage_hash=chain)
        for chain in ("m", "m+s")
    ]
    root = write(stages=chains, evals=[row("evals", eval_id="e", arm="arm", task="t", eval_hash="e")])
    with open_writer(root) as store:
        store.writer("train").set_current("stages", {chain: chain for chain in ("m", "m+s")})
        store.writer("eval").set_current("evals", {"all": "e"})

    def answer(values: list[tuple[str, str, str]]) -> object:
        monkeypatch.setattr("corpus.store.views.present_values", lambda *_: [list(one) for one in values])
        [found] = run_sql(root, "arms").table.to_pylist()
        return found["is_of_current_data"]

    assert answer(held) is True
    assert answer([*held[:2], ("data", "s", "another")]) is False
    assert answer(held[:2]) is None


def test_stale_rows_has_every_table_that_can_be_outdated(write: Write) -> None:
    can_be = [name for name, table in TABLES.items() if table.stale_unless]
    root = write(**{name: [row(name)] for name in can_be})
    shown = {one["table_name"] for one in run_sql(root, "stale_rows").table.to_pylist()}
    assert shown == set(can_be)


def test_diversity_is_of_curated_documents_only_where_a_set_has_some(write: Write) -> None:
    root = write(
        documents=documents(20, lambda n: "spam spam spam spam" if n % 2 else f"one{n} two{n} three{n} four{n}")
    )
    with Look(root) as look:
        [(_, everything)] = diversity(look)
    assert everything.num_texts == 20
    curate(root, [f"d{n}" for n in range(20) if n % 2])
    with Look(root) as look:
        [(_, curated)] = diversity(look)
    assert curated.num_texts == 10 < SAMPLE_DOCUMENTS
    assert curated.distinct_1 == 1.0


def test_a_cluster_counts_its_exact_copies_among_its_members(write: Write) -> None:
    members = [
        row(
            "duplicates", doc_id=f"d{n}", survivor_id="d0", cluster_id="d0", matched_id="d0", jaccard=0.9,
            kind="near" if n == 1 else "exact",
        )
        for n in range(5)
    ]  # fmt: skip
    root = write(documents=documents(5), duplicates=members)
    with Look(root) as look:
        assert [one["members"] for one in pairs(look)] == [5]


def test_rows_that_gave_way_are_a_share_of_documents_and_chats(write: Write) -> None:
    chats = [row("chats", chat_id=f"c{n}", set="s", messages=[]) for n in range(6)]
    both = write(documents=documents(2), chats=chats)
    curate(both, [], lost={"c1": "c0", "c2": "c0", "c3": "c0", "d1": "d0"})
    empty = write("empty")
    with Look(both) as look:
        found = {one["measure"]: one for one in beside(look, empty, [], []).rows}
    assert found["rows that gave way to a duplicate (%)"]["this"] == 50.0
    assert found["rows that gave way to a duplicate (%)"]["other"] is None
