"""Wrong input gets one clear message: what was wrong, the value seen, what to do next; exit 2, no traceback."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import specmill

SPEC = "# Conduct\n\n- The assistant should say what it does not know.\n- The assistant must never deceive.\n"
RECIPE = "name: test\nruns: {runs}\nspec: {{path: spec.md}}\n{more}\n"


class Front:
    """The command, in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        self.folder, self._monkeypatch, self._capfd = folder, monkeypatch, capfd
        self.recipe = folder / "recipe.yaml"
        self.run_folder = folder / "runs" / "test"
        self.write()

    def write(self, more: str = "", spec: str | bytes | None = SPEC) -> None:
        self.recipe.write_text(RECIPE.format(runs=self.folder / "runs", more=more))
        if spec is not None:
            (self.folder / "spec.md").write_bytes(spec.encode() if isinstance(spec, str) else spec)

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["specmill", *map(str, arguments)])
        code = 0
        try:
            specmill.main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
        captured = self._capfd.readouterr()
        return code, captured.out, captured.err

    def refuses(self, *arguments: object) -> str:
        """The message of a verb that must be refused."""
        code, _, errors = self(*arguments)
        assert code == 2, errors
        assert "Traceback" not in errors
        messages = [line for line in errors.splitlines() if line.startswith("specmill: ")]
        assert len(messages) == 1, errors
        return messages[0]


@pytest.fixture
def front(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Front:
    return Front(tmp_path, monkeypatch, capfd)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "empty"),
        (" \n\n\t\n", "empty"),
        ("# Only\n\n## Headings\n", "no rule"),
        ("- A rule.\n" * 600_000, "6.0 MB"),
        ("- caf\xe9 rules\n".encode("latin-1"), "UTF-8"),
    ],
    ids=["empty", "blank", "no clauses", "too large", "not UTF-8"],
)
@pytest.mark.parametrize("verb", ["plan", "generate"])
def test_a_spec_that_cannot_be_used_is_refused_before_a_run_is_made(
    front: Front, spec: str | bytes, message: str, verb: str
) -> None:
    front.write(spec=spec)
    assert message.casefold() in front.refuses(verb, front.recipe).casefold()
    assert not front.run_folder.exists()


def test_a_missing_spec_is_named(front: Front) -> None:
    (front.folder / "spec.md").unlink()
    assert "spec.md" in front.refuses("generate", front.recipe)
    assert not front.run_folder.exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("genrate: {documents: 3}", "did you mean 'generate'"),
        ("generate: {genres: {internal memo: 0}}", "weights sum to 0"),
        ("generate: {documents: -1}", "got -1"),
        ("generate: {genres: {internal mmo: 1}}", "did you mean 'internal memo'"),
        ("curate: {filters: [lenght]}", "length"),
        ("eval: {tasks: [perplexiti]}", "perplexity"),
        ("arms: {base: []}\neval: {samples: 2}", "eval.samples (2): none of the tasks asks for answers"),
        (
            "arms: {base: []}\nengines: {judge: {}}\neval: {judge: judge}",
            "eval.judge (judge): none of the tasks asks for answers",
        ),
        (
            "engine: {kind: openai, base_url: 'http://h/v1', options: {as_of: 2024-01-01}}",
            "as_of holds datetime.date(2024, 1, 1), which JSON does not have",
        ),
        ("engine: {options: {sizes: !!set {a, b}}}", "which JSON does not have"),
        ("engine: {kind: openai, base_url: 'h:8000/v1'}", "base_url (h:8000/v1) is no address"),
        ("engines: {judge: {}}", "engines (judge): nothing would use it"),
        ("curate: {filters: [judge: {engine: critic}]}", "judge names the engine 'critic'; engines has none"),
        ("curate: {filters: [judge]}", "judge: engine: Field required"),
    ],
)
def test_a_wrong_recipe_is_refused_by_run_and_by_plan(front: Front, more: str, message: str) -> None:
    front.write(more)
    for verb in ("plan", "run"):
        assert message in front.refuses(verb, front.recipe)
    assert not front.run_folder.exists()


