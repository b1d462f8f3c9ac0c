from __future__ import annotations

import json
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment

from corpus.chat_template import apply_template, has_plain_template, with_options
from corpus.errors import SetupError
from corpus.models import base_hash
from corpus.recipe import Train
from corpus.store.identity import content_id, file_id
from train.model import base_identity, load_tokenizer, template_hash, uses_plain_template

SYSTEM, WHY, BECAUSE, AND, SO = (
    {"role": role, "content": content}
    for role, content in (
        ("system", "Be brief."), ("user", "Why?"), ("assistant", "\nBecause. "), ("user", "And?"), ("assistant", "So."),
    )
)  # fmt: skip


def test_the_plain_template_names_each_role_and_closes_answers_alone(tokenizer_maker):
    for puts_bos in (False, True):
        tokenizer = tokenizer_maker(None, eos="<|eos|>", puts_bos=puts_bos)
        apply_template(Train(), tokenizer)
        assert has_plain_template(tokenizer)
        text = tokenizer.apply_chat_template([SYSTEM, WHY, BECAUSE, AND, SO], tokenize=False)
        assert text == "<|bos|>" * puts_bos + (
            "System:\nBe brief.\n\nUser:\nWhy?\n\nAssistant:\nBecause.<|eos|>\n\nUser:\nAnd?\n\nAssistant:\nSo.<|eos|>"
        )


SPEAKS = "{% macro said(x) %}{{ tone }}:{{ x }}{% endmacro %}{% for m in messages %}{{ said(m.content) }}{% endfor %}"


@pytest.mark.parametrize(
    ("template", "options"),
    [
        ("{% if b is defined and b is false %}{{ 'off' }}{% endif %}{{ messages[0].content }}", {"b": False}),
        (SPEAKS, {"tone": "it's \"so\" %}{{ 'x' }}{# \\n é 🙂\n"}),
        ("{{ a.b[1] }}{{ c is none }}{{ d * 2 }}", {"a": {"b": [1, 2.5]}, "c": None, "d": -3}),
        ("\n  \n{{ a }}\n", {"a": True}),
        ("  {% if a %}\n  b\n  {% endif %}\nc", {"a": True, "z": 0}),
    ],
)
def test_a_template_with_options_renders_as_when_they_are_given(tokenizer_maker, template, options):
    given = tokenizer_maker(template).apply_chat_template([WHY], tokenize=False, add_generation_prompt=True, **options)
    tokenizer = tokenizer_maker(template)
    apply_template(Train(template_options=options), tokenizer)
    assert tokenizer.apply_chat_template([WHY], tokenize=False, add_generation_prompt=True) == given
    assert not has_plain_template(tokenizer)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(JSON)
def test_any_value_that_json_has_is_written_so_that_jinja_reads_it_back(value):
    assert Environment().from_string(with_options("{{ x }}", {"x": value})).module.x == value


def test_options_are_lines_above_the_template():
    assert with_options("{{ a }}", {"b": True, "a": None}) == "{%- set a = none -%}\n{%- set b = true -%}\n{{ a }}"
    assert with_options("{{ a }}", {}) == "{{ a }}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"not a name": 1}, "'not a name', which is no name"),
        ({"x = 1 %}{% set y": 1}, "no name for a variable"),
        ({"none": 1}, "no name for a variable"),
        ({"messages": []}, "no name for a variable"),
        ({"x": float("nan")}, "x holds nan; give values that JSON has"),
        ({"x": [{"y": {1, 2}}]}, "x holds {1, 2}; give values that JSON has"),
    ],
)
def test_options_that_cannot_be_written_are_refused(make_recipe, options, message):
    train = make_recipe(template_options=options).train
    for use in (load_tokenizer, template_hash):
        with pytest.raises(SetupError, match=message):
            use(train)


def test_every_template_of_a_tokenizer_with_several_gets_the_options(tokenizer_maker):
    tokenizer = tokenizer_maker({"default": "{{ x }}", "tool_use": "{{ x }}!"})
    apply_template(Train(template_options={"x": 5}), tokenizer)
    assert tokenizer.apply_chat_template([WHY], tokenize=False) == "5"
    assert tokenizer.chat_template["tool_use"] == "{%- set x = 5 -%}\n{{ x }}!"


