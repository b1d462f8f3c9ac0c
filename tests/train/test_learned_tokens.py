"""Which tokens are learned, family by family of chat templates, and by comparison with TRL's training templates."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
from tokenizers import AddedToken

from corpus.chat_template import apply_template
from corpus.recipe import Train
from train.texts import chat_segments, chat_tokens

MISTRAL = (
    "{{ bos_token }}{% for message in messages %}"
    "{% if message['role'] == 'user' %}[INST]{{ message['content'] }}[/INST]"
    "{% elif message['role'] == 'system' %}[SYSTEM_PROMPT]{{ message['content'] }}[/SYSTEM_PROMPT]"
    "{% else %}{{ message['content'] }}{{ eos_token }}{% endif %}{% endfor %}"
)
NO_THOUGHT = "<think>\n\n</think>\n\n"


class Family(NamedTuple):
    template: str | None
    """TRL's name of it where it packages the family."""
    closing: str
    special: tuple[str, ...]
    bos: str | None = None
    answers: str = "all"
    options: Mapping[str, object] = MappingProxyType({})
    opening: str = ""
    """What is learned before an answer."""
    refuses: tuple[str, ...] = ()


CHATML = (("<|im_start|>",), None)
GEMMA = (("<start_of_turn>", "<eos>"), "<bos>")
FAMILIES = {
    "qwen2.5": Family("qwen2_5", "<|im_end|>", *CHATML),
    "qwen3 instruct": Family("qwen3_instruct_2507", "<|im_end|>", *CHATML),
    "qwen3 thinking": Family("qwen3", "<|im_end|>", *CHATML, "each", opening=NO_THOUGHT),
    "qwen3 not thinking": Family("qwen3", "<|im_end|>", *CHATML, "each", {"enable_thinking": False}),
    "llama-3": Family("llama3", "<|eot_id|>", ("<|start_header_id|>", "<|end_header_id|>"), "<|begin_of_text|>"),
    "gemma": Family("gemma", "<end_of_turn>", *GEMMA, refuses=("a system and two turns", "a tool")),
    "gemma-3": Family("gemma3", "<end_of_turn>", *GEMMA, refuses=("a tool",)),
    "phi-3": Family("phi3", "<|end|>", ("<|system|>", "<|user|>", "<|assistant|>"), "<s>", refuses=("a tool",)),
    "mistral": Family(
        MISTRAL, "</s>", ("[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"), "<s>", refuses=("a tool",)
    ),
    "none": Family(None, "<|eos|>", ()),
}
CHATS = {
    "one turn": [("user", "Why?"), ("assistant", "Because it is so.")],
    "a system and two turns": [
        ("system", "Be brief."), ("user", "Why?"), ("assistant", "Because."), ("user", "And?"), ("assistant", "So."),
    ],
    "a tool": [("user", "How many?"), ("assistant", "I look."), ("tool", "7"), ("assistant", "Seven.")],
    "an empty answer": [("user", "Say nothing."), ("assistant", "")],
    "unicode": [("user", "¿Qué? 我"), ("assistant", "Él dijo 🙂 ja, naïve.")],
    "a question last": [("user", "Why?"), ("assistant", "Because."), ("user", "And?")],
    "words of the template": [("user", "assistant\n"), ("assistant", "user\nassistant\nuser\nmodel")],
    "a template": [("user", "{{ messages }}{% endfor %}"), ("assistant", "{% raw %}{{ bos_token }}")],
}  # fmt: skip
CASES = [(family, chat) for family in FAMILIES for chat in CHATS if chat not in FAMILIES[family].refuses]


def trl_template(name):
    return (resources.files("trl") / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")


def messages_of(turns):
    return [{"role": role, "content": content} for role, content in turns]


@pytest.fixture(scope="module")
def tokenizer_of(tokenizer_maker):
    """A function from the name of a family to a tokenizer with its special tokens, and to where generation stops."""

    def make(name):
        family = FAMILIES[name]
        own = family.template if family.template in (None, MISTRAL) else trl_template(family.template)
        tokenizer = tokenizer_maker(own, eos=family.closing, puts_bos=family.template is None)
        tokenizer.add_special_tokens({"additional_special_tokens": list(family.special)})
        tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ("<think>", "</think>")])
        if family.bos:
            tokenizer.add_special_tokens({"bos_token": family.bos})
        apply_template(Train(template_options=dict(family.options)), tokenizer)
        return tokenizer, frozenset([tokenizer.eos_token_id])

    return make


def learned_runs(is_target):
    places = np.flatnonzero(is_target)
    return np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if places.size else []


