"""Whether a run is curated as its recipe says, for the rows there are."""

from collections.abc import Callable

import pyarrow as pa
import pytest
from fakes.rows import row

from corpus.errors import DataError
from corpus.store.schema import TABLES
from filters import curate_corpus
from filters.base import KINDS
from filters.curate import check_curated

Prose = Callable[..., str]


def fill(run, make_prose: Prose) -> None:
    run.add_documents({f"d{index}": make_prose(index) for index in range(4)})
    run.add_documents({"copy": make_prose(0), "short": "too few words"})
    run.add_chats({"chat": [("user", "What now?"), ("assistant", "Wait for it.")]})


def test_checking_tells_what_is_not_curated(run, make_prose: Prose) -> None:
    fill(run, make_prose)
    with pytest.raises(DataError, match="curated not yet; run specmill curate"):
        check_curated(run.recipe(), run.store, "documents")
    curate_corpus(run.recipe(), run.store, run.progress)
    for kind in KINDS:
        check_curated(run.recipe(), run.store, kind)
    with pytest.raises(DataError, match="curated with other settings"):
        check_curated(run.recipe(curate={"unjudged": "drop"}), run.store, "documents")
    run.add_documents({"new": make_prose(50)})
    check_curated(run.recipe(), run.store, "chats")
    with pytest.raises(DataError, match=r"1 documents of .* are not curated yet"):
        check_curated(run.recipe(), run.store, "documents")


def test_checking_tells_when_what_verdicts_rest_on_has_changed(run, make_prose: Prose, monkeypatch) -> None:
    fill(run, make_prose)
    curate_corpus(run.recipe(), run.store, run.progress)
    with monkeypatch.context() as patched:
        patched.setattr("filters.form.length.Length.version", 99)
        with pytest.raises(DataError, match="curated with other settings"):
            check_curated(run.recipe(), run.store, "documents")
    check_curated(run.recipe(), run.store, "documents")
    run.store.writer("corpus").set_current("clauses", {"spec": "another"})
    with pytest.raises(DataError, match="curated with other settings"):
        check_curated(run.recipe(), run.store, "documents")


def test_checking_finds_duplicates_out_of_date(run, make_prose: Prose, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a kill between the last verdict and the duplicates."""
    fill(run, make_prose)
    curate_corpus(run.recipe(), run.store, run.progress)
    run.add_documents({"new": make_prose(1)})
    with monkeypatch.context() as patched:
        patched.setattr("filters.curate.find_duplicates", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            curate_corpus(run.recipe(), run.store, run.progress)
    with pytest.raises(DataError, match=r"duplicates among the documents of .* are out of date"):
        check_curated(run.recipe(), run.store, "documents")


def test_checking_finds_rows_gone_that_filters_compared_the_others_with(run, make_prose: Prose) -> None:
    """The name is in 30 texts that are too short, and counts as recurring in the one that is kept."""
    writer = run.store.writer("corpus")
    for pass_hash, numbers in (("all", range(31)), ("last", [30])):
        briefs = [row("briefs", brief_id=f"b{n}", context_hash="x", pass_hash=pass_hash) for n in numbers]
        writer.commit("briefs", pass_hash, pa.Table.from_pylist(briefs, schema=TABLES["briefs"].schema))
    writer.set_current("briefs", {"plan": "all"})
    for n in range(31):
        text = f"Near the river there lived Elena Moss alone. {make_prose(n, 90 if n == 30 else 5)}"
        run.add_documents({f"d{n}": text}, brief_id=f"b{n}", context_hash="x", set="generated")
    recipe = run.recipe(curate={"filters": ["length", {"recurring": {"max_patterns": 0}}]})
    curate_corpus(recipe, run.store, run.progress)
    check_curated(recipe, run.store, "documents")
    assert run.column("SELECT doc_id FROM curated") == []
    writer.set_current("briefs", {"plan": "last"})
    with pytest.raises(DataError, match=r"the documents of .* are not all that it was curated with"):
        check_curated(recipe, run.store, "documents")
    curate_corpus(recipe, run.store, run.progress)
    assert run.column("SELECT doc_id FROM curated") == ["d30"]
