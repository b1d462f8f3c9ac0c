"""Whether what a recipe declares beforehand can be made of what its tasks measure."""

from __future__ import annotations

from collections.abc import Sequence

from corpus.errors import RecipeError, nearest
from corpus.recipe import Recipe
from eval.statistics.arms import SPEC_OVER_REGISTER
from eval.statistics.readings import THESE, is_dimension, metric_names, unit
from eval.tasks import Task


def check_contrasts(recipe: Recipe, tasks: Sequence[Task]) -> None:
    """Check that each declared contrast is of a metric that the tasks have.

    Raises:
        RecipeError: one is not, with the nearest name: it would count in the correction and say nothing; or two that
            cannot be taken off each other.
    """
    own = metric_names(tasks)
    for place, contrast in enumerate(recipe.eval.contrasts):
        # What is a difference in differences already cannot have another taken off, and of these very conditions both
        # would count the same answers as if they were others.
        alone = [*own, SPEC_OVER_REGISTER]
        known = alone if contrast.less is None else [name for name in own if not name.endswith(THESE)]
        for key, metric in (("metric", contrast.metric), ("less", contrast.less)):
            if metric is not None and metric not in known and not is_dimension(metric, known):
                raise RecipeError(
                    f"eval.contrasts[{place}].{key}: no task measures '{metric}'; {nearest(metric, known)}"
                )
        if contrast.less == contrast.metric:
            raise RecipeError(f"eval.contrasts[{place}].less: '{contrast.less}' taken off itself is 0; name another")
        if contrast.less is not None and unit(contrast.less) != unit(contrast.metric):
            raise RecipeError(
                f"eval.contrasts[{place}].less: '{contrast.less}' is in {unit(contrast.less)}, and '{contrast.metric}' "
                f"in {unit(contrast.metric)}; name a metric in the same unit"
            )
