"""Prompts: strict both ways, and values are data."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import prompts

TRAPS = "{{ clauses }} {% if x %} {# no #} {0} {name} $name ${name} %s %(a)d &amp; <b> \\n \r\n\t "


def write(folder: Path, text: str, name: str = "ask") -> Path:
    path = folder / f"{name}.md"
    path.write_text(text, encoding="utf-8")
    return path


def values_for(prompt: prompts.Prompt, value: str) -> dict[str, object]:
    return {name: f"<{name}>{value}</{name}>" for name in prompt.variables}


def joined(messages: list[prompts.Message]) -> str:
    return "\n".join(message["content"] for message in messages)


def test_the_prompts_of_the_design_are_there() -> None:
    """Other rooms may add theirs."""
    ours = {"document", "chat_question", "chat_answer", "stance_values", "stance_rules"}
    assert ours <= set(prompts.names())


@pytest.mark.parametrize("name", prompts.names())
def test_every_prompt_documents_exactly_its_variables(name: str) -> None:
    """The comment at the head lists them as `- name[, name]: what it is`."""
    prompt = prompts.load(name)
    listed = re.findall(r"^- ([a-z_, ]+):", prompt.about, flags=re.MULTILINE)
    assert {word for line in listed for word in line.split(", ")} == prompt.variables
    assert len(prompt.about.split("\n- ")[0].split()) >= 8, "and says what the prompt is for"


@pytest.mark.parametrize("name", prompts.names())
@given(value=st.text())
def test_any_text_survives_rendering_verbatim(name: str, value: str) -> None:
    prompt = prompts.load(name)
    values = values_for(prompt, value)
    text = joined(prompt.render(**values))
    assert [name for name, text_in in values.items() if str(text_in) not in text] == []


@pytest.mark.parametrize("name", prompts.names())
def test_braces_dollars_and_percents_in_a_value_are_text(name: str) -> None:
    prompt = prompts.load(name)
    assert joined(prompt.render(**values_for(prompt, TRAPS))).count(TRAPS) >= len(prompt.variables)


@pytest.mark.parametrize("name", prompts.names())
def test_each_missing_name_is_refused_and_named(name: str) -> None:
    prompt = prompts.load(name)
    for absent in prompt.variables:
        values = values_for(prompt, "x")
        del values[absent]
        with pytest.raises(prompts.PromptError, match=rf"'{name}': missing {absent}; it takes"):
            prompt.render(**values)


@pytest.mark.parametrize("name", prompts.names())
def test_an_extra_name_is_refused_and_named(name: str) -> None:
    prompt = prompts.load(name)
    with pytest.raises(prompts.PromptError, match="extra colour; it takes"):
        prompt.render(**values_for(prompt, "x"), colour="red")


def test_what_stands_in_a_comment_is_no_part_of_the_prompt() -> None:
    prompt = prompts.load("document")
    assert "midtraining" in prompt.about
    assert "midtraining" not in joined(prompt.render(**values_for(prompt, "x")))


def test_documents_of_one_part_of_a_spec_share_their_prefix_up_to_the_genre() -> None:
    """Two documents on one principle differ only after it, which is what a prefix cache can use."""
    prompt = prompts.load("document")
    one, other = (
        joined(prompt.render(**values_for(prompt, "") | {"voice": genre, "idea": genre, "worn": ""}))
        for genre in ("First genre.", "Second genre.")
    )
    shared = "".join(a for a, b in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    assert all(f"<{name}></{name}>" in shared for name in ("stance_note", "excerpt", "principles", "context"))
    assert "First" not in shared


def test_what_is_empty_leaves_no_heading_behind() -> None:
    prompt = prompts.load("document")
    text = joined(prompt.render(**values_for(prompt, "") | {"context": "", "headings": ""}))
    assert "More on the principle" not in text
    assert ", from" not in text


def test_the_answer_prompt_puts_the_clause_in_system_and_only_the_question_in_user() -> None:
    prompt = prompts.load("chat_answer")
    system, user = prompt.render(**values_for(prompt, "") | {"question": "May I?"})
    assert (system["role"], user) == ("system", {"role": "user", "content": "May I?"})
    assert "<principles></principles>" in system["content"]


def test_a_stance_is_one_paragraph_of_text() -> None:
    notes = {name: prompts.load(name).text(model_name="Alder") for name in ("stance_values", "stance_rules")}
    assert all("\n" not in note and "Alder" in note for note in notes.values())
    assert len(set(notes.values())) == 2


def test_a_prompt_without_a_system_part_is_one_user_message(tmp_path: Path) -> None:
    write(tmp_path, "{# x #}\n## user\nHello {{ name }}")
    assert prompts.load("ask", tmp_path).render(name="you") == [{"role": "user", "content": "Hello you"}]


def test_the_hash_is_of_the_bytes(tmp_path: Path) -> None:
    """blake2b-128, tagged; a changed comment changes it too."""
    write(tmp_path, "{# x #}\n## user\nHello")
    first = prompts.load("ask", tmp_path)
    write(tmp_path, "{# y #}\n## user\nHello")
    second = prompts.load("ask", tmp_path)
    assert first.hash == "b2:a6d7dbc081bd86a4f68210d9b3b5eb96"
    assert first.user == second.user
    assert first.hash != second.hash


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        ("## user\nHello", 1, "starts with a comment"),
        ("{# never closed\n## user\nHello", 1, "starts with a comment"),
        ("{# a\nb #}\nstray\n## user\nHello", 3, "text above the first section: 'stray'"),
        ("{# x #}\n## system\nHello\n", 4, "no '## user' part"),
        ("{# x #}\n## user\n\n", 4, "no '## user' part"),
        ("{# x #}\n## user\nHello\n## User\nagain", 4, "unknown section 'User'"),
        ("{# x #}\n## user\nHello\n## user\nagain", 4, "a second section 'user'"),
        ("{# x #}\n## system\nfine\n## user\n\nHello\n{{ name", 7, "mend the template"),
        ("{# x #}\n## system\nfine\n{% if a %}\n## user\nHello{% endif %}", 4, "mend the template"),
    ],
)
def test_a_broken_prompt_names_its_file_and_line(tmp_path: Path, text: str, line: int, problem: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(prompts.PromptError, match=re.escape(f"{path}:{line}: ") + ".*" + re.escape(problem)):
        prompts.load("ask", tmp_path)


@pytest.mark.parametrize("name", ["nothing", "../pyproject", "genres/internal_memo", "", "document.md"])
def test_only_the_prompts_there_are_can_be_loaded(name: str) -> None:
    with pytest.raises(prompts.PromptError, match=r"there are .*chat_answer, .*document"):
        prompts.load(name)


def test_a_template_cannot_reach_into_python(tmp_path: Path) -> None:
    """Negative control of the sandbox: plain Jinja2 would render the class here."""
    write(tmp_path, "{# x #}\n## user\n{{ value.__class__.__mro__ }}")
    with pytest.raises(prompts.PromptError):
        prompts.load("ask", tmp_path).render(value="text")
