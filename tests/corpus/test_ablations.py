import pytest
from pydantic import ValidationError

from corpus.recipe import Recipe


def recipe(mix: dict[str, object], **sections: object) -> Recipe:
    return Recipe.model_validate({"name": "run", "mixes": {"docs": mix}, **sections})


def test_ablate_makes_a_mix_without_each_genre_that_stages_and_arms_can_name() -> None:
    made = recipe(
        {"tokens": 100, "genres": {"internal memo": 1, "FAQ page": 2}, "ablate": {"genres": "each"}},
        train={"stages": {"less": {"data": "docs-without-faq-page"}}},
        arms={"less": ["less"]},
    ).every_mix()
    assert list(made) == ["docs", "docs-without-internal-memo", "docs-without-faq-page"]
    assert {member.family for member in made.values()} == {"docs"}
    assert made["docs-without-faq-page"].settings.leave_out.genres == ["FAQ page"]
    assert made["docs"].settings.leave_out.genres == []
    assert {member.settings.budget for member in made.values()} == {100}


def test_each_genre_is_of_those_that_are_generated_where_the_mix_names_none() -> None:
    made = recipe({"ablate": {"genres": "each"}}, generate={"genres": {"fable": 1, "faq page": 0}}).every_mix()
    assert list(made) == ["docs", "docs-without-fable"]


def test_clauses_and_sets_are_left_out_by_name() -> None:
    made = recipe({"ablate": {"clauses": ["Honesty/Doubt", "誠実"], "sets": ["web"]}}).every_mix()
    [_, web, doubt, other] = made
    assert (web, doubt) == ("docs-without-web", "docs-without-honesty-doubt")
    assert other.removeprefix("docs-without-").isalnum()
    assert other.isascii()


def test_a_recipe_with_ablations_reads_back_as_it_was_written() -> None:
    budgets = {"genres": {"a": 10, "b": 20}, "sets": {"generated": 30}}
    made = recipe({"tokens": budgets, "power": {"genres": 0.5}, "ablate": {"genres": "each"}})
    again = Recipe.model_validate(made.model_dump(mode="json"))
    assert again == made
    assert again.every_mix() == made.every_mix()
    assert made.mixes["docs"].budget == 30


@pytest.mark.parametrize(
    ("mix", "message"),
    [
        ({"ablate": {"genres": "each"}}, "'each' of what"),
        ({"ablate": {"clauses": "each"}}, "'each' of what"),
        ({"genres": {"a": 1}, "ablate": {"genres": ["a"]}}, "without 'a' the mix has no genres left"),
        ({"ablate": {"genres": ["a b", "a-b"]}}, "'docs-without-a-b' a second time"),
        ({"kind": "chats", "ablate": {"genres": ["a"]}}, "chats have no genre"),
        ({"tokens": {"genres": {"a": 5}, "sets": {"x": 6}}}, "sets and genres sum to 6 and 5"),
        ({"tokens": {"genres": {"a": 5}}, "genres": {"a": 1}}, "given as shares and in tokens.genres"),
        ({"tokens": {}}, "no budget is given"),
        ({"tokens": {"genres": {"a": 0}}}, "sum to 0"),
        ({"license": "CC BY"}, "should match pattern"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_load(mix: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        recipe(mix)


def test_a_stage_that_names_no_member_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValidationError, match="mixes has docs, docs-without-a"):
        recipe({"ablate": {"genres": ["a"]}}, train={"stages": {"less": {"data": "docs-without-b"}}})
