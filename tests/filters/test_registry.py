import pytest

from corpus.errors import RecipeError
from corpus.recipe import Recipe
from filters import check_settings
from filters.registry import SETTINGS, read_settings


def recipe(*filters: object) -> Recipe:
    return Recipe.model_validate({"name": "run", "curate": {"filters": list(filters)}})


def test_the_defaults_are_filters() -> None:
    check_settings(Recipe(name="run"))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("lenght", "did you mean 'length'?"),
        ("zzz", "there are: length, rules, leaks, refusal"),
        ({"length": {"min_word": 3}}, "did you mean 'min_words'?"),
        ({"length": {"min_words": -1}}, "greater than or equal to 0 (got -1)"),
        ({"leaks": {"rules": ["tags"]}}, "rules.0"),
        ("classifier", "give positives and negatives (two queries), or model and label"),
        ({"classifier": {"positives": "SELECT 1"}}, "give both queries"),
        ({"classifier": {"model": "x.bin"}}, "which of its labels is kept"),
        ({"classifier": {"name": "length", "model": "x.bin", "label": "a"}}, "cannot be called 'length'"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(entry: object, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        check_settings(recipe(entry))
    assert message in str(caught.value)


def test_a_filter_named_twice_is_refused() -> None:
    with pytest.raises(RecipeError, match="names 'length' twice"):
        check_settings(recipe("length", {"length": {"min_words": 3}}))


def test_settings_come_in_the_recipes_order_with_the_values_given() -> None:
    settings = read_settings(recipe("leaks", {"length": {"min_words": 3}}))
    assert list(settings) == ["leaks", "length"]
    assert settings["length"].model_dump()["min_words"] == 3


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_says_what_it_is(name: str) -> None:
    assert all(field.description for field in SETTINGS[name].model_fields.values())
