"""What training would come to, before it is run: the stages, their updates and tokens, and how long they would take."""

from __future__ import annotations

import json
import math
import statistics
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from corpus.errors import StoreError
from corpus.recipe import Recipe
from corpus.run import run_folder
from corpus.store import open_reader
from train.runs import chains_of
from train.shards import MANIFEST, mix_folder


class Measured(NamedTuple):
    """What a stage that this run trained came to, the median over its trainings."""

    tokens_per_update: float
    tokens_per_second: float


def stage_rows(recipe: Recipe) -> list[dict[str, object]]:
    """A row for each stage of each chain that the arms go through; empty without one.

    An update has whole rows of `seq_tokens`, enough for `batch_tokens`, until the stage was trained once, then what it
    had. Tokens are those of the mix once it is made, before that the recipe's budget for it, and unknown (None) without
    one. Seconds are for what is not there yet, at the speed at which this run trained the stage, or else any; None
    before it has trained anything.
    """
    folder = run_folder(recipe)
    there, measured = _trained(folder)
    any_speed = statistics.median(one.tokens_per_second for one in measured.values()) if measured else None
    rows: list[dict[str, object]] = []
    for chain in chains_of(recipe, None):
        name, settings = "+".join(chain), recipe.train.stages[chain[-1]]
        made_tokens = _made_tokens(folder, settings.data)
        data_tokens = _asked_tokens(recipe, settings.data) if made_tokens is None else made_tokens
        is_missing = made_tokens is None and ":" in settings.data  # this run's own mixes come before its training
        known = measured.get(chain[-1])
        row_tokens = settings.seq_tokens
        per_update = known.tokens_per_update if known else math.ceil(settings.batch_tokens / row_tokens) * row_tokens
        tokens = round(settings.updates * per_update) if settings.updates else None
        if tokens is None and data_tokens is not None:
            tokens = (settings.epochs or 1) * data_tokens
        missing = [seed for seed in recipe.train.seeds if seed not in there[name]]
        speed = known.tokens_per_second if known else any_speed
        rows.append(
            {
                "chain": name,
                "data": f"{settings.data} (not there yet)" if is_missing else settings.data,
                "seeds": len(recipe.train.seeds),
                "trained": len(recipe.train.seeds) - len(missing),
                "updates": settings.updates or (tokens and math.ceil(tokens / per_update)),
                "tokens a seed": tokens,
                "passes over the data": tokens / data_tokens if tokens and data_tokens else None,
                "seconds": tokens * len(missing) / speed if tokens is not None and speed else None,
            }
        )
    return rows


def _made_tokens(folder: Path, data: str) -> int | None:
    """Tokens of the mix that a stage trains on; None where it is not made yet."""
    try:
        return int(json.loads((mix_folder(folder, data) / MANIFEST).read_text())["num_tokens"])
    except (OSError, ValueError, KeyError):
        return None


def _asked_tokens(recipe: Recipe, data: str) -> int | None:
    """What the recipe asks for, of a mix of its own."""
    member = recipe.every_mix().get(data)
    return member.settings.budget if member else None


def _trained(folder: Path) -> tuple[Mapping[str, set[int]], Mapping[str, Measured]]:
    """The seeds that each chain is trained with, and what was measured of each stage."""
    there: dict[str, set[int]] = defaultdict(set)
    of_stage: dict[str, list[Measured]] = defaultdict(list)
    try:
        found = open_reader(folder).rows("SELECT chain, seed, stage, tokens, updates, seconds FROM stages")
    except StoreError:  # the run is not there yet
        found = []
    for row in found:
        there[str(row["chain"])].add(int(str(row["seed"])))
        tokens, updates, seconds = (float(str(row[name])) for name in ("tokens", "updates", "seconds"))
        if updates and seconds:
            of_stage[str(row["stage"])].append(Measured(tokens / updates, tokens / seconds))
    return there, {
        stage: Measured(*(statistics.median(values) for values in zip(*ones, strict=True)))
        for stage, ones in of_stage.items()
    }