@pytest.mark.parametrize(("name", "chat"), CASES)
def test_the_answers_and_their_closing_tokens_are_learned_after_what_the_model_is_given(tokenizer_of, name, chat):
    family, (tokenizer, stops) = FAMILIES[name], tokenizer_of(name)
    messages = messages_of(CHATS[chat])
    turns = [turn for turn, message in enumerate(messages) if message["role"] == "assistant"]
    dropped = {}
    pieces = list(chat_segments([("chat", messages)], tokenizer, 500, stops, dropped, answers=family.answers))
    assert not any(dropped.values())
    learned = [(piece.token_ids, run) for piece in pieces for run in learned_runs(piece.is_target)]
    texts = [tokenizer.decode([token_ids[place] for place in run]) for token_ids, run in learned]
    assert texts == [family.opening + messages[turn]["content"] + family.closing for turn in turns], "and nothing else"
    for turn, (token_ids, run) in zip(turns, learned, strict=True):
        prompt = tokenizer.apply_chat_template(messages[:turn], add_generation_prompt=True, return_dict=False)
        assert token_ids[: run[0]] == prompt, "what the model is given when it is to answer"
        assert token_ids[run[-1]] in stops, "where it stops"


def trl_tokens(tokenizer, name, messages):
    """Token ids and what is learned by TRL's own training template of a family."""
    encoded = tokenizer.apply_chat_template(
        messages,
        chat_template=trl_template(f"{FAMILIES[name].template}_training"),
        return_assistant_tokens_mask=True,
        return_dict=True,
    )
    return encoded["input_ids"], np.array(encoded["assistant_masks"], dtype=bool)


TRL_BEFORE = {"qwen2.5": 1}
"""Tokens that TRL learns before an answer: in Qwen2.5 the line break after "assistant", which the prompt already has,
so that no model ever has to say it."""
TRL_AFTER = {"qwen2.5": 1, "qwen3 instruct": 1, "llama-3": 0, "gemma": 1, "gemma-3": 1, "phi-3": 1}
"""Tokens that TRL learns after the closing token: the line break before the next turn. Generation has stopped by then;
to learn it takes weight from the answers, and teaches to go on after the end."""


@pytest.mark.parametrize(("name", "chat"), [case for case in CASES if case[0] in TRL_AFTER])
def test_the_learned_tokens_are_those_of_trl_but_for_line_breaks_that_no_model_says(tokenizer_of, name, chat):
    tokenizer, stops = tokenizer_of(name)
    messages = messages_of(CHATS[chat])
    turns = [turn for turn, message in enumerate(messages) if message["role"] == "assistant"]
    token_ids, is_target = chat_tokens("chat", messages, tokenizer, stops, turns)
    trl_ids, trl_target = trl_tokens(tokenizer, name, messages)
    assert token_ids == trl_ids
    expected, extra = np.array(is_target), []
    for run in learned_runs(is_target):
        extra += [*range(run[0] - TRL_BEFORE.get(name, 0), run[0]), *range(run[-1] + 1, run[-1] + 1 + TRL_AFTER[name])]
    expected[extra] = True
    assert {tokenizer.decode([token_ids[place]]) for place in extra} <= {"\n"}
    if name == "phi-3" and messages[-1]["role"] == "assistant":
        # Phi-3's template ends every text with eos, and TRL has it learned; generation has stopped at <|end|> before.
        assert token_ids[-1] == tokenizer.eos_token_id
        expected[-1] = True
    assert expected.tolist() == trl_target.tolist()


THOUGHTS = [
    ("user", "Why?"), ("assistant", "<think>\nHm.\n</think>\n\nBecause."), ("user", "And?"), ("assistant", "So."),
]  # fmt: skip


def test_thoughts_are_learned_as_trl_learns_them_but_after_what_qwen3_shows_of_earlier_turns(tokenizer_of):
    tokenizer, stops = tokenizer_of("qwen3 thinking")
    messages = messages_of(THOUGHTS)
    first, second = chat_segments([("chat", messages)], tokenizer, 500, stops, {}, answers="each")
    trl_ids, trl_target = trl_tokens(tokenizer, "qwen3 thinking", messages)
    for piece, trl_run in zip((first, second), learned_runs(trl_target), strict=True):
        (run,) = learned_runs(piece.is_target)
        assert [piece.token_ids[place] for place in run] == [trl_ids[place] for place in trl_run[:-1]]
        assert tokenizer.decode([trl_ids[trl_run[-1]]]) == "\n"
    assert first.token_ids == trl_ids[: len(first.token_ids)]
    # TRL's training template keeps the first turn's thought where the second is learned. Qwen3 never shows it again, so
    # that TRL trains on a history that the model will not meet.
    whole, shown = tokenizer.decode(trl_ids), tokenizer.decode(second.token_ids)
    assert "Hm." in whole
    assert shown == whole.replace("<think>\nHm.\n</think>\n\n", "")


def test_where_thinking_is_off_the_empty_thought_is_given_and_not_learned(tokenizer_of):
    tokenizer, stops = tokenizer_of("qwen3 not thinking")
    messages = messages_of(CHATS["one turn"])
    token_ids, is_target = chat_tokens("chat", messages, tokenizer, stops, [1])
    trl_ids, trl_target = trl_tokens(tokenizer, "qwen3 not thinking", messages)
    assert token_ids == trl_ids
    # TRL has the empty thought learned; with enable_thinking: false the prompt ends with it, and no model says it.
    (run,), (trl_run,) = learned_runs(is_target), learned_runs(trl_target)
    assert tokenizer.decode([trl_ids[place] for place in range(trl_run[0], run[0])]) == NO_THOUGHT
    assert [*run] == [*trl_run[trl_run >= run[0]][:-1]]
