from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filters.signs.shared_runs import Run, SharedRuns, covered_words

WORDS = st.lists(st.sampled_from("abc"), max_size=12)


def by_brute_force(text: list[str], sources: list[list[str]], ngram_words: int) -> list[Run]:
    """Every pair of places, extended while words agree; kept where it cannot begin earlier."""
    runs = []
    for number, source in enumerate(sources):
        size = min(ngram_words, len(source))
        for start in range(len(text)):
            for place in range(len(source)):
                if start and place and text[start - 1] == source[place - 1]:
                    continue
                length = 0
                while (
                    start + length < len(text)
                    and place + length < len(source)
                    and text[start + length] == source[place + length]
                ):
                    length += 1
                if length >= size:
                    runs.append(Run(start, length, number, size))
    return sorted(runs, key=lambda run: (run.start, -run.num_words, run.source))


@given(WORDS, st.lists(WORDS, max_size=3), st.integers(2, 5))
def test_the_index_finds_exactly_the_runs_that_comparing_all_places_finds(
    text: list[str], sources: list[list[str]], ngram_words: int
) -> None:
    found = SharedRuns(sources, ngram_words).in_text(text)
    expected = by_brute_force(text, sources, ngram_words)
    assert [(run.start, run.num_words, run.source) for run in found] == [
        (run.start, run.num_words, run.source) for run in expected
    ]
    covered = {place for run in expected for place in range(run.start, run.start + run.num_words)}
    assert covered_words(found) == len(covered)


def test_a_run_does_not_go_on_from_one_known_text_into_the_next() -> None:
    index = SharedRuns([list("abcd"), list("efgh")], 3)
    assert [run.num_words for run in index.in_text(list("abcdefgh"))] == [4, 4]


def test_what_is_left_out_is_no_shared_run_wherever_it_stands() -> None:
    index = SharedRuns([list("abcdef")], 3, leave_out=[list("xbcd")])
    assert [(run.start, run.num_words) for run in index.in_text(list("abcdef"))] == [(0, 3), (2, 4)]


@pytest.mark.parametrize("text", ["", "ab", "qrst"])
def test_a_text_without_a_shared_ngram_has_no_runs(text: str) -> None:
    assert SharedRuns([list("abcd"), []], 3).in_text(list(text)) == []
