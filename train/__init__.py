"""Midtraining and SFT: a model reads the documents, then learns from the chats.

The door is `train_chains`; `train.scoring` is there for the eval room: what was trained, and loading it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corpus.recipe import Recipe
    from corpus.stage import Progress
    from corpus.store import WritingStore
    from train.chains import TrainReport

__all__ = ["train_chains"]


def train_chains(
    recipe: Recipe,
    store: WritingStore,
    arms: Sequence[str] | None,
    progress: Progress,
    *,
    stop_after_seconds: float | None = None,
) -> TrainReport:
    """Train every stage that `arms` (None: all of the recipe) need and that is not there, shared beginnings once.

    With `stop_after_seconds` it saves and returns after the first update that ends later than that, counted from this
    call; called again, it goes on.

    Killed at any instant, calling it again goes on from the last resumable state; on the CPU the result is the same
    bit for bit.

    Raises:
        RecipeError: an arm that the recipe does not have.
        TrainingError: a mix without shards, data that cannot be learned, a parent that does not fit, a loss that is
            not a number.
        SetupError: the base model is not there.
        StoreError: the disk is full; everything up to the last resumable state is kept.
    """
    from train.chains import train_missing

    return train_missing(recipe, store, arms, progress, stop_after_seconds)
