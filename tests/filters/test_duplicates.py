import itertools
import random
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import pyarrow as pa
import pytest
from dedup_texts import alike_pairs, made_documents
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.recipe import Duplicates
from corpus.store.schema import TABLES
from filters.copies import minhash
from filters.copies.duplicates import CANDIDATES, find_duplicates, pass_hash
from filters.text import words

Prose = Callable[..., str]
DEFAULT = Duplicates()


def rows_of(
    texts: Iterable[str],
    genres: Mapping[str, str] | None = None,
    clauses: Mapping[str, tuple[str, ...]] | None = None,
    pairs: Mapping[str, str] | None = None,
    scores: Mapping[str, float] | None = None,
) -> pa.Table:
    genres, clauses, pairs, scores = genres or {}, clauses or {}, pairs or {}, scores or {}
    rows = [
        {
            "id": text_id, "genre": genres.get(text_id, "memo"), "clause_ids": clauses.get(text_id), "pair":
            pairs.get(text_id), "score": scores.get(text_id), "run": text_id.rpartition(":")[0] or None,
        }
        for text_id in texts
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=CANDIDATES)


def look(
    texts: Mapping[str, str], about: Duplicates = DEFAULT, **columns: Mapping[str, object]
) -> list[dict[str, object]]:
    def read(asked: pa.Table) -> Iterable[tuple[object, pa.Array]]:
        """In batches of 7, the last one first."""
        ids = asked["id"].to_pylist()
        for start in reversed(range(0, len(ids), 7)):
            found = [texts[text_id] for text_id in ids[start : start + 7]]
            yield np.arange(start, start + len(found)), pa.array(found)

    found = find_duplicates(rows_of(texts, **columns), read, about)
    assert found.schema == TABLES["duplicates"].schema
    return found.to_pylist()


def jaccard(this: str, other: str) -> float:
    sets = minhash.shingle_sets(pa.array([this, other]), 5)
    return float(minhash.jaccards(np.array([0]), np.array([1]), sets)[0])


def clusters(rows: Iterable[Mapping[str, object]]) -> set[frozenset[object]]:
    members: dict[object, set[object]] = {}
    for row in rows:
        members.setdefault(row["cluster_id"], set()).add(row["doc_id"])
    return {frozenset(found) for found in members.values()}


def edited(text: str, num_edits: int, seed: int) -> str:
    rng = random.Random(seed)
    found = text.split()
    for place in rng.sample(range(len(found)), num_edits):
        found[place] = f"edit{rng.randrange(10**6)}"
    return " ".join(found)


def test_the_clusters_are_those_of_brute_force(make_prose: Prose) -> None:
    """400 texts, half of them edited copies: recall of the pairs at 0.8 or more, and no pair below."""
    texts = {f"o{seed:03d}": make_prose(seed, 200) for seed in range(200)}
    texts |= {f"c{seed:03d}": edited(texts[f"o{seed:03d}"], seed % 12, seed) for seed in range(200)}
    shingles = {
        text_id: set(zip(*(words(text)[n:] for n in range(5)), strict=False)) for text_id, text in texts.items()
    }
    alike = {
        frozenset((one, two)) for one, two in itertools.combinations(texts, 2)
        if len(shingles[one] & shingles[two]) >= 0.8 * len(shingles[one] | shingles[two])
    }  # fmt: skip
    assert 60 < len(alike) < 180
    found = clusters(look(texts))
    assert found <= alike  # here every cluster is a pair
    assert len(found) >= 0.99 * len(alike)


def test_of_the_pairs_of_planted_copies_nearly_all_are_found_and_no_others() -> None:
    """2,000 documents of 300 words, 600 of them copies with up to 5 % of the words replaced; truth by brute force."""
    documents = next(made_documents(2000))
    pairs = alike_pairs(documents, 0.8)
    assert len(pairs) > 400
    found = look({f"{place:04d}": text for place, text in enumerate(documents)})
    cluster = {int(str(row["doc_id"])): row["cluster_id"] for row in found}
    is_found = [cluster.get(one, one) == cluster.get(two, two) for one, two in pairs.tolist()]
    assert sum(is_found) >= 0.99 * len(pairs)
    assert set(cluster) <= set(pairs.ravel().tolist())


