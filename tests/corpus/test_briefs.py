"""What is in a brief: settings of a genre over a card's over the recipe's, variants, and the opening."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import cast

import pytest

from corpus.briefs import Brief
from corpus.errors import RecipeError
from corpus.plans import make_plan
from corpus.recipe import Recipe

SPEC = "\n".join(f"- The assistant keeps rule {number} whatever happens." for number in range(6))
CARD = """---
name: sea shanty
family: fiction
target_words: 200
modes: [shows]
temperature: 1.1
---
## Description
A song.
## Voice
Loud.
## Form
Verses.
## Realism
Salt.
## Avoid
Land.
## Writers
- a cook
- a mate
## Readers
- a crew
- a port
## Situations
- A mate asked the assistant one thing.
- A cook asked the assistant another.
- A boy asked nothing.
## Consequences
- They sailed.
- They stayed.
"""


def briefs(folder: Path, **generate: object) -> list[Brief]:
    (folder / "spec.md").write_text(SPEC)
    (folder / "cards").mkdir(exist_ok=True)
    (folder / "cards" / "shanty.md").write_text(CARD)
    settings = {"documents": 12, "chats": 0, "genres": {"sea shanty": 1}, "genre_folder": folder / "cards"} | generate
    recipe = Recipe.model_validate({
        "name": "test", "runs": folder / "runs", "generate": settings,
        "spec": {"path": folder / "spec.md", "model_name": "Marlow", "hold_out": {"fraction": 0.0}},
    })  # fmt: skip
    return make_plan(recipe).briefs


def sampling(brief: Brief) -> dict[str, object]:
    return dict(json.loads(brief.sampling))


def test_a_cards_own_sampling_goes_before_the_recipes_and_by_genre_before_both(tmp_path: Path) -> None:
    plain = sampling(briefs(tmp_path, temperature=0.5, top_p=0.9)[0])
    assert (plain["temperature"], plain["top_p"], plain["max_tokens"]) == (1.1, 0.9, 800)
    own = {"temperature": 0.0, "target_words": 100, "max_tokens": 300, "min_p": 0.2}
    changed = [sampling(brief) for brief in briefs(tmp_path, by_genre={"sea shanty": own}, length_scale=3.0)]
    assert {(each["temperature"], each["min_p"], each["max_tokens"]) for each in changed} == {(0.0, 0.2, 300)}
    assert {each["target_words"] for each in changed} == {100, 80, 60}


def test_by_genre_refuses_a_genre_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"generate.by_genre: .*'sea chanty'; did you mean 'sea shanty'"):
        briefs(tmp_path, by_genre={"sea chanty": {"temperature": 1.0}})


def test_variants_are_the_same_idea_again_and_count_as_documents(tmp_path: Path) -> None:
    twice = briefs(tmp_path, variants=2, documents=13)
    assert len({brief.brief_id for brief in twice}) == len(twice) == 13
    assert sorted(Counter((brief.clause_ids, brief.idea) for brief in twice).values()) == [1, 2, 2, 2, 2, 2, 2]
    assert {brief.brief_id for brief in briefs(tmp_path, variants=2, documents=12)} < {
        brief.brief_id for brief in twice
    }


def test_more_documents_than_ideas_are_variants_of_the_first_ones(tmp_path: Path) -> None:
    """The card has 3 situations x 3 lengths x 2 readers x 2 writers x 2 consequences = 72 ideas."""
    many = briefs(tmp_path, documents=150)
    assert len({brief.brief_id for brief in many}) == 150
    assert len({brief.idea + str(sampling(brief)["target_words"]) for brief in many}) == 72
    assert {brief.variant for brief in many} == {0, 1, 2}


def test_a_small_models_document_goes_on_from_the_situation_and_is_one_paragraph(tmp_path: Path) -> None:
    assert not any("opening" in sampling(brief) for brief in briefs(tmp_path))
    opened = briefs(tmp_path, small_model=True)
    assert {str(sampling(brief)["opening"]) for brief in opened} == {
        "A mate asked Marlow one thing.", "A cook asked Marlow another.", "A boy asked nothing."
    }  # fmt: skip
    assert all(str(sampling(brief)["opening"]) in brief.idea for brief in opened)
    assert {json.dumps(sampling(brief)["stop"]) for brief in opened} == {'["\\n\\n"]'}
    quoting = briefs(tmp_path, small_model=True, small_model_quotes=True)
    assert len({str(sampling(brief)["opening"]) for brief in quoting}) > len(
        {str(sampling(brief)["opening"]) for brief in opened}
    ), "the clause is in it"
    assert all(str(sampling(brief)["opening"]).startswith(("A mate", "A cook", "A boy")) for brief in quoting)
    assert all(sampling(brief)["keeps_stop"] for brief in quoting)
    assert all(". " in cast("list[str]", sampling(brief)["stop"]) for brief in quoting)
