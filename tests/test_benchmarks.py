"""What the benchmarks measure is what they say: their functions beside brute force."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import json
import math
import random
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dedup_texts import alike_pairs
from diversity import ALONE, IDEAS, BothArms, without_idea
from fakes.engine import FakeEngine
from human_prose import python_prose
from hypothesis import given
from hypothesis import strategies as st
from natural_texts import natural_texts, rare_texts
from paper_shape import Sample, memory_at, phases
from schema_server import Instance, reply_to
from text_diversity import (
    OPENING_WORDS,
    Collection,
    compression_ratio,
    embedding_spread,
    half_error,
    measure,
    most_common_opening,
)
from web_rules import decide

from corpus.engine import CallFailed, Engine, Message, Reply, Request, outcome_of
from corpus.inspect.diversity import distinct

SCRIPTS = sorted(path.stem for path in (Path(__file__).parents[1] / "benchmarks").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS)
def test_every_script_finds_what_it_imports(script: str) -> None:
    importlib.import_module(script)


TEXTS = st.lists(st.lists(st.sampled_from("abc"), min_size=4, max_size=6), min_size=2, max_size=6)


@given(TEXTS, st.integers(1, 3))
def test_distinct_counts_each_sequence_once_and_none_across_two_texts(texts: list[list[str]], num_words: int) -> None:
    seen: list[list[str]] = []
    total = 0
    for text in texts:
        for start in range(len(text)):
            sequence = text[start : start + num_words]
            if len(sequence) == num_words:
                total += 1
                if sequence not in seen:
                    seen.append(sequence)
    assert distinct(texts, num_words) == len(seen) / total


@given(TEXTS)
def test_the_most_common_opening_is_found_by_comparing_all_with_all(texts: list[list[str]]) -> None:
    same = [sum(one[:OPENING_WORDS] == other[:OPENING_WORDS] for other in texts) for one in texts]
    assert most_common_opening(texts) == max(same) / len(texts)


def test_embedding_spread_is_the_mean_over_all_pairs_of_two_different_texts() -> None:
    vectors = np.random.default_rng(1).normal(size=(20, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    pairs = [1 - float(one @ other) for one, other in itertools.combinations(vectors, 2)]
    assert embedding_spread(vectors) == pytest.approx(np.mean(pairs), abs=1e-6)


def test_the_compression_ratio_is_gzips_and_grows_with_repetition() -> None:
    draw = random.Random(1)
    texts = [[f"w{draw.randrange(1000)}" for _ in range(50)] for _ in range(20)]
    data = "\n".join(" ".join(text) for text in texts).encode()
    gzip_bytes = 18  # header and trailer, RFC 1952
    raw = zlib.compressobj(9, zlib.DEFLATED, -15)
    assert compression_ratio(texts) == len(data) / (gzip_bytes + len(raw.compress(data) + raw.flush()))
    assert compression_ratio([texts[0]] * 20) > 3 * compression_ratio(texts)


def test_the_error_from_halves_is_the_error_that_new_texts_would_show() -> None:
    """Of a mean, by its formula; of distinct-2, by drawing the collection anew: where a bootstrap is far off."""
    draw = random.Random(1)
    numbers = [draw.gauss(0, 1) for _ in range(101)]
    halves = [float(np.mean(draw.sample(numbers, 50))) for _ in range(4000)]
    assert half_error(halves, 101) == pytest.approx(np.std(numbers, ddof=1) / math.sqrt(101), rel=0.05)

    def texts() -> list[list[str]]:
        return [draw.choices("abcdefghijklmnop", k=draw.choice((4, 20))) for _ in range(40)]

    fresh = [distinct(texts(), 2) for _ in range(400)]
    collections = [texts() for _ in range(20)]
    errors, centres = [], []
    for them in collections:
        errors.append(half_error([distinct(draw.sample(them, 20), 2) for _ in range(200)], 40))
        centres.append(np.mean([distinct(draw.choices(them, k=40), 2) for _ in range(50)]))
    assert np.mean(errors) == pytest.approx(np.std(fresh), rel=0.35)
    assert np.mean(centres) < np.mean(fresh) - 2 * np.std(fresh)


def test_a_collection_of_copies_is_the_least_diverse() -> None:
    draw = random.Random(1)
    texts = [[f"w{draw.randrange(500)}" for _ in range(30)] for _ in range(30)]
    vectors = np.eye(30, dtype=np.float32)
    varied = measure(Collection(texts, vectors), 1)
    copies = measure(Collection([texts[0]] * 30, vectors[[0] * 30]), 1)
    assert copies["embedding spread"].value == pytest.approx(0)
    assert copies["most common opening"].value == 1
    for name in ("distinct-1", "distinct-2", "distinct-3", "embedding spread"):
        gap = varied[name] - copies[name]
        assert gap.value > gap.half_width
    assert (copies["compression ratio"] - varied["compression ratio"]).value > 0


def test_human_prose_is_long_enough_different_and_the_same_each_time() -> None:
    texts = python_prose(60)
    assert len(texts) > 300
    assert len(set(texts)) == len(texts)
    assert min(len(text.split()) for text in texts) >= 60
    assert not any(mark in text for text in texts for mark in (">>>", "::", "\n"))


LONG = Request(
    (Message("system", "You write."), Message("user", "A memo. It is for a nurse. Write 200 words.")), 100, 0.7
)
SHORT = replace(LONG, messages=LONG.messages[:1], opening="A nurse asked.")


def test_without_its_idea_a_request_is_the_same_but_for_it() -> None:
    alone = without_idea(LONG, ["It is for a pilot.", "It is for a nurse."])
    assert alone.messages[1].content == "A memo. Write 200 words."
    assert replace(alone, messages=LONG.messages) == LONG
    assert without_idea(SHORT, []) == replace(SHORT, opening="")
    with pytest.raises(AssertionError, match="shows no idea"):
        without_idea(LONG, ["It is for a pilot."])


def test_what_stands_in_for_an_engine_has_all_that_an_engine_has() -> None:
    members = {name for name in vars(Engine) if not name.startswith("_")} | {"__aenter__", "__aexit__"}
    assert {"complete", "context_tokens"} <= members <= set(dir(BothArms))


def test_both_arms_are_asked_of_one_engine_and_the_run_gets_the_reply_to_its_own_request() -> None:
    rows: list[dict[str, object]] = []
    engine = FakeEngine(lambda request: f"{request.opening} She answered the nurse at once.")
    both = BothArms(engine, lambda: [], rows.append)
    reply = asyncio.run(both.complete(SHORT))
    assert reply.text.startswith("A nurse asked.")
    assert [(row["arm"], row["outcome"], row["opening"]) for row in rows] == [
        (IDEAS, "ok", "A nurse asked."), (ALONE, "ok", ""),
    ]  # fmt: skip
    assert rows[1]["text"] == "She answered the nurse at once."
    assert both.max_in_flight * 2 == engine.max_in_flight


def test_a_failed_call_of_the_other_arm_costs_the_run_nothing() -> None:
    rows: list[dict[str, object]] = []
    engine = FakeEngine(lambda request: "Fine." if request.opening else CallFailed("timeout", "slow"))
    assert asyncio.run(BothArms(engine, lambda: [], rows.append).complete(SHORT)).text == "Fine."
    assert [row["outcome"] for row in rows] == ["ok", "timeout"]
    engine.reply = lambda request: CallFailed("error", "broken") if request.opening else "Fine."
    with pytest.raises(CallFailed):
        asyncio.run(BothArms(engine, lambda: [], rows.append).complete(SHORT))


SCHEMAS = st.recursive(
    st.sampled_from([
        {"type": "string", "minLength": 3, "maxLength": 9}, {"type": "integer", "minimum": -2, "maximum": 4},
        {"enum": ["a", 1, None]}, {"const": {"is": "this"}}, {"type": "boolean"}, {"type": "null"},
        {"$ref": "#/$defs/leaf"},
    ]),
    lambda inner: st.builds(
        lambda items, least, more: {"type": "array", "items": items, "minItems": least, "maxItems": least + more},
        inner, st.integers(0, 2), st.integers(0, 2),
    ) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3).map(
        lambda properties: {"type": "object", "properties": properties, "required": list(properties)}
    ) | inner.map(lambda one: {"anyOf": [one, {"type": "null"}]}),
    max_leaves=6,
)  # fmt: skip


def obeys(value: object, schema: dict, root: dict) -> bool:
    """A second reading of the same parts of JSON Schema, to hold against the first."""
    if "$ref" in schema:
        return obeys(value, root["$defs"]["leaf"], root)
    if "anyOf" in schema:
        return any(obeys(value, one, root) for one in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kind = schema["type"]
    if kind == "object":
        return isinstance(value, dict) and all(
            key in value and obeys(value[key], one, root) for key, one in schema["properties"].items()
        )
    if kind == "array":
        return (
            isinstance(value, list)
            and len(value) == schema.get("maxItems", len(value))
            and all(obeys(one, schema["items"], root) for one in value)
        )
    if kind == "string":
        return isinstance(value, str) and schema["minLength"] <= len(value) <= schema["maxLength"]
    if kind == "integer":
        return isinstance(value, int) and schema["minimum"] <= value <= schema["maximum"]
    return value in (True, False) if kind == "boolean" else value is None


@given(SCHEMAS, st.integers())
def test_the_schema_server_obeys_every_schema(schema: dict[str, object], seed: int) -> None:
    root = schema | {"$defs": {"leaf": {"type": "string", "minLength": 2, "maxLength": 40}}}
    made = Instance(random.Random(seed), {}, 9).of(root)
    assert obeys(json.loads(json.dumps(made)), schema, root)


def structured(question: str, **fields: object) -> dict[str, object]:
    schema = {"type": "object", "properties": fields, "required": list(fields)}
    form = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema, "strict": True}}
    return {"model": "m", "messages": [{"role": "user", "content": question}], "response_format": form}


def test_numbers_are_shared_out_over_the_items_around_them_and_lists_have_the_lengths_of_their_names() -> None:
    item = {"type": "object", "properties": {"n": {"type": "array", "items": {"type": "integer"}}}}
    request = structured("?", parts={"type": "array", "items": item, "minItems": 1})
    reply = json.loads(reply_to(request, {"parts": 4}, 10)[1])
    assert [part["n"] for part in reply["parts"]] == [[1, 5, 9], [2, 6, 10], [3, 7], [4, 8]]


def test_names_from_an_enum_come_once_each() -> None:
    names = [f"genre {n}" for n in range(9)]
    request = structured("?", genres={"type": "array", "items": {"type": "string", "enum": names}, "maxItems": 8})
    genres = json.loads(reply_to(request, {}, 10)[1])["genres"]
    assert len(genres) == len(set(genres)) == 8


def test_a_reply_is_a_function_of_its_request_and_no_two_share_a_string() -> None:
    ideas = {"type": "array", "items": {"type": "string"}, "maxItems": 5}
    replies = [reply_to(structured(str(number), ideas=ideas), {}, 10)[1] for number in range(500)]
    strings = [one for reply in replies for one in json.loads(reply)["ideas"]]
    assert len(set(strings)) == len(strings) == 2500
    assert reply_to(structured("7", ideas=ideas), {}, 10)[1] == replies[7]


def test_the_texts_of_the_schema_server_are_whole_sound_and_of_one_length() -> None:
    for number in range(50):
        kind, text = reply_to({"messages": [{"role": "user", "content": str(number)}]}, {}, 10)
        assert kind == "texts"
        assert len(text.split()) == pytest.approx(500, abs=12)
        assert outcome_of(Reply(text, "stop", None, None, None), LONG) == "ok"


def test_memory_is_told_at_shares_of_the_documents_and_at_its_most() -> None:
    seen = ((0, 50), (10, 1), (50, 2), (60, 9), (99, 3), (100, 4), (100, 70))
    samples = [Sample(float(at), number, (100 + size) << 20) for at, (number, size) in enumerate(seen)]
    told = {row["documents written"]: row["MiB"] for row in memory_at(samples, 100)}
    assert told == {
        "10": 101, "50": 102, "99": 103, "100": 104,
        "most before the first": 150, "most while writing": 109, "most after the last": 170,
    }  # fmt: skip
    assert {name: len(phase) for name, phase in phases(samples).items()} == {
        "before the first": 1, "while writing": 4, "after the last": 2,
    }  # fmt: skip


def test_natural_texts_are_whole_pieces_of_files_in_a_fixed_order(tmp_path: Path) -> None:
    pages = ["\n\n".join(f"Page {page} says {i} and {i * page}." for i in range(40)) for page in range(5)]
    for page, text in enumerate(pages):
        (tmp_path / f"README-{page}").write_text(text)
    (tmp_path / "picture.png").write_text(pages[0])
    found = natural_texts(100, [str(tmp_path)])
    assert found == natural_texts(100, [str(tmp_path), str(tmp_path)])
    assert len(set(found)) == len(found) > len(pages)
    assert all(any(piece in page for page in pages) for piece in found)


def test_rare_texts_are_made_of_natural_lines_and_break_the_rules_that_they_are_for() -> None:
    listed = [f"- point {i}" for i in range(40)] + [f"loading {i}..." for i in range(40)]
    listed += [f"a b c d e f {i}" for i in range(40)]
    said = ["We use cookies, as all do.", "It needs JavaScript to run.", "They wrote lorem ipsum here.", "x" * 1001]
    made = rare_texts(["\n".join([*listed, *said])], num_long=0)
    assert {line for text in made for line in text.splitlines() if line} <= {*listed, *said}
    dropped = decide(made)
    rare = "bullet_line_fraction ellipsis_line_fraction policy_lines javascript_lines long_word_lines lorem_ipsum_lines"
    for rule in [*rare.split(), "hashes_per_word and max_ellipses_per_word"]:
        assert any(dropped[f"max_{rule}"]), rule
    assert any(dropped["min_mean_word_chars"])
    assert not any(dropped["max_words"])


@given(
    st.lists(st.lists(st.sampled_from("ab"), max_size=9).map(" ".join), max_size=6), st.sampled_from([0.3, 0.5, 1.0])
)
def test_alike_pairs_are_those_of_comparing_every_two_texts(texts: list[str], min_jaccard: float) -> None:
    sets = [{tuple(text.split()[start : start + 5]) for start in range(len(text.split()) - 4)} for text in texts]
    expected = [
        [one, two] for one, two in itertools.combinations(range(len(texts)), 2)
        if sets[one] & sets[two] and len(sets[one] & sets[two]) >= min_jaccard * len(sets[one] | sets[two])
    ]  # fmt: skip
    assert sorted(alike_pairs(texts, min_jaccard).tolist()) == expected