def test_exact_copies_differ_in_white_space_only(make_prose: Prose) -> None:
    text = make_prose(1)
    rows = look({"a": text, "b": text.replace(" ", "\n\n"), "c": make_prose(2)})
    assert [(row["doc_id"], row["matched_id"], row["kind"]) for row in rows] == [
        ("a", "b", "exact"),
        ("b", "a", "exact"),
    ]
    assert {(row["jaccard"], row["estimated_jaccard"], row["band"]) for row in rows} == {(1.0, 1.0, None)}


def test_a_near_copy_is_measured_exactly_and_estimated(make_prose: Prose) -> None:
    text = make_prose(1, 200)
    rows = look({"a": text, "b": edited(text, 2, 0)})
    assert {row["kind"] for row in rows} == {"near"}
    exact = jaccard(text, edited(text, 2, 0))
    assert rows[0]["jaccard"] == exact >= 0.8
    assert rows[0]["estimated_jaccard"] == pytest.approx(exact, abs=0.15)
    assert rows[0]["band"] in range(20)


def test_a_pair_below_the_threshold_is_no_duplicate(make_prose: Prose) -> None:
    text = make_prose(1, 200)
    other = edited(text, 6, 0)
    exact = jaccard(text, other)
    assert 0.6 < exact < 0.8
    assert look({"a": text, "b": other}) == []
    assert len(look({"a": text, "b": other}, Duplicates(min_jaccard=exact))) == 2


def test_a_chain_is_one_cluster_and_each_member_names_its_neighbour(make_prose: Prose) -> None:
    a = make_prose(1, 200).split()
    b = [*a[:-20], *make_prose(2, 20).split()]
    c = [*make_prose(3, 20).split(), *b[20:]]
    texts = {"a": " ".join(a), "b": " ".join(b), "c": " ".join(c)}
    assert jaccard(texts["a"], texts["c"]) < 0.8
    rows = look(texts)
    assert clusters(rows) == {frozenset("abc")}
    assert {row["doc_id"]: row["matched_id"] for row in rows} | {"b": "-"} == {"a": "b", "b": "-", "c": "b"}
    assert {row["survivor_id"] for row in rows} == {"a"}


def test_the_survivor_is_of_the_rarest_genre_then_of_the_rarest_clause_then_the_first(make_prose: Prose) -> None:
    texts = {"a": make_prose(1), "b": make_prose(1), "c": make_prose(1), "x": make_prose(2), "y": make_prose(3)}
    common = {"a": "memo", "b": "memo", "c": "blog", "x": "memo", "y": "memo"}
    assert {row["survivor_id"] for row in look(texts, genres=common)} == {"c"}
    clauses = {"a": ("often",), "b": ("often", "seldom"), "c": ("often",), "x": ("often",)}
    assert {row["survivor_id"] for row in look(texts, clauses=clauses)} == {"b"}
    assert {row["survivor_id"] for row in look(texts)} == {"a"}
    assert {row["survivor_id"] for row in look(texts, scores={"a": 0.2, "b": 0.9, "c": 0.5})} == {"b"}
    assert {row["survivor_id"] for row in look(texts, scores={"b": -1.0})} == {"b"}  # better than none
    assert {row["survivor_id"] for row in look(texts, clauses=clauses, scores={"a": 1.0})} == {"b"}
    assert {row["survivor_id"] for row in look(texts, genres=common, scores={"a": 1.0})} == {"c"}


def test_rows_give_way_to_one_of_another_run_which_gets_no_row_itself(make_prose: Prose) -> None:
    text = make_prose(1, 200)
    texts = {"a": text, "b": edited(text, 2, 0), "c": make_prose(2), "d": make_prose(3), "e": make_prose(3)}
    texts |= {"old:a": edited(text, 1, 1), "old:x": make_prose(4), "old:y": make_prose(4)}
    rows = {row["doc_id"]: row for row in look(texts, genres={"a": "rare"})}
    assert {row_id: row["survivor_id"] for row_id, row in rows.items()} == {
        "a": "old:a", "b": "old:a", "d": "d", "e": "d",
    }  # fmt: skip
    assert rows["a"]["matched_id"] == "old:a"
    assert clusters(look({name: texts[name] for name in "abcde"})) == {frozenset("ab"), frozenset("de")}


def test_a_row_that_stands_in_both_runs_gives_way(make_prose: Prose) -> None:
    rows = look({"a": make_prose(1), "old:a": make_prose(1)})
    assert [(row["doc_id"], row["survivor_id"], row["matched_id"]) for row in rows] == [("a", "old:a", "old:a")]


TWINS = {"a": "a", "thinking a": "a"}


