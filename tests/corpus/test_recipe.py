"""A recipe is read strictly, and what is wrong with it is said in one message."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from corpus.errors import RecipeError
from corpus.recipe import Recipe, Section
from corpus.recipe.file import load_recipe

GOOD = """
name: test
spec: {path: spec.md}
mixes: {docs: {tokens: 100}}
train: {stages: {midtrain: {data: docs}}}
arms: {base: [], midtrain: [midtrain]}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text)
    return path


def test_a_recipe_reads_with_its_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD))
    assert recipe.train.stages["midtrain"].learning_rate == 1e-4
    assert recipe.engine.model == "builtin:smollm2-135m"


def test_an_engine_that_a_filter_names_is_accepted(tmp_path: Path) -> None:
    named = "engines: {critic: {model: ./weights}}\ncurate: {filters: [length, judge: {engine: critic}]}\n"
    recipe = load_recipe(write(tmp_path, GOOD + named))
    assert recipe.curate.engines() == {"judge": "critic"}
    assert recipe.engines["critic"].model == str(tmp_path / "weights")


def test_a_filters_model_is_beside_the_recipe(tmp_path: Path) -> None:
    filters = "curate: {filters: [leaks, similar_questions: {model: ./minilm, min_cosine: 0.9}, length: null]}\n"
    recipe = load_recipe(write(tmp_path, GOOD + filters))
    placed = {"similar_questions": {"model": str(tmp_path / "minilm"), "min_cosine": 0.9}}
    assert recipe.curate.filters == ["leaks", placed, {"length": None}]


def test_paths_are_relative_to_the_recipe_but_runs_is_not(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD + "engine: {model: ./weights}\n"))
    assert recipe.spec is not None
    assert recipe.spec.path == tmp_path / "spec.md"
    assert recipe.engine.model == str(tmp_path / "weights")
    assert recipe.runs == Path("runs")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("generat: {documents: 3}", "unknown key 'generat'; did you mean 'generate'"),
        ("generate: {documents: -3}", r"generate.documents: .*greater than or equal to 0 \(got -3\)"),
        ("generate: {genres: {internal memo: 0, faq page: 0}}", "the weights sum to 0"),
        ("generate: {genres: {internal memo: -1}}", "greater than or equal to 0"),
        ("generate: {temperature: warm}", r"generate.temperature: .*\(got 'warm'\)"),
        ("engine: {kind: openai}", "needs base_url"),
        ("eval: {judge: nobody}", "names the engine 'nobody'"),
        ("eval: {samples: 0}", r"eval.samples"),
        ("engines: {judge: {model: ./weights}}", r"engines \(judge\): nothing would use it; name it in a filter"),
        (
            "engines: {a: {}}\ncurate: {filters: [judge: {engine: b}]}",
            r"curate.filters: judge names the engine 'b'; engines has a",
        ),
        ("name: ../elsewhere", "name: "),
        ("seed: [1", "is not YAML"),
        ("seed: 3\nruns: here\nseed: 4", "the key 'seed' stands in lines "),
        ("generate: {chats: 1, documents: 2, chats: 3}", "the key 'chats' stands in lines "),
        ("curate: {duplicates: {bandz: 3}}", "unknown key 'curate.duplicates.bandz'; did you mean 'bands'"),
    ],
)
def test_a_wrong_recipe_is_one_message_with_the_key_and_the_value(tmp_path: Path, change: str, message: str) -> None:
    key = change.partition(":")[0]
    kept = "\n".join(line for line in GOOD.splitlines() if not line.startswith(f"{key}:"))
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, f"{kept}\n{change}\n"))


def test_arms_and_stages_must_name_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"arms.x names the stage 'sft'; train.stages has midtrain"):
        load_recipe(write(tmp_path, GOOD), ["arms.x=[sft]"])
    with pytest.raises(RecipeError, match="names the mix 'other'; mixes has docs"):
        load_recipe(write(tmp_path, GOOD), ["train.stages.midtrain.data=other"])


def test_overrides_reach_any_key_and_are_read_as_yaml(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, GOOD), ["generate.genres={faq page: 2}", "train.lora=null", "seed=4"])
    assert (recipe.generate.genres, recipe.train.lora, recipe.seed) == ({"faq page": 2.0}, None, 4)


@pytest.mark.parametrize("override", ["seed", "=3", "name.first=3", "seed=[1"])
def test_a_malformed_override_is_refused(tmp_path: Path, override: str) -> None:
    with pytest.raises(RecipeError, match="-o"):
        load_recipe(write(tmp_path, GOOD), [override])


def test_a_missing_recipe_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="specmill init"):
        load_recipe(tmp_path / "nothing.yaml")


def test_the_hash_of_a_recipe_ignores_where_things_lie(tmp_path: Path) -> None:
    here, there = tmp_path / "a", tmp_path / "b"
    recipes = []
    for folder in (here, there):
        folder.mkdir()
        recipes.append(load_recipe(write(folder, GOOD), [f"runs={folder}"]))
    assert recipes[0].recipe_hash() == recipes[1].recipe_hash()
    assert recipes[0].recipe_hash() != load_recipe(here / "recipe.yaml", ["seed=5"]).recipe_hash()


def sections(model: type[Section] = Recipe) -> list[type[Section]]:
    from corpus.recipe.file import _section_in

    below = [_section_in(field.annotation) for field in model.model_fields.values()]
    inner = [each for each in below if each is not None and issubclass(each, Section)]
    return [model, *(found for each in inner for found in sections(each))]


@pytest.mark.parametrize("section", sorted(set(sections()), key=lambda each: each.__name__))
def test_every_key_says_what_it_is(section: type[Section]) -> None:
    undocumented = [name for name, field in section.model_fields.items() if not field.description]
    assert undocumented == []


def test_a_date_is_a_date_whatever_a_library_makes_of_it_elsewhere(tmp_path, monkeypatch) -> None:
    """lm-format-enforcer, which vLLM imports, turns the dates of every safe loader into texts."""
    constructors = yaml.SafeLoader.yaml_constructors
    monkeypatch.setitem(constructors, "tag:yaml.org,2002:timestamp", constructors["tag:yaml.org,2002:str"])
    assert yaml.safe_load("2024-01-01") == "2024-01-01"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("name: test\nengine: {options: {as_of: 2024-01-01}}\n")
    with pytest.raises(RecipeError, match="which JSON does not have"):
        load_recipe(recipe)
    recipe.write_text("name: test\n")
    with pytest.raises(RecipeError, match="which JSON does not have"):
        load_recipe(recipe, ["engine.options.as_of=2024-01-01"])


def test_quotes_are_for_small_models_alone(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="small_model_quotes: quotes are for small_model"):
        load_recipe(write(tmp_path, GOOD + "generate: {small_model_quotes: true}\n"))
