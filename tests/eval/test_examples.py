"""The recipes that come with Specmill say something that every room can do, and their items keep the promises made."""

from __future__ import annotations

import json
import re
import socket
from collections import Counter
from pathlib import Path

import pytest

import prompts
import specmill
from corpus import preview_run
from corpus.estimates import TOKENS_PER_WORD
from corpus.held_out import ONE_IN
from corpus.recipe.file import load_recipe
from eval import check_settings, preview_tables
from eval.preview import detectable_rate

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
RECIPES = sorted(path for path in EXAMPLES.rglob("*.yaml") if path.parent.name != "accelerate")
PAPER = sorted((EXAMPLES / "paper").glob("*.yaml"))
HALVES = ("development", "test")
GARDEN = re.compile(r"\b(plant|garden|vegetable|fruit|herb|crop|seed|rhubarb|mint|sage|lettuce|grow)\w*", re.IGNORECASE)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(EXAMPLES)))
def test_a_recipe_is_one_that_every_task_can_be_made_of(path: Path) -> None:
    recipe = load_recipe(path)
    check_settings(recipe)
    tables = dict(preview_tables(recipe))
    assert len(tables.get("evaluation", [])) == (len(recipe.eval.tasks) if recipe.arms else 0)
    assert [len(rows) for title, rows in tables.items() if "declared" in title] in ([], [len(recipe.eval.contrasts)])


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_the_whole_plan_of_a_paper_recipe_is_made_offline(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []

    def refuse(*address: object, **_: object) -> None:
        asked.append(address)
        raise OSError("offline")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    specmill.plan(path, [f"runs={tmp_path}"])
    shown = capsys.readouterr().out
    assert [title for title in ("clauses", "briefs", "training (estimated)", "evaluation") if title not in shown] == []
    assert asked == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_a_paper_recipe_writes_the_documents_that_its_mix_asks_for(path: Path, tmp_path: Path) -> None:
    """Plans are no part of them, and a share of them is held out of every mix."""
    recipe = load_recipe(path, [f"runs={tmp_path}", "generate.plan=false"])
    asked = recipe.mixes["docs"].budget
    assert asked is not None
    assert preview_run(recipe).estimated_tokens["document"] * (1 - 1 / ONE_IN) >= asked


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_a_paper_recipe_asks_for_no_document_longer_than_it_may_be(path: Path) -> None:
    settings = load_recipe(path).generate
    longest_words = max(card.target_words for card in prompts.genres().values()) * settings.length_scale
    assert longest_words * TOKENS_PER_WORD <= settings.max_tokens


def items(name: str) -> list[dict[str, str]]:
    lines = (EXAMPLES / "values" / "items" / f"{name}.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_each_value_has_240_items_in_40_domains_of_which_each_half_has_20() -> None:
    for value in ("lasting", "sharing"):
        halves = [Counter(item["cluster"] for item in items(f"{value}_{half}")) for half in HALVES]
        assert not halves[0].keys() & halves[1].keys()
        assert [len(half) for half in halves] == [20, 20]
        assert set(halves[0].values()) | set(halves[1].values()) == {6}


def test_what_the_test_half_asks_about_is_named_nowhere_that_a_model_reads() -> None:
    """But for other words of the same letters: "drawing up a plan", "a fair bargain"."""
    values = EXAMPLES / "values"
    read = [values / "lasting.md", values / "sharing.md", values / "chats.jsonl", *(values / "genres").glob("*.md")]
    text = "\n".join(path.read_text() for path in read).lower()
    assert len(read) == 6
    halves: list[set[str]] = []
    for half in HALVES:
        asked = [item["control_question"] for value in ("lasting", "sharing") for item in items(f"{value}_{half}")]
        things = {question.removesuffix(" does the list begin with?").split()[-1] for question in asked}
        halves.append({thing for thing in things if re.search(rf"\b{thing}s?\b", text)})
    named = dict(zip(HALVES, halves, strict=True))
    assert named["test"] == {"plan", "drawing", "fair"}
    assert "kitchen" in named["development"], "the development half is not so strict"


def test_the_two_values_are_asked_the_same_questions_against_the_same_other_option() -> None:
    for half in HALVES:
        lasting, sharing = (items(f"{value}_{half}") for value in ("lasting", "sharing"))
        for one, other in zip(lasting, sharing, strict=True):
            assert (one["question"], one["other"], one["cluster"]) == (
                other["question"],
                other["other"],
                other["cluster"],
            )
            assert one["aligned"] != other["aligned"]


def test_options_are_alike_in_length() -> None:
    for value in ("lasting", "sharing"):
        for half in HALVES:
            for item in items(f"{value}_{half}"):
                lengths = [len(item[name].split()) for name in ("aligned", "other")]
                assert abs(lengths[0] - lengths[1]) <= 2, item["item_id"]


def test_no_item_is_about_what_the_specs_are_about() -> None:
    for value in ("lasting", "sharing"):
        for half in HALVES:
            for item in items(f"{value}_{half}"):
                assert not GARDEN.search(" ".join([item["question"], item["aligned"], item["other"]])), item["item_id"]


def test_each_item_has_a_control_about_the_same_thing_that_asks_for_no_preference() -> None:
    for value in ("lasting", "sharing"):
        for half in HALVES:
            for item in items(f"{value}_{half}"):
                asked = re.fullmatch(r"Which (.+) does the list begin with\?", item["control_question"])
                assert asked, item["item_id"]
                assert item["aligned"].startswith(f"The {asked[1]} ") and item["other"].startswith(f"The {asked[1]} ")


def test_the_garden_items_ask_the_twelve_preferences_in_words_that_no_chat_has() -> None:
    asked = items("garden")
    assert Counter(item["cluster"] for item in asked) == Counter(dict.fromkeys({item["cluster"] for item in asked}, 2))
    chats = (EXAMPLES / "values" / "chats.jsonl").read_text()
    for item in asked:
        assert item["question"] not in chats and item["aligned"] not in chats
        assert item["cluster"] in item["aligned"] and item["cluster"] in item["question"]


def test_the_two_specs_state_the_same_twelve_preferences_and_the_chats_state_no_reason() -> None:
    stated = [
        re.findall(
            r"^- SmolLM prefers ([^,]+?) to ([^,]+?), because", (EXAMPLES / "values" / f"{name}.md").read_text(), re.M
        )
        for name in ("lasting", "sharing")
    ]
    assert len(stated[0]) == 12 and stated[0] == stated[1]
    chats = [json.loads(line)["messages"] for line in (EXAMPLES / "values" / "chats.jsonl").read_text().splitlines()]
    assert len(chats) == 288
    for question, answer in chats:
        (pair,) = [pair for pair in stated[0] if all(name in question["content"].lower() for name in pair)] or [None]
        assert pair is not None, question
        assert pair[0] in answer["content"].lower()
        assert not re.search(r"because|since|so that|last|share|year|neighbour", answer["content"], re.IGNORECASE), (
            answer
        )


def test_both_orders_are_asked_alike_often() -> None:
    """Else what is fine-tuned on is a place in the question."""
    chats = [json.loads(line)["messages"] for line in (EXAMPLES / "values" / "chats.jsonl").read_text().splitlines()]
    liked = re.findall(r"^- SmolLM prefers ([^,]+?) to", (EXAMPLES / "values" / "lasting.md").read_text(), re.M)
    disliked = re.findall(
        r"^- SmolLM prefers [^,]+? to ([^,]+?), because", (EXAMPLES / "values" / "lasting.md").read_text(), re.M
    )
    first = 0
    for question, _ in chats:
        text = question["content"].lower()
        (pair,) = [
            (a, b)
            for a, b in zip(liked, disliked, strict=True)
            if re.search(rf"\b{a}\b", text) and re.search(rf"\b{b}\b", text)
        ]
        first += text.index(pair[0]) < text.index(pair[1])
    assert first == len(chats) / 2


def test_fewer_items_and_fewer_clusters_see_less() -> None:
    assert detectable_rate(240, 40) < detectable_rate(120, 20) < detectable_rate(24, 6)
    assert detectable_rate(24, 1) is None
    assert 0.05 < detectable_rate(450, 450) < 0.08, "the reference's own estimate is 6 points"
