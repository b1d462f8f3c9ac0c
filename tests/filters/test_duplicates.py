import itertools
import random
from collections.abc import Callable, Iterable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.recipe import Duplicates
from filters import minhash
from filters.duplicates import Candidate, find_duplicates, pass_hash

Prose = Callable[..., str]
DEFAULT = Duplicates()


def look(
    texts: Mapping[str, str],
    about: Duplicates = DEFAULT,
    genres: Mapping[str, str] | None = None,
    clauses: Mapping[str, tuple[str, ...]] | None = None,
    pairs: Mapping[str, str] | None = None,
) -> list[dict[str, object]]:
    def read(ids: Sequence[str]) -> Iterable[tuple[str, str]]:
        return [(text_id, texts[text_id]) for text_id in sorted(ids)]

    genres, clauses, pairs = genres or {}, clauses or {}, pairs or {}
    candidates = [
        Candidate(text_id, genres.get(text_id, "memo"), clauses.get(text_id, ()), pairs.get(text_id))
        for text_id in texts
    ]
    return find_duplicates(candidates, read, about).to_pylist()


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
    shingles = {text_id: minhash.shingles(text, 5) for text_id, text in texts.items()}
    alike = {
        frozenset(pair) for pair in itertools.combinations(texts, 2)
        if minhash.jaccard(shingles[pair[0]], shingles[pair[1]]) >= 0.8
    }  # fmt: skip
    assert 60 < len(alike) < 180
    found = clusters(look(texts))
    assert found <= alike  # here every cluster is a pair
    assert len(found) >= 0.99 * len(alike)


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
    exact = minhash.jaccard(minhash.shingles(text, 5), minhash.shingles(edited(text, 2, 0), 5))
    assert rows[0]["jaccard"] == exact >= 0.8
    assert rows[0]["estimated_jaccard"] == pytest.approx(exact, abs=0.15)
    assert rows[0]["band"] in range(20)


def test_a_pair_below_the_threshold_is_no_duplicate(make_prose: Prose) -> None:
    text = make_prose(1, 200)
    other = edited(text, 8, 0)
    exact = minhash.jaccard(minhash.shingles(text, 5), minhash.shingles(other, 5))
    assert 0.6 < exact < 0.8
    assert look({"a": text, "b": other}) == []
    assert len(look({"a": text, "b": other}, Duplicates(min_jaccard=exact))) == 2


def test_a_chain_is_one_cluster_and_each_member_names_its_neighbour(make_prose: Prose) -> None:
    a = make_prose(1, 200).split()
    b = [*a[:-20], *make_prose(2, 20).split()]
    c = [*make_prose(3, 20).split(), *b[20:]]
    texts = {"a": " ".join(a), "b": " ".join(b), "c": " ".join(c)}
    shingles = {text_id: minhash.shingles(text, 5) for text_id, text in texts.items()}
    assert minhash.jaccard(shingles["a"], shingles["c"]) < 0.8
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
    one, two = Candidate("a", "memo"), Candidate("b", "memo")
    assert pass_hash([one, two], DEFAULT) == pass_hash([two, one], DEFAULT)
    assert pass_hash([one], DEFAULT) != pass_hash([one, two], DEFAULT)
    assert pass_hash([one], DEFAULT) != pass_hash([one], Duplicates(bands=10))


def test_the_default_bands_catch_a_pair_of_jaccard_point_eight_nearly_always() -> None:
    assert 1 - (1 - 0.8**DEFAULT.rows) ** DEFAULT.bands == pytest.approx(0.998, abs=5e-4)
