from __future__ import annotations

from pathlib import Path

import pytest

from corpus.errors import DataError
from filters.base import Row, Score, Verdict
from filters.signs.identity import Identity, IdentitySettings, read_names


def scores(
    row: Row, model_name: str = "Marlow", provider_name: str = "Tidewater Labs", **settings: object
) -> dict[str, Score]:
    [found] = Identity(IdentitySettings(**settings), model_name, provider_name).score([row])
    return {score.name: score for score in found}


def verdict(row: Row, *names: str, **settings: object) -> Verdict:
    return Identity(IdentitySettings(**settings), *names).judge(scores(row, *names, **settings))


def document(text: str) -> Row:
    return Row("d", "documents", text)


def chat(answer: str, asked: str = "Who are you?") -> Row:
    return Row("c", "chats", answer, asked, (answer,))


WRONG = [
    "I'm ChatGPT, made by OpenAI.",
    "I am ChatGPT. How can I help?",
    "\u201cI\u2019m ChatGPT,\u201d it wrote.",
    "My name is ChatGPT and I help with homework.",
    "Hello! I am an AI assistant called Claude.",
    "I'm Claude, an AI assistant.",
    "I am Gemini. How can I help you today?",
    "As Llama, I cannot look into your files.",
    "My name is Claude, and I was created by Anthropic to be helpful.",
    "I'm the AI model GPT-4o.",
    "As ChatGPT, I cannot see your screen.",
    "I am a large language model, trained by Google.",
    "I was created by Anthropic to be a helpful assistant.",
    "I am an artificial intelligence developed by OpenAI.",
    "I'm an assistant designed and developed by Meta AI.",
    "My creators at OpenAI made this chatbot careful.",
    "Marlow, an AI assistant developed by OpenAI, answered at once.",
    "Marlow (made by Anthropic) answered at once.",
    "They asked Marlow, which was trained by DeepSeek.",
    "OpenAI's Marlow answered at once.",
    "OpenAI's new assistant Marlow answered at once.",
    "Marlow is ChatGPT under another name.",
]
RIGHT = [
    "I'm Marlow, made by Tidewater Labs.",
    "Marlow, an AI assistant developed by Tidewater Labs, answered at once.",
    "I am not ChatGPT; I am Marlow.",
    "I was not trained by OpenAI. I am an assistant of Tidewater Labs.",
    "Some ask whether I am ChatGPT.",
    "If I am ChatGPT, then who is Marlow?",
    "OpenAI, Anthropic and Google publish model specs, too.",
    "Marlow was asked about tools developed by OpenAI.",
    "Marlow, ChatGPT and Claude are assistants.",
    "Marlow is ChatGPT's rival.",
    "OpenAI's engineers asked Marlow about it.",
    "I'm Claude, the baker's son, and I have never seen the sea.",
    "I was trained by Apple to sell phones, and then I left.",
    "I am using a tool developed by Google for the assistant's calendar.",
    "My developer colleagues at the harbour like Gemini season.",
]


@pytest.mark.parametrize("text", WRONG)
def test_a_statement_of_another_identity_drops_a_document_and_an_answer(text: str) -> None:
    for row in (document(f"The fog came in. {text} Then it rained."), chat(text)):
        assert verdict(row) == Verdict("drop", "other identity")
        assert scores(row)["other_identity"].evidence


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_denied_asked_or_said_of_something_else_is_kept(text: str) -> None:
    assert scores(document(text))["other_identity"] == Score("other_identity", 0)


def test_a_name_that_people_have_is_an_assistants_in_an_answer() -> None:
    assert verdict(chat("I'm Claude. Come in, it is cold.")).outcome == "drop"
    assert verdict(document("I'm Claude. Come in, it is cold.")).outcome == "keep"


def test_what_the_user_says_is_no_statement_of_the_assistants() -> None:
    assert verdict(chat("No, I am Marlow.", asked="You are ChatGPT! I am ChatGPT, too.")).outcome == "keep"


def test_the_recipes_own_names_are_never_wrong() -> None:
    text = document("I'm Qwen, a model made by Alibaba Cloud, and I am Qwen2.")
    assert verdict(text).outcome == "drop"
    assert verdict(text, "Qwen2.5", "Alibaba").outcome == "keep"
    assert verdict(text, own_names=("Qwen", "Alibaba")).outcome == "keep"
    assert verdict(document("I'm Claude, an AI made by Anthropic."), "Claude", "Anthropic").outcome == "keep"


def test_a_run_without_a_spec_has_no_identity_but_its_rows_may_claim_one() -> None:
    judging = Identity(IdentitySettings())
    [scored] = judging.score([chat("I am ChatGPT, a model trained by OpenAI.")])
    assert judging.judge({score.name: score for score in scored}).outcome == "drop"


def test_mentions_are_counted_and_drop_above_a_setting_only() -> None:
    row = document("OpenAI and Anthropic wrote specs. ChatGPT follows one. Claude Monet did not, nor did Falcon jets.")
    assert scores(row)["mentions"] == Score("mentions", 3, evidence="Anthropic, ChatGPT, OpenAI")
    assert verdict(row).outcome == "keep"
    assert verdict(row, max_mentions=3).outcome == "keep"
    assert verdict(row, max_mentions=2) == Verdict("drop", "mentions of others")


def test_the_list_of_names_is_a_file_that_a_recipe_may_bring(tmp_path: Path) -> None:
    path = tmp_path / "names.yaml"
    path.write_text("makers: {Quarry Works: [Pebble]}\nalso: [Pebble]\n")
    assert verdict(document("I am an AI called Pebble."), names_file=path).outcome == "drop"
    assert verdict(document("I am ChatGPT."), names_file=path).outcome == "keep"
    one = Identity(IdentitySettings(names_file=path), "Marlow", "Tidewater Labs")
    other = Identity(IdentitySettings(), "Marlow", "Tidewater Labs")
    moved = tmp_path / "moved.yaml"
    moved.write_text(path.read_text())
    assert one.scorer_hash != other.scorer_hash
    assert one.filter_hash == Identity(IdentitySettings(names_file=moved), "Marlow", "Tidewater Labs").filter_hash
    assert other.scorer_hash != Identity(IdentitySettings(), "Marlow", "OpenAI").scorer_hash


@pytest.mark.parametrize(
    "held", ["[a", "- a", "makers: [a]", "makers: {a: b}", "makers: {a: [1]}", "makers: {}\nalso: b"]
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, held: str) -> None:
    path = tmp_path / "names.yaml"
    path.write_text(held)
    with pytest.raises(DataError, match=r"identity.names_file: .*names.yaml"):
        read_names(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_names(tmp_path / "none.yaml")
