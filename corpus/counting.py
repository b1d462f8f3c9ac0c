"""One tokenizer counts the rows of a run: `num_tokens` of two would not add up."""

from __future__ import annotations

from corpus.chat_template import template_identity
from corpus.errors import RecipeError
from corpus.models import model_folder, model_identity
from corpus.recipe import Recipe
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id

_SCOPE = "@tokenizer"
"""In the current hashes of `documents`: what `num_tokens` of documents and chats was counted with."""


def refuse_other_tokenizer(recipe: Recipe, store: Store) -> None:
    """Refuse a recipe that counts otherwise than the run's rows were counted.

    Raises:
        RecipeError: another `train.model` or `train.revision`; the message names both.
    """
    counted_with, now = store.current("documents").get(_SCOPE), _tokenizer(recipe)
    if counted_with not in (None, now) and store.rows(
        "SELECT 1 FROM all_documents UNION ALL SELECT 1 FROM all_chats LIMIT 1"
    ):
        raise RecipeError(
            f"the rows of {store.root} were counted with the tokenizer of {counted_with}, and train.model is now "
            f"{now}: budgets would add up two kinds of tokens. Take train.model back, or give the recipe another name; "
            f"a model can also train on a mix of this run from another one (train.stages.STAGE.data: RUN:MIX)"
        )


def record_tokenizer(recipe: Recipe, store: WritingStore) -> None:
    """Remember what the rows that are now written are counted with; see `refuse_other_tokenizer`, which comes first."""
    refuse_other_tokenizer(recipe, store)
    if store.current("documents").get(_SCOPE) != _tokenizer(recipe):
        store.writer("corpus").set_current("documents", {_SCOPE: _tokenizer(recipe)})


def _tokenizer(recipe: Recipe) -> str:
    train = recipe.train
    identity = model_identity(train.model, train.revision)
    template = template_identity(train, model_folder(train.model, train.revision))
    # Chats are counted under their template; the tokenizer's own says nothing, so that runs of before stay as they are.
    return f"{identity} with the chat template {content_id('template', template)}" if template else identity
