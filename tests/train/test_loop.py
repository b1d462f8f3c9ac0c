from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from corpus.errors import TrainingError
from corpus.recipe import StageSettings
from tests.train.tiny import flatten, packed, tiny_model, trainer_of
from train.loop import learning_rate
from train.plan import Plan, make_plan
from train.segments import Segment

SETTINGS = StageSettings(data="docs", learning_rate=1e-2, warmup_fraction=0.0)


def segments_of(num_targets, first=0):
    """Segments of 12 random tokens, of which the last so many are targets."""
    draws = np.random.default_rng(5 + first)
    return [
        Segment(f"text-{number}", draws.integers(8, 320, 12).tolist(), [False] * (12 - targets) + [True] * targets)
        for number, targets in enumerate(num_targets, first)
    ]


def plan_with(segments, rows, updates) -> Plan:
    targets = [sum(sum(segments[segment].is_target) for row in update for segment in rows[row]) for update in updates]
    tokens = [12 * sum(len(rows[row]) for row in update) for update in updates]
    return Plan(flatten(segments), rows, updates, tokens, targets, 1.0, [12 * len(row) for row in rows])


def weights_after(plan, settings=SETTINGS, model=None):
    model = model or tiny_model()
    trainer = trainer_of(model, plan, settings)
    for number in range(len(plan.updates)):
        trainer.update(number)
    return {name: value.detach().clone() for name, value in model.named_parameters()}


UNEQUAL = [1, 11, 2, 1, 11, 1, 3, 10]


@pytest.mark.parametrize("rows_per_update", [1, 2, 4])
def test_an_update_does_not_depend_on_how_its_segments_lie_in_rows(rows_per_update):
    """Three updates, the last of them partial, of texts with very unequal numbers of targets."""
    segments = segments_of([*UNEQUAL, *UNEQUAL[::-1], 5, 1, 1], first=0)
    spans = [range(0, 8), range(8, 16), range(16, 19)]

    def plan(rows_in_update):
        rows, updates = [], []
        for span in spans:
            parts = [list(part) for part in np.array_split(span, rows_in_update) if len(part)]
            updates.append(list(range(len(rows), len(rows) + len(parts))))
            rows += [[int(segment) for segment in part] for part in parts]
        return plan_with(segments, rows, updates)

    one_each = weights_after(plan(8))
    packed = weights_after(plan(rows_per_update))
    for name, value in one_each.items():
        torch.testing.assert_close(packed[name], value, rtol=1e-4, atol=2e-6)


def test_a_mean_of_row_means_would_be_another_update():
    """The control: with the fault that the rule avoids, the gradient is plainly different."""
    plan = plan_with(segments_of(UNEQUAL), [[segment] for segment in range(8)], [list(range(8))])
    model = tiny_model()
    module = packed(model)

    def gradient(weight_of_row):
        model.zero_grad()
        for number in range(8):
            row = plan.row(number)
            input_ids, positions, labels = map(torch.from_numpy, (row.input_ids, row.position_ids, row.labels))
            (module(input_ids, positions, row.lengths, labels) * weight_of_row(number)).backward()
        return torch.cat([value.grad.flatten() for value in model.parameters()])

    right = gradient(lambda _: 1 / sum(UNEQUAL))
    wrong = gradient(lambda number: 1 / UNEQUAL[number] / 8)
    assert (right - wrong).norm() / right.norm() > 1e-2


def test_the_reported_loss_is_the_mean_over_the_target_tokens():
    plan = plan_with(segments_of(UNEQUAL), [[0, 1, 2], [3, 4, 5, 6, 7]], [[0, 1]])
    model = tiny_model()
    segments = flatten(segments_of(UNEQUAL))
    row = make_plan(segments, StageSettings(data="docs", seq_tokens=96, batch_tokens=1), 0, "x").row(0)
    with torch.no_grad():
        logits = model(
            input_ids=torch.from_numpy(row.input_ids)[None],
            position_ids=torch.from_numpy(row.position_ids)[None],
            use_cache=False,
        ).logits[0]
    mean = torch.nn.functional.cross_entropy(logits[:-1], torch.from_numpy(row.labels)[1:])
    step = trainer_of(model, plan, SETTINGS).update(0)
    assert step.loss == pytest.approx(float(mean), rel=1e-5)
    assert (step.target_tokens, step.tokens) == (sum(UNEQUAL), 96)


def test_the_rate_rises_to_the_peak_and_falls_towards_zero():
    settings = StageSettings(data="docs", learning_rate=1.0, warmup_fraction=0.1)
    rates = [learning_rate(settings, update, 40) for update in range(40)]
    assert rates[:4] == [0.25, 0.5, 0.75, 1.0]
    assert rates[4] == 1.0
    assert rates[4:] == sorted(rates[4:], reverse=True)
    assert rates[4 + 18] == pytest.approx(0.5)
    assert 0 < rates[-1] < 0.01
    assert learning_rate(settings, 0, 1) == 1.0


def test_a_loss_that_is_not_a_number_stops_training_and_names_the_texts():
    model = tiny_model()
    model.model.norm.weight.data[0] = math.nan
    plan = plan_with(segments_of([3, 3]), [[1, 0]], [[0]])
    trainer = trainer_of(model, plan, SETTINGS)
    with pytest.raises(TrainingError, match=r"nan at update 0, row 0 \(texts text-1, text-0\)"):
        trainer.update(0)


def test_a_rate_of_zero_leaves_the_weights_as_they_are():
    still = SETTINGS.model_copy(update={"learning_rate": 0.0})
    before = {name: value.clone() for name, value in tiny_model().named_parameters()}
    after = weights_after(plan_with(segments_of(UNEQUAL), [list(range(8))], [[0]] * 3), still)
    assert all(torch.equal(before[name], value) for name, value in after.items())


def final_loss(plan) -> float:
    trainer = trainer_of(tiny_model(), plan, SETTINGS)
    return [trainer.update(number).loss for number in range(len(plan.updates))][-1]


def test_eight_texts_are_learned_by_heart_and_random_targets_are_not():
    segments = segments_of([11] * 8)
    assert final_loss(plan_with(segments, [list(range(8))], [[0]] * 80)) < 0.05
    never_twice = [segment for update in range(80) for segment in segments_of([11] * 8, first=8 * update)]
    rows = [list(range(8 * update, 8 * update + 8)) for update in range(80)]
    assert final_loss(plan_with(never_twice, rows, [[row] for row in range(80)])) > 4


def test_a_first_update_that_moves_nothing_is_refused(monkeypatch):
    """As with an adapter that was loaded frozen, or a rate that vanishes beside the weights."""
    plan = plan_with(segments_of(UNEQUAL), [[0, 1, 2, 3]], [[0]])
    trainer = trainer_of(tiny_model(), plan, SETTINGS)
    with monkeypatch.context() as patched:
        patched.setattr(trainer.optimizer, "step", lambda: None)
        with pytest.raises(TrainingError, match="moved none of"):
            trainer.update(0)
    tiny = SETTINGS.model_copy(update={"learning_rate": 1e-30})
    with pytest.raises(TrainingError, match="at a learning rate of 1e-30"):
        trainer_of(tiny_model(), plan, tiny).update(0)
    trainer_of(tiny_model(), plan, SETTINGS).update(0)
