"""A small corpus with planted faults, through the verbs: what is found, missed and wrongly dropped, exactly."""

from __future__ import annotations

import pytest
from faults import CONTROLS, EDITS, FAULTS, copy_kinds
from planted_faults import MEANT, Measured, measure

NUM_DOCUMENTS, NUM_EACH = 220, 5


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return measure(tmp_path_factory.mktemp("planted"), NUM_DOCUMENTS, NUM_EACH / NUM_DOCUMENTS, seed=1, packages=())


def test_every_planted_fault_is_found_by_the_filter_that_is_for_it(measured: Measured) -> None:
    assert set(MEANT) == set(FAULTS)
    assert {
        str(row["fault"]): (row["planted"], row["found by its filter"], row["missed"]) for row in measured.faults
    } == {fault: (NUM_EACH, NUM_EACH, 0) for fault in FAULTS}


def test_copies_are_found_where_they_are_alike_enough_and_not_where_they_are_not(measured: Measured) -> None:
    """Each pair's Jaccard is computed apart from the code that looks for duplicates."""
    rows = {str(row["copy"]): row for row in measured.copies}
    assert len(rows) == 1 + 2 * len(EDITS) == len(copy_kinds())
    alike = [row["at 0.8 or more"] for row in rows.values()]
    assert [row["found"] for row in rows.values()] == alike
    assert sum(int(str(row["found below it"])) for row in rows.values()) == 0
    # An edit can cut the last sentence or bring in a repetition: such a copy goes before it is compared.
    left = {copy: NUM_EACH - int(str(row["dropped by a filter first"])) for copy, row in rows.items()}
    assert sum(left.values()) >= NUM_EACH * len(rows) - 4
    for copy in ("exact copy", "1% of words, scattered", "1% of words, one passage", "5% of words, one passage"):
        assert (rows[copy]["found"], rows[copy]["both kept"]) == (left[copy], 0)
    for copy in ("10% of words, scattered", "20% of words, scattered", "20% of words, one passage"):
        assert (rows[copy]["found"], rows[copy]["both kept"]) == (0, left[copy])


def test_nothing_clean_is_dropped_nor_what_only_looks_like_a_fault(measured: Measured) -> None:
    assert [row["documents"] for row in measured.clean] == ["clean", *CONTROLS]
    for row in measured.clean:
        assert (row["wrongly dropped"], row["wrongly taken for duplicates"]) == (0, 0), row
