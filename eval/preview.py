"""What evaluating would measure, and what differences it could see: worked out before anything is run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from corpus.errors import StoreError
from corpus.recipe import Recipe
from corpus.run import run_folder
from corpus.store import Store, open_reader
from eval.statistics.estimates import minimum_detectable_effect
from eval.statistics.readings import THESE
from eval.tasks import Task, make_tasks
from eval.tasks.agentic.task import VERDICT
from eval.tasks.capability import ACCURACY

ARMS_CORRELATION = 0.5
"""Assumed between two arms' scores of one item."""
CLUSTER_CORRELATION = 0.1
"""Assumed between the scores of two items of one cluster."""
_RATE = {"preference": "sum/rate", "capability": ACCURACY, "agentic": f"{VERDICT}, {THESE}"}
"""The rate of each kind of task whose spread can be assumed; of how conditions differ nothing is known beforehand."""


@dataclass(frozen=True)
class TaskPreview:
    """One task."""

    task: Task
    num_items: int
    num_clusters: int
    num_answers: int
    """Answers that one arm with one seed is asked for; 0 where nothing is sampled."""
    detectable: float | None
    """The smallest true difference between two arms' rates that would be found (share, 80 % power); None where the
    clusters are too few to say, and where nothing is known beforehand of how a metric varies (nats, ratings, bits)."""
    metric: str | None
    """The rate that this is of."""


def preview_eval(recipe: Recipe) -> list[TaskPreview]:
    """Each task of the recipe, as far as its items are there; a run's own texts are once they are written."""
    store = _existing(recipe)
    return [_preview(recipe, task, store) for task in make_tasks(recipe)]


def eval_rows(recipe: Recipe, previews: Sequence[TaskPreview]) -> list[dict[str, object]]:
    """The previews as a table, with how much all arms come to."""
    models = sum(len(recipe.train.seeds) if chain else 1 for chain in recipe.arms.values())
    return [
        {
            "task": one.task.name,
            "items": one.num_items,
            "clusters": one.num_clusters,
            "models": models,
            "answers": one.num_answers * models,
            "graded by": _graded_by(recipe, one),
            "detectable (estimated)": one.detectable,
            "of one contrast, no spread between seeds, in": one.metric,
        }
        for one in previews
    ]


def contrast_rows(recipe: Recipe) -> list[dict[str, object]]:
    """What the recipe declares beforehand."""
    return [contrast.model_dump() for contrast in recipe.eval.contrasts]


def _graded_by(recipe: Recipe, one: TaskPreview) -> str | None:
    """The judge; None where nothing is sampled."""
    if not one.num_answers:
        return None
    return recipe.eval.judge or "nobody: eval.judge is not set"


def detectable_rate(num_items: int, num_clusters: int) -> float | None:
    """The smallest difference of two arms' rates that is found with 80 % power at 5 %, by what is assumed above.

    A rate near 0.5, items that share `CLUSTER_CORRELATION` within a cluster (Kish's design effect), arms that share
    `ARMS_CORRELATION` of an item, and no spread between training seeds: with it, less is found.
    """
    if num_clusters < 2:
        return None
    design_effect = 1 + (num_items / num_clusters - 1) * CLUSTER_CORRELATION
    error = math.sqrt(2 * 0.25 * (1 - ARMS_CORRELATION) * design_effect / num_items)
    return minimum_detectable_effect(error, num_clusters - 1)


def detectable_in_these(num_conditions: int, num_samples: int) -> float | None:
    """The same for conditions that are all there are, each answered so often: rates near 0.5, independent answers."""
    if num_samples < 2:
        return None
    error = math.sqrt(2 * 0.25 / (num_conditions * num_samples))
    return minimum_detectable_effect(error, 2 * num_conditions * (num_samples - 1))


def _preview(recipe: Recipe, task: Task, store: Store | None) -> TaskPreview:
    loaded = task.load(recipe, store)
    clusters: dict[str, str] = {}
    num_answers = 0
    if loaded.sampled is not None:
        prompts = loaded.sampled.prompts
        clusters = {asked.item_id: asked.cluster for asked in prompts}
        num_answers = len(prompts) * loaded.sampled.samples
    if loaded.scored is not None:
        clusters = dict(loaded.scored.clusters)
    num_clusters = len(set(clusters.values()))
    detectable, metric = None, _RATE.get(task.kind)
    if task.kind == "agentic":
        detectable = detectable_in_these(len(clusters), num_answers // len(clusters))
    elif metric is not None:
        detectable = detectable_rate(len(clusters), num_clusters)
    of = None if detectable is None else f"{task.name}/{metric}"
    return TaskPreview(task, len(clusters), num_clusters, num_answers, detectable, of)


def _existing(recipe: Recipe) -> Store | None:
    try:
        return open_reader(run_folder(recipe))
    except StoreError:
        return None
