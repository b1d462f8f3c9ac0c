"""What a classifier is worth on rows it has not learned from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

THRESHOLDS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Shown beside the one in the recipe."""
_Z = 1.959964
"""Of a 95 % interval."""


class AtThreshold(NamedTuple):
    """What is kept from one probability on."""

    threshold: float
    precision: float | None
    """Share of positives among the held-out rows that are kept; None where none is."""
    recall: float | None
    """Share of the held-out positives that are kept; None without positives."""
    num_kept: int


@dataclass(frozen=True)
class HeldOut:
    """The probabilities of the held-out rows, by their label."""

    positives: Sequence[float]
    negatives: Sequence[float]

    @property
    def auc(self) -> float | None:
        """Area under the ROC curve (sklearn's); None where one side is empty."""
        if not self.positives or not self.negatives:
            return None
        from sklearn.metrics import roc_auc_score

        truth = [1] * len(self.positives) + [0] * len(self.negatives)
        return float(roc_auc_score(truth, [*self.positives, *self.negatives]))

    @property
    def auc_interval(self) -> tuple[float, float] | None:
        """95 % interval of the AUC, by Newcombe's method 5; see `auc_interval`."""
        auc = self.auc
        return None if auc is None else auc_interval(auc, len(self.positives), len(self.negatives))

    def at(self, threshold: float) -> AtThreshold:
        """What keeping from `threshold` on would keep."""
        right = sum(probability >= threshold for probability in self.positives)
        kept = right + sum(probability >= threshold for probability in self.negatives)
        recall = right / len(self.positives) if self.positives else None
        return AtThreshold(threshold, right / kept if kept else None, recall, kept)


def auc_interval(auc: float, num_positives: int, num_negatives: int) -> tuple[float, float]:
    """95 % interval of an AUC: Newcombe 2006 (Statistics in Medicine 25, 559), method 5.

    Both ends are the areas from which the one seen lies 1.96 of their own standard errors away (Hanley and McNeil's,
    both sides taken as equally large), so that an AUC of 1 has an interval too, where DeLong's and the bootstrap have
    a point.
    """
    mean = (num_positives + num_negatives) / 2 - 1

    def distance(area: float) -> float:
        spread = 1 + mean * ((1 - area) / (2 - area) + area / (1 + area))
        error = math.sqrt(area * (1 - area) * spread / (num_positives * num_negatives))
        return abs(area - auc) - _Z * error

    def end(outside: float) -> float:
        inside = auc
        for _ in range(60):
            middle = (inside + outside) / 2
            inside, outside = (inside, middle) if distance(middle) > 0 else (middle, outside)
        return inside

    return end(0.0), end(1.0)