def survivors(rows: Iterable[Mapping[str, object]], texts: Iterable[str]) -> set[object]:
    return set(texts) - {row["doc_id"] for row in rows if row["doc_id"] != row["survivor_id"]}


@pytest.mark.parametrize("num_edits", [0, 2])
def test_twins_are_no_duplicates_of_one_another(make_prose: Prose, num_edits: int) -> None:
    """The negative control: the same two texts are, when they are no twins."""
    text = make_prose(1, 200)
    texts = {"a": text, "thinking a": edited(text, num_edits, 0)}
    assert look(texts, pairs=TWINS) == []
    assert len(look(texts)) == 2


def test_another_chat_is_a_duplicate_of_a_twin_and_both_twins_survive_it(make_prose: Prose) -> None:
    text = make_prose(1, 200)
    texts = {"a": text, "thinking a": edited(text, 2, 0), "z": edited(text, 2, 1)}
    rows = look(texts, pairs=TWINS)
    assert clusters(rows) == {frozenset(texts)}
    assert survivors(rows, texts) == {"a", "thinking a"}
    assert {row["doc_id"]: row["matched_id"] for row in rows if row["doc_id"] != "z"} == {"a": "z", "thinking a": "z"}


def test_twins_give_way_together_where_another_survives(make_prose: Prose) -> None:
    text = make_prose(1, 200)
    texts = {"a": text, "thinking a": edited(text, 2, 0), "rare": text, "x": make_prose(2)}
    rows = look(texts, pairs=TWINS, genres={"rare": "blog"})
    assert survivors(rows, texts) == {"rare", "x"}
    assert {row["doc_id"]: (row["matched_id"], row["kind"]) for row in rows} == {
        "a": ("rare", "exact"), "rare": ("a", "exact"), "thinking a": ("rare", "near"),
    }  # fmt: skip


def test_the_likeness_of_twins_joins_no_clusters(make_prose: Prose) -> None:
    """`b` is alike to one twin and `c` to the other: two clusters; were they no twins, it would be one."""
    plain = make_prose(1, 200).split()
    thinking = [*make_prose(2, 8).split(), *plain[8:]]
    near_plain = [*plain[:-17], *make_prose(3, 17).split()]
    near_thinking = [*thinking[:8], *make_prose(4, 17).split(), *thinking[25:]]
    texts = {
        "a": " ".join(plain), "thinking a": " ".join(thinking), "b": " ".join(near_plain),
        "c": " ".join(near_thinking),
    }  # fmt: skip
    assert clusters(look(texts)) == {frozenset(texts)}
    assert clusters(look(texts, pairs=TWINS)) == {frozenset({"a", "b"}), frozenset({"thinking a", "c"})}


def test_texts_without_words_are_alike_only_when_equal() -> None:
    assert look({"a": "...", "b": "!!!", "c": "..."}) != []
    assert clusters(look({"a": "...", "b": "!!!", "c": "..."})) == {frozenset("ac")}


def test_no_texts_have_no_duplicates() -> None:
    assert look({}) == []


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(8)))
def test_the_order_of_the_input_changes_nothing(order: list[int]) -> None:
    base = " ".join(f"w{index}" for index in range(60))
    texts = {f"t{index}": edited(base, index % 3, index) for index in range(8)}
    assert look({f"t{index}": texts[f"t{index}"] for index in order}) == look(texts)


def test_the_pass_is_named_by_settings_and_ids_in_any_order() -> None:
    rows = rows_of("abc", scores={"a": 0.5})
    assert pass_hash(rows, DEFAULT) == pass_hash(rows.take([2, 0, 1]), DEFAULT)
    assert pass_hash(rows[:2], DEFAULT) != pass_hash(rows, DEFAULT)
    assert pass_hash(rows[1:], DEFAULT) == pass_hash(rows_of("bc"), DEFAULT)
    assert pass_hash(rows, DEFAULT) != pass_hash(rows_of("abc", scores={"a": 0.6}), DEFAULT)
    assert pass_hash(rows_of(["ab", "c"]), DEFAULT) != pass_hash(rows_of(["a", "bc"]), DEFAULT)
    assert pass_hash(rows, DEFAULT) != pass_hash(rows, Duplicates(bands=10))
    assert pass_hash(rows, DEFAULT) == pass_hash(rows, Duplicates(against=("elsewhere/run",)))


def test_the_default_bands_catch_a_pair_of_jaccard_point_eight_nearly_always() -> None:
    assert 1 - (1 - 0.8**DEFAULT.rows) ** DEFAULT.bands == pytest.approx(0.998, abs=5e-4)
