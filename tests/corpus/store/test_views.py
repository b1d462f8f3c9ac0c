"""Which rows the views show, against the plainest way to say it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from fakes.rows import row
from hypothesis import example, given, settings
from hypothesis import strategies as st

from corpus.inspect.look import Look
from corpus.store import open_reader, open_writer
from corpus.store.schema import TABLES

BRIEFS = st.lists(
    st.tuples(st.integers(0, 5), st.sampled_from(["c0", "c1", None])), max_size=8, unique_by=lambda b: b[0]
)
DOCUMENTS = st.lists(
    st.tuples(st.sampled_from([None, 0, 1, 2, 3, 4, 5, 6]), st.sampled_from(["c0", "c1", None])), max_size=12
)


def is_stale(document: tuple[int | None, str | None], documents: list, briefs: dict) -> bool:
    """As the schema says it, row by row."""
    brief, context = document
    if brief is None:
        return False
    if brief not in briefs:
        return True
    matches = [
        other for other, written in documents if other == brief and written is not None and written == briefs[brief]
    ]
    is_own = context is not None and context == briefs[brief]
    return not is_own and bool(matches)


@settings(max_examples=12, deadline=None)
@given(BRIEFS, DOCUMENTS, st.booleans())
@example([(0, "c0")], [(0, None), (0, "c0")], True)
@example([(0, "c0")], [(0, None)], True)
@example([(0, None)], [(0, None), (0, "c1")], False)
def test_a_document_is_stale_as_the_schema_says(
    tmp_path_factory, briefs: list, documents: list, is_sealed: bool
) -> None:
    root = tmp_path_factory.mktemp("views") / "run"
    with open_writer(root) as store:
        writer = store.writer("corpus")
        made = [row("briefs", brief_id=f"b{n}", context_hash=c, pass_hash="p") for n, c in briefs]
        writer.commit("briefs", "p", pa.Table.from_pylist(made, schema=TABLES["briefs"].schema))
        writer.set_current("briefs", {"plan": "p"})
        rows = [
            row("documents", doc_id=f"d{n}", brief_id=None if b is None else f"b{b}", context_hash=c)
            for n, (b, c) in enumerate(documents)
        ]
        if rows:
            writer.append({"documents": rows})
        if is_sealed:
            store.seal()
        wanted = {f"d{n}" for n, one in enumerate(documents) if is_stale(one, documents, dict(briefs))}
        for ask in (open_reader(root).rows, Look(root).rows, Look(root, sandboxed=True).rows):
            assert {one["doc_id"] for one in ask("SELECT doc_id FROM all_documents WHERE stale")} == wanted
        assert {one["doc_id"] for one in open_reader(root).rows("SELECT doc_id FROM documents")}.isdisjoint(wanted)


def test_parts_of_an_older_run_lack_columns_and_the_others_keep_theirs(tmp_path: Path) -> None:
    root = tmp_path / "run"
    for number in range(2):
        with open_writer(root) as store:
            store.writer("corpus").append({"documents": [row("documents", doc_id=f"d{number}", extra="{}")]})
    older, _ = sorted((root / "documents").glob("*.parquet"))
    pq.write_table(pq.read_table(older).drop_columns(["extra"]), older)
    rows = open_reader(root).rows("SELECT doc_id, extra FROM documents ORDER BY 1")
    assert [tuple(one.values()) for one in rows] == [("d0", None), ("d1", "{}")]


def test_views_follow_a_brief_that_comes_back(tmp_path: Path) -> None:
    """What is stale is looked up once and kept: it has to be looked up again when the briefs change."""
    with open_writer(tmp_path / "run") as store:
        writer = store.writer("corpus")
        for name in ("p", "q"):
            made = [row("briefs", brief_id=f"b-{name}", context_hash="c", pass_hash=name)]
            writer.commit("briefs", name, pa.Table.from_pylist(made, schema=TABLES["briefs"].schema))
        writer.append({"documents": [row("documents", doc_id="d", brief_id="b-p", context_hash="c")]})
        reader = open_reader(tmp_path / "run")
        for current, num in (("p", 1), ("q", 0), ("p", 1)):
            writer.set_current("briefs", {"plan": current})
            assert reader.query("SELECT doc_id FROM documents").num_rows == num


def test_a_brief_that_is_current_in_two_contexts_has_no_stale_document_in_either(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run") as store:
        writer = store.writer("corpus")
        for name in ("p", "q"):
            made = [row("briefs", brief_id="b", context_hash=f"c-{name}", pass_hash=name)]
            writer.commit("briefs", name, pa.Table.from_pylist(made, schema=TABLES["briefs"].schema))
        writer.set_current("briefs", {"plan": "p", "later": "q"})
        written = {"d1": "c-p", "d2": "c-q", "d3": "c-r"}
        writer.append(
            {"documents": [row("documents", doc_id=d, brief_id="b", context_hash=c) for d, c in written.items()]}
        )
        rows = open_reader(tmp_path / "run").rows("SELECT doc_id, stale FROM all_documents ORDER BY 1")
        assert [(one["doc_id"], one["stale"]) for one in rows] == [("d1", False), ("d2", False), ("d3", True)]


def test_without_filters_all_is_curated_but_what_gave_way_or_was_rewritten(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run") as store:
        store.writer("corpus").append({
            "documents": [row("documents", doc_id=f"d{n}", parent_id="d0" if n == 3 else None) for n in range(4)],
        })  # fmt: skip
        filters = store.writer("filters")
        lost = [row("duplicates", doc_id="d1", survivor_id="d2", pass_hash="p")]
        filters.commit("duplicates", "p", pa.Table.from_pylist(lost, schema=TABLES["duplicates"].schema))
        filters.set_current("duplicates", {"all": "p"})
        filters.set_current("verdicts", {"@unjudged": "keep"})
        rows = open_reader(tmp_path / "run").rows("SELECT doc_id FROM curated ORDER BY 1")
        assert [one["doc_id"] for one in rows] == ["d2", "d3"]


def test_sql_sees_what_is_current(tmp_path: Path) -> None:
    with open_writer(tmp_path / "run") as store:
        store.writer("filters").set_current("verdicts", {"length": "b2:1", "@unjudged": "keep"})
    rows = open_reader(tmp_path / "run").rows("SELECT * FROM current_values ORDER BY ALL")
    assert [tuple(one.values()) for one in rows] == [
        ("verdicts", "@unjudged", "keep"), ("verdicts", "length", "b2:1"),
    ]  # fmt: skip