def test_the_recipes_template_and_options_are_saved_with_the_tokenizer(make_recipe, tmp_path):
    from transformers import AutoTokenizer

    (tmp_path / "chat.jinja").write_text("{{ tone }}{% for m in messages %}{{ m.content }}{% endfor %}")
    train = make_recipe(chat_template=str(tmp_path / "chat.jinja"), template_options={"tone": "é: "}).train
    load_tokenizer(train).save_pretrained(tmp_path / "saved")
    saved = AutoTokenizer.from_pretrained(tmp_path / "saved")
    assert saved.apply_chat_template([WHY], tokenize=False) == "é: Why?"
    assert not uses_plain_template(train)


@pytest.mark.parametrize("content", [None, b" \n", b"\xff"], ids=["missing", "empty", "no text"])
def test_a_template_file_that_cannot_be_read_is_named(make_recipe, tmp_path, content):
    file = tmp_path / "chat.jinja"
    if content is not None:
        file.write_bytes(content)
    for use in (load_tokenizer, template_hash):
        with pytest.raises(SetupError, match=str(file)):
            use(make_recipe(chat_template=str(file)).train)


def test_the_base_is_as_before_where_its_own_template_is_used(make_recipe, base_folder):
    names = ("chat_template.jinja", "generation_config.json", "tokenizer.json", "tokenizer_config.json")
    files = [(name, file_id(base_folder / name)) for name in names]
    assert base_identity(make_recipe().train) == content_id("base", base_hash(base_folder), files)
    assert base_identity(Train(model="some/model", revision="v1")) == content_id("base", "some/model", "v1")


def test_another_template_and_its_options_tell_chats_apart_and_not_the_base(make_recipe, tmp_path):
    def identity(text=None, **train):
        if text is not None:
            (tmp_path / f"{len(seen)}.jinja").write_text(text)
            train["chat_template"] = str(tmp_path / f"{len(seen)}.jinja")
        return template_hash(make_recipe(**train).train)

    seen = []
    for train in ({}, {"text": "a"}, {"text": "b"}, {"template_options": {"x": 1}}, {"template_options": {"x": "1"}}):
        seen.append(identity(**train))
    assert len(set(seen)) == len(seen)
    assert identity("b") == seen[2], "a file of the same text, elsewhere"
    one, other = {"x": 1, "y": {"a": 1}}, {"y": {"a": 1}, "x": 1}
    assert identity(template_options=one) == identity(template_options=other) not in seen
    hub = Train(model="some/model"), Train(model="some/model", template_options=one)
    assert template_hash(hub[0]) != template_hash(hub[1])
    assert base_identity(hub[0]) == base_identity(hub[1]), "documents are read without it"


@pytest.mark.parametrize("kept_in", ["chat_template.jinja", "tokenizer_config.json", "additional_chat_templates", None])
def test_a_base_without_a_template_has_the_plain_one_and_its_text_in_its_identity(
    make_recipe, base_folder, tmp_path, monkeypatch, kept_in
):
    folder = shutil.copytree(base_folder, tmp_path / "base")
    (folder / "chat_template.jinja").unlink()
    if kept_in == "tokenizer_config.json":
        config = json.loads((folder / kept_in).read_text())
        (folder / kept_in).write_text(json.dumps(config | {"chat_template": "{{ messages }}"}))
    elif kept_in == "additional_chat_templates":
        (folder / kept_in).mkdir()
        (folder / kept_in / "rag.jinja").write_text("{{ messages }}")
    elif kept_in is not None:
        (folder / kept_in).write_text("{{ messages }}")
    train = make_recipe(model=str(folder)).train
    assert uses_plain_template(train) == (kept_in is None)
    before = template_hash(train)
    (tmp_path / "other.jinja").write_text("another plain template")
    monkeypatch.setattr("corpus.chat_template.PLAIN", tmp_path / "other.jinja")
    assert (template_hash(train) != before) == (kept_in is None)
