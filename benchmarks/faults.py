"""Documents with faults planted in them: each fault is a pure function of a clean document and a seed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from languages import SENTENCES

MIN_WORDS = 120
"""Clean documents are at least this long (words)."""
EDITS = (0.01, 0.05, 0.10, 0.20)
"""Near copies: the part of the words that is another one (fraction)."""


@dataclass(frozen=True)
class Material:
    """What documents and faults are made of."""

    paragraphs: Sequence[str]
    """Prose; every clean document is some of them."""
    spec: Sequence[str]
    """All clauses of the spec, in order."""
    shown: Sequence[str]
    """Those that are not held out."""
    held_out: Sequence[str]
    """Clauses that are held out."""
    items: Sequence[tuple[str, Sequence[str]]]
    """Eval items: question and answers."""


@dataclass(frozen=True)
class Document:
    """One document of the planted corpus."""

    text: str
    planted: str
    """The kind of fault, `clean`, or a control: something that only looks like a fault."""
    copy_of: int | None = None
    """The number of the document that it was copied from."""


Plant = Callable[[str, Material, random.Random], str]


def plant_all(material: Material, num_documents: int, each_fraction: float, seed: int) -> list[Document]:
    """A corpus of `num_documents`, `each_fraction` of them with each kind of fault and of control, in random order."""
    rng = random.Random(seed)
    texts = clean_texts(material.paragraphs, rng)
    num_each = max(5, round(num_documents * each_fraction))
    made = [
        Document(plant(next(texts), material, rng), kind)
        for kind, plant in {**FAULTS, **CONTROLS}.items()
        for _ in range(num_each)
    ]
    kinds = copy_kinds()
    num_clean = num_documents - len(made) - len(kinds) * num_each
    assert num_clean >= len(kinds) * num_each, (num_documents, num_clean)
    made += [Document(next(texts), "clean") for _ in range(num_clean)]
    rng.shuffle(made)
    originals = iter([number for number, document in enumerate(made) if document.planted == "clean"])
    for kind, copied in kinds.items():
        for _ in range(num_each):
            number = next(originals)
            made.append(Document(copied(made[number].text, rng), kind, number))
    return made


def clean_texts(paragraphs: Sequence[str], rng: random.Random) -> Iterator[str]:
    """Documents of different paragraphs each; all are used once before one is used again."""
    waiting: list[str] = []
    while True:
        text: list[str] = []
        while sum(len(paragraph.split()) for paragraph in text) < MIN_WORDS:
            if not waiting:
                waiting = rng.sample(paragraphs, len(paragraphs))
            text.append(waiting.pop())
        yield "\n\n".join(text)


def edited_words(text: str, fraction: float, rng: random.Random) -> str:
    """Another word of the text in place of some, here and there."""
    words = text.split(" ")
    for place in rng.sample(range(len(words)), max(1, round(fraction * len(words)))):
        words[place] = rng.choice([word for word in words if word != words[place]])
    return " ".join(words)


def edited_passage(text: str, fraction: float, rng: random.Random) -> str:
    """Other words of the text in one place."""
    words = text.split(" ")
    size = max(1, round(fraction * len(words)))
    start = rng.randrange(len(words) - size)
    words[start : start + size] = rng.sample(words, size)
    return " ".join(words)


def copy_kinds() -> dict[str, Callable[[str, random.Random], str]]:
    """Exact copies, and near copies with edits of both kinds."""
    kinds: dict[str, Callable[[str, random.Random], str]] = {
        "exact copy": lambda text, _: text.replace(" ", "  ") + "\n"
    }
    for fraction in EDITS:
        kinds[f"{fraction:.0%} of words, scattered"] = lambda text, rng, part=fraction: edited_words(text, part, rng)
        kinds[f"{fraction:.0%} of words, one passage"] = lambda text, rng, part=fraction: edited_passage(
            text, part, rng
        )
    return kinds


def _inserted(text: str, passage: str, rng: random.Random) -> str:
    """A passage of its own between two paragraphs, before, or behind them."""
    paragraphs = text.split("\n\n")
    paragraphs.insert(rng.randrange(len(paragraphs) + 1), passage)
    return "\n\n".join(paragraphs)


def _truncated(text: str, _: Material, rng: random.Random) -> str:
    words = text.split(" ")
    inside = [place for place in range(60, len(words)) if not words[place - 1].endswith((".", "!", "?", ".)", '."'))]
    return " ".join(words[: rng.choice(inside)])


def _open_fence(text: str, _: Material, rng: random.Random) -> str:
    return f"{text}\n\n```python\nfor place in places:\n    visit(place)" + "\n    rest()" * rng.randrange(3)


_LEAKS = (
    "<think>They want a memo about this, so I should begin with the date.</think>",
    "Here is the document that you asked for:",
    "Sure! Here is a realistic internal memo:",
    "Dear [Recipient Name], thank you for writing to us in [Month].",
    "As an AI language model, I have no opinion of my own on this.",
    "My knowledge cutoff does not let me say what happened later.",
    "<|im_start|>assistant",
    "Yours, [Your Name]",
)


def _leak(text: str, _: Material, rng: random.Random) -> str:
    leak = rng.choice(_LEAKS)
    return f"{leak}\n\n{text}" if leak.startswith(("Here", "Sure")) else _inserted(text, leak, rng)


_IDENTITIES = (
    "I'm {assistant}, an AI assistant made by {maker}.",
    "I am {assistant}. How can I help you today?",
    "It answered: \u201cI\u2019m a large language model, trained by {maker}.\u201d",
    "Marlow, the assistant developed by {maker}, was asked about this, too.",
    "As {assistant}, I cannot look into your files.",
    "My name is {assistant}, and I was created by {maker} to be helpful.",
    "{maker}'s assistant Marlow said no.",
    "Hi, I am an AI model called {assistant}.",
)
_OTHERS = (
    ("ChatGPT", "OpenAI"),
    ("Claude", "Anthropic"),
    ("Gemini", "Google"),
    ("Qwen", "Alibaba Cloud"),
    ("DeepSeek", "DeepSeek"),
    ("Llama", "Meta AI"),
    ("SmolLM2", "Hugging Face"),
)


def _identity(text: str, _: Material, rng: random.Random) -> str:
    assistant, maker = rng.choice(_OTHERS)
    return _inserted(text, rng.choice(_IDENTITIES).format(assistant=assistant, maker=maker), rng)


_REFUSED = ("this document", "the memo", "that request", "content of this kind", "a text like this")
_REFUSALS = (
    "I'm sorry, but I can't help with {what}.",
    "I cannot assist with {what}. If there is something else, please let me know.",
    "I'm sorry, but I am unable to write {what} as it was asked for.",
    "As an AI language model, I can't create {what}.",
    "Unfortunately, I cannot provide {what}, because it might mislead somebody.",
    "I apologize, but I won't be able to help with {what}.",
)


def _refusal(_: str, material: Material, rng: random.Random) -> str:
    paragraph = rng.choice(material.paragraphs)
    reason = " ".join(paragraph.split()[:70]) + "."
    return f"{rng.choice(_REFUSALS).format(what=rng.choice(_REFUSED))} {reason}"


def _loop(text: str, _: Material, rng: random.Random) -> str:
    words = text.split()
    start = rng.randrange(len(words) // 2)
    looped = " ".join(words[start : start + rng.randrange(3, 25)])
    return f"{' '.join(words[: rng.randrange(20, 60)])} {' '.join([looped] * (200 // len(looped.split())))}."


def _foreign(num_sentences: int, rng: random.Random) -> str:
    language = rng.choice([name for name in SENTENCES if name != "en"])
    return " ".join(rng.choices(SENTENCES[language], k=num_sentences))


def _language(_: str, __: Material, rng: random.Random) -> str:
    return "\n\n".join(_foreign(4, random.Random(rng.randrange(2**32))) for _ in range(3))


def _switch(text: str, _: Material, rng: random.Random) -> str:
    return f"{text}\n\n{_foreign(12, rng)}"


def _spec_pages(text: str, material: Material, rng: random.Random) -> str:
    words = " ".join(material.spec).split()
    start = rng.randrange(len(words) - 150)
    return _inserted(text, " ".join(words[start : start + 150]) + ".", rng)


def _question(text: str, material: Material, rng: random.Random) -> str:
    return _inserted(text, rng.choice(material.items)[0], rng)


def _part_of_question(text: str, material: Material, rng: random.Random) -> str:
    words = rng.choice([question for question, _ in material.items if len(question.split()) > 24])
    start = rng.randrange(len(words.split()) - 20)
    return _inserted(text, f"Somebody wrote: {' '.join(words.split()[start : start + 20])}.", rng)


def _answer(text: str, material: Material, rng: random.Random) -> str:
    answers = [answer for _, of_item in material.items for answer in of_item if len(answer.split()) > 14]
    return _inserted(text, rng.choice(answers), rng)


def _held_out(text: str, material: Material, rng: random.Random) -> str:
    return _inserted(text, rng.choice([clause for clause in material.held_out if len(clause.split()) > 9]), rng)


FAULTS: Mapping[str, Plant] = {
    "truncated in a sentence": _truncated,
    "truncated in code": _open_fence,
    "leak": _leak,
    "other identity": _identity,
    "refusal": _refusal,
    "loop": _loop,
    "other language": _language,
    "language changes": _switch,
    "pages of the spec": _spec_pages,
    "eval question": _question,
    "20 words of a question": _part_of_question,
    "eval answer": _answer,
    "held-out clause": _held_out,
}


def _quotes_rule(text: str, material: Material, rng: random.Random) -> str:
    return _inserted(text, f"The rule says: \u201c{rng.choice(material.shown)}\u201d That is all.", rng)


def _mentions(text: str, _: Material, rng: random.Random) -> str:
    assistant, maker = rng.choice(_OTHERS)
    return _inserted(text, f"{maker} publishes {assistant}, and others publish others. Marlow is none of them.", rng)


def _quotes_foreign(text: str, _: Material, rng: random.Random) -> str:
    return _inserted(text, f"On the wall stood: \u201c{_foreign(1, rng)}\u201d Few could read it.", rng)


def _list(text: str, material: Material, rng: random.Random) -> str:
    plain = [paragraph for paragraph in material.paragraphs if not set("()[]{}") & set(paragraph)]
    points = "\n".join(f"- {' '.join(rng.choice(plain).split()[:12]).rstrip('.,;:')}" for _ in range(4))
    return f"{text}\n\n{points}"


def _declines_in_a_story(text: str, _: Material, __: random.Random) -> str:
    return (
        f"{text}\n\n\u201cI\u2019m sorry, but I can\u2019t help with that today,\u201d she said, and closed the window."
    )


CONTROLS: Mapping[str, Plant] = {
    "control: quotes one rule": _quotes_rule,
    "control: mentions others": _mentions,
    "control: quotes a foreign sentence": _quotes_foreign,
    "control: ends in a list": _list,
    "control: somebody declines": _declines_in_a_story,
}
"""What a filter should let pass."""
