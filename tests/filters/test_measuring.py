import math
import random

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import precision_score, recall_score, roc_auc_score

from filters.learned.measuring import HeldOut, auc_interval


def drawn(seed: int, num_positives: int, num_negatives: int, shift: float) -> HeldOut:
    rng = random.Random(seed)
    # Rounded, so that there are ties.
    score = [round(1 / (1 + math.exp(-rng.gauss(mu, 1))), 2) for mu in [shift] * num_positives + [0.0] * num_negatives]
    return HeldOut(score[:num_positives], score[num_positives:])


@pytest.mark.parametrize("seed", range(5))
def test_auc_precision_and_recall_are_sklearns(seed: int) -> None:
    found = drawn(seed, 30, 50, 1.0)
    truth, score = [1] * 30 + [0] * 50, [*found.positives, *found.negatives]
    assert found.auc == pytest.approx(roc_auc_score(truth, score))
    for threshold in (0.3, 0.5, 0.8):
        kept = [one >= threshold for one in score]
        at = found.at(threshold)
        assert at.precision == pytest.approx(precision_score(truth, kept))
        assert at.recall == pytest.approx(recall_score(truth, kept))
        assert at.num_kept == sum(kept)


def test_nothing_kept_has_no_precision_and_one_side_no_auc() -> None:
    assert HeldOut([0.2], [0.1]).at(0.9) == (0.9, None, 0.0, 0)
    assert HeldOut([], [0.1]).auc is None
    assert HeldOut([], [0.1]).auc_interval is None


def test_the_interval_holds_the_true_area_in_about_95_of_100_draws() -> None:
    shift = 1.0
    area = 0.5 * (1 + math.erf(shift / math.sqrt(2) / math.sqrt(2)))
    rng = np.random.default_rng(0)
    num_inside = 0
    for _ in range(1000):
        positives, negatives = rng.normal(shift, 1, 20), rng.normal(0, 1, 30)
        found = (positives[:, None] > negatives).mean()
        low, high = auc_interval(float(found), 20, 30)
        num_inside += low <= area <= high
    assert 920 <= num_inside <= 980


@pytest.mark.parametrize(("area", "num_positives", "num_negatives"), [(0.8, 20, 30), (0.55, 12, 7), (0.97, 40, 40)])
def test_both_ends_of_the_interval_solve_newcombes_equation(
    area: float, num_positives: int, num_negatives: int
) -> None:
    """(end - area)^2 = z^2 V(end), with N* = (m + n) / 2 - 1 in V: Newcombe 2006, method 5."""

    def off(end: float) -> float:
        both = (num_positives + num_negatives) / 2 - 1
        variance = end * (1 - end) * (1 + both * (1 - end) / (2 - end) + both * end / (1 + end))
        return (end - area) ** 2 - norm.ppf(0.975) ** 2 * variance / (num_positives * num_negatives)

    assert auc_interval(area, num_positives, num_negatives) == pytest.approx(
        [brentq(off, 1e-9, area), brentq(off, area, 1 - 1e-9)], abs=1e-6
    )


def test_a_perfect_area_of_few_rows_has_a_wide_interval_and_of_many_a_narrow_one() -> None:
    few, many = auc_interval(1.0, 4, 4), auc_interval(1.0, 1000, 1000)
    assert few[1] == many[1] == 1.0
    assert few[0] < 0.6
    assert many[0] > 0.99
    assert auc_interval(0.5, 10, 10) == pytest.approx([1 - one for one in auc_interval(0.5, 10, 10)][::-1])