def test_a_model_folder_that_is_not_there_is_named(front: Front) -> None:
    file = front.folder / "rows.jsonl"
    file.write_text(json.dumps({"text": "Some text."}) + "\n")
    assert "nowhere" in front.refuses("import", front.recipe, file, "-o", "train.model=./nowhere")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "fine"}\n{"text": oops}\n', ":2: not JSON"),
        ('{"text": "fine"}\n{"words": "none"}\n', ":2"),
        ('{"messages": [{"role": "wizard", "content": "x"}]}\n', "wizard"),
        ('{"text": "half \\ud800"}\n', "half a character"),
        ('{"text": "fine", "note": "half \\ud800"}\n', "half a character"),
        ('{"messages": [{"role": "user", "content": "x"}]}\n', "--skip-bad"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_nothing_is_imported(front: Front, content: str, message: str) -> None:
    file = front.folder / "rows.jsonl"
    file.write_text(content)
    assert message in front.refuses("import", front.recipe, file)
    code, out, _ = front("sql", front.run_folder, "SELECT count(*) AS n FROM all_documents", "--format", "csv")
    assert (code, out.split()) == (0, ["n", "0"])


def test_importing_twice_adds_nothing_and_copies_stay_apart(front: Front) -> None:
    file = front.folder / "rows.jsonl"
    file.write_text('{"text": "The same."}\n{"text": "The same."}\n{"text": "Another {one} for $5 at 100%."}\n')
    for _ in range(2):
        assert front("import", front.recipe, file, "--as", "notes")[0] == 0
    _, out, _ = front("sql", front.run_folder, "SELECT source, num_tokens > 0 AS counted FROM documents ORDER BY 1",
                      "--format", "csv")  # fmt: skip
    assert out.split() == ["source,counted", "rows.jsonl:1,True", "rows.jsonl:2,True", "rows.jsonl:3,True"]


def test_a_budget_larger_than_the_corpus_is_a_table_of_what_is_short(front: Front) -> None:
    front.write("curate: {filters: []}\nmixes: {docs: {kind: documents, tokens: 100000}}")
    file = front.folder / "rows.jsonl"
    file.write_text("".join(json.dumps({"text": f"Sentence number {n} of a small corpus."}) + "\n" for n in range(30)))
    assert front("import", front.recipe, file)[0] == 0
    assert front("curate", front.recipe)[0] == 0
    code, _, errors = front("mix", front.recipe)
    assert code == 2
    assert "100000" in errors.replace(",", "")
    assert "Traceback" not in errors


def test_a_dry_run_shows_target_against_actual_and_what_is_short_and_writes_nothing(front: Front) -> None:
    front.write("curate: {filters: []}\nmixes: {docs: {tokens: 100000, genres: {memo: 3, blog: 1}}}")
    assert "no run" in front.refuses("mix", front.recipe, "--dry-run")
    file = front.folder / "rows.jsonl"
    rows = [{"text": f"Sentence number {n} of a small corpus.", "genre": "memo"} for n in range(30)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert front("import", front.recipe, file)[0] == 0
    assert "specmill curate" in front.refuses("mix", front.recipe, "--dry-run")
    assert front("curate", front.recipe)[0] == 0
    before = sorted(front.run_folder.rglob("*"))
    code, out, errors = front("mix", front.recipe, "docs", "--dry-run")
    assert (code, errors) == (0, "")
    for words in ("target against actual", "75,000", "25,000", "there is no genre 'blog'"):
        assert words in " ".join(out.split())
    assert sorted(front.run_folder.rglob("*")) == before


def test_mixing_training_and_evaluating_too_early_name_the_verb_that_is_missing(front: Front) -> None:
    front.write(
        "mixes: {docs: {kind: documents}}\ntrain: {stages: {midtrain: {data: docs}}}\n"
        "arms: {base: [], midtrain: [midtrain]}"
    )
    assert "specmill curate" in front.refuses("mix", front.recipe)
    assert "specmill mix" in front.refuses("train", front.recipe)
    assert "specmill train" in front.refuses("eval", front.recipe, "--arm", "midtrain")


def test_a_message_shows_control_characters_instead_of_sending_them(front: Front) -> None:
    assert r"\x1b[2Jgone.jsonl" in front.refuses("import", front.recipe, front.folder / "\x1b[2Jgone.jsonl")


def test_an_unknown_mix_or_arm_is_refused(front: Front) -> None:
    front.write("mixes: {docs: {kind: documents}}")
    assert "docs" in front.refuses("mix", front.recipe, "dcs")
    assert "nobody" in front.refuses("train", front.recipe, "--arm", "nobody")


def test_a_recipe_that_a_verb_refuses_does_not_become_the_runs(front: Front) -> None:
    front.write("mixes: {docs: {kind: documents}}")
    file = front.folder / "rows.jsonl"
    file.write_text('{"text": "One."}\n')
    assert front("import", front.recipe, file)[0] == 0
    assert front("curate", front.run_folder, "-o", "curate.filters=[]")[0] == 0
    kept = (front.run_folder / "recipe.yaml").read_bytes()
    message = front.refuses("mix", front.run_folder, "docs", "-o", "mixes.docs.genres={nosuch: 1.0}")
    assert "would be empty" in message
    assert (front.run_folder / "recipe.yaml").read_bytes() == kept
    assert front("mix", front.run_folder, "docs", "-o", "mixes.docs.repeats=2")[0] == 0
    assert (front.run_folder / "recipe.yaml").read_bytes() != kept


def test_a_query_by_a_wrong_name_is_told_the_nearest(front: Front) -> None:
    front.write()
    file = front.folder / "rows.jsonl"
    file.write_text('{"text": "One."}\n')
    front("import", front.recipe, file)
    assert "no query named 'funel'; did you mean 'funnel'?" in front.refuses("sql", front.recipe, "funel")


def test_a_query_on_a_torn_part_answers_from_the_rest_and_names_the_file(front: Front) -> None:
    for number in (1, 2):
        file = front.folder / f"rows{number}.jsonl"
        file.write_text(json.dumps({"text": f"Text {number}."}) + "\n")
        assert front("import", front.recipe, file)[0] == 0
    part = sorted((front.run_folder / "documents").glob("*.parquet"))[0]
    part.write_bytes(part.read_bytes()[:-5])
    code, out, errors = front("sql", front.run_folder, "SELECT text FROM documents", "--format", "csv")
    assert code == 2
    assert out.split("\n")[1] == "Text 2."
    assert part.name in errors
    assert part.name in front.refuses("curate", front.run_folder)
    code, _, errors = front("report", front.run_folder)
    assert code == 0, errors
    assert part.name in (front.run_folder / "report.html").read_text()


@pytest.mark.parametrize("verb", ["sql", "trace", "status", "report"])
def test_looking_at_what_is_no_run_says_what_to_do(front: Front, verb: str) -> None:
    more = {"trace": ["b2:000000"], "sql": ["SELECT 1"]}.get(verb, [])
    assert "specmill run" in front.refuses(verb, front.folder, *more)


def test_init_writes_a_recipe_that_works_and_never_writes_over_one(front: Front) -> None:
    folder = front.folder / "new"
    assert front("init", folder)[0] == 0
    assert front("plan", folder / "recipe.yaml")[0] == 0
    assert "already" in front.refuses("init", folder)
