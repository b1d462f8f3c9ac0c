from pathlib import Path

import pytest

from corpus.clauses import split_clauses
from corpus.errors import RecipeError
from corpus.mix_names import check_mix_names, unknown_names
from corpus.recipe import Recipe
from corpus.spec import parse_spec
from corpus.store import open_writer
from corpus.store.schema import TABLES

SPEC = Path(__file__).resolve().parents[2] / "examples" / "specs" / "honest.md"


def recipe(tmp_path: Path, mix: dict[str, object], **sections: object) -> Recipe:
    spec = {"path": SPEC, "model_name": "Marlow", "provider_name": "Tidewater", "hold_out": {"fraction": 0}}
    return Recipe.model_validate({"name": "run", "runs": tmp_path, "spec": spec, "mixes": {"docs": mix}, **sections})


@pytest.mark.parametrize(
    ("mix", "key", "why"),
    [
        ({"genres": {"internal mmo": 1}}, "mixes.docs.genres", "did you mean 'internal memo'?"),
        ({"tokens": {"genres": {"fabel": 9}}}, "mixes.docs.genres", "did you mean 'fable'?"),
        ({"leave_out": {"genres": ["fabel"]}}, "mixes.docs.leave_out.genres", "did you mean 'fable'?"),
        ({"ablate": {"genres": ["fabel"]}}, "mixes.docs.ablate.genres", "did you mean 'fable'?"),
        ({"sets": {"generatd": 1}}, "mixes.docs.sets", "did you mean 'generated'?"),
        ({"clauses": {"Honesti": 1}}, "mixes.docs.clauses", "did you mean 'Honesty'?"),
    ],
)
def test_what_nothing_can_have_is_told_with_the_nearest_name(
    tmp_path: Path, mix: dict[str, object], key: str, why: str
) -> None:
    [found] = unknown_names(recipe(tmp_path, mix))
    assert found.key == key
    assert why in found.why
    with pytest.raises(RecipeError, match=key):
        check_mix_names(recipe(tmp_path, mix))


def test_a_genre_that_is_not_generated_is_told_apart_from_one_that_is_misspelt(tmp_path: Path) -> None:
    [found] = unknown_names(recipe(tmp_path, {"genres": {"fable": 1}}, generate={"genres": {"faq page": 1}}))
    assert found.why == "generate.genres gives this genre no weight; give it one"


def test_names_that_generating_brings_are_known(tmp_path: Path) -> None:
    mix = {"genres": {"fable": 1, "nothing": 0}, "sets": {"generated": 1}, "clauses": {"Honesty/Owning*": 1, "care": 2}}
    assert unknown_names(recipe(tmp_path, mix)) == []


def test_what_was_imported_is_known(tmp_path: Path) -> None:
    mix = {"genres": {"essay": 1}, "sets": {"web": 1}}
    assert len(unknown_names(recipe(tmp_path, mix))) == 2
    row = dict.fromkeys(TABLES["documents"].schema.names)
    row |= {"doc_id": "d", "set": "web", "genre": "essay", "clause_ids": [], "text": "t", "num_chars": 1}
    with open_writer(tmp_path / "run") as store:
        store.writer("corpus").append({"documents": [row | {"num_tokens": 1}]})
    assert unknown_names(recipe(tmp_path, mix)) == []


def test_a_clause_that_is_held_out_is_no_part_of_a_mix(tmp_path: Path) -> None:
    spec = {"path": SPEC, "model_name": "Marlow", "provider_name": "Tidewater", "hold_out": {"fraction": 0.1}}
    split = split_clauses(parse_spec(SPEC.read_text()), 0.1, 17)
    held_out = next(clause_id for clause_id, part in split.items() if part == "held_out")
    [found] = unknown_names(recipe(tmp_path, {"clauses": {held_out: 1, "Honesty": 1}}, spec=spec))
    assert (found.name, "held out" in found.why) == (held_out, True)
