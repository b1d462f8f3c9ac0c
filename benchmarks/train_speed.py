"""A stage's updates beside those of `transformers.Trainer` and TRL, on the CPU: speed, memory, and the same losses.

    python benchmarks/train_speed.py [--rounds 3] [--updates 9] [--row-tokens 512] [--full] [--only specmill trl]

Everyone trains the same packed rows in the same order, in fp32, on two threads, from the same weights and the same new
adapter (rank 64, alpha 128, on the seven projections; with `--full` all weights), by AdamW with the same betas,
epsilon, decay, clipping and learning rate of each update; nobody recomputes activations, drops out or saves. Documents
of a row must not see each other: ours attends to one after the other, the peers are given positions that restart and
make no cache, which is checked. An update is 1,024 tokens: one row, or two rows of 512, whose loss is that of all
their tokens. Each contestant trains in a process of its own, ABCABC; losses that differ from ours by 1e-4 are refused.

An update's time is what passed since the one before: loading, logging and the step, too. Memory is the most that the
process held, its imports and the model included; and what it was before the first update. Intervals are of the ratio
of medians, over 2,000 draws of rounds and of updates, the same for both (95 %).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from contestants import HERE, markdown
from human_prose import whole_paragraphs
from numpy.typing import NDArray

from corpus.hardware import machine_name
from corpus.models import model_folder
from corpus.recipe import Lora, StageSettings, Train
from train.adapter import load_trainable
from train.loop import learning_rate
from train.model import load_tokenizer
from train.plan import Plan, make_plan
from train.segments import write_segments
from train.texts import document_segments

UPDATE_TOKENS = 1024
DOCUMENT_WORDS = (40, 120, 300)
"""A document is as many paragraphs as reach one of these, in turn (words)."""
LARGEST_DIFFERENCE = 1e-4
"""Between the losses of two contestants (nats per token)."""
DRAWS = 2_000


@dataclass(frozen=True)
class Contestant:
    """One of those that train."""

    script: str
    notes: str


CONTESTANTS = {
    "specmill": Contestant("specmill_train.py", "deterministic kernels, as in every stage on the CPU"),
    "transformers": Contestant("transformers_train.py", "`Trainer`, `DataCollatorWithFlattening`, SDPA"),
    "trl": Contestant("trl_train.py", "`SFTTrainer`, `bfd_split` rows, padding-free, its chunked loss, SDPA"),
}
Measured = dict[str, Any]


def prose_documents(words: Sequence[int] = DOCUMENT_WORDS) -> Iterator[tuple[str, str]]:
    """Ids and texts: the paragraphs of Python's language reference, joined until they have so many words, in turn."""
    kept: list[str] = []
    number = 0
    for paragraph in whole_paragraphs(20, 400):
        kept.append(paragraph)
        if sum(len(text.split()) for text in kept) >= words[number % len(words)]:
            yield f"prose-{number}", "\n\n".join(kept)
            kept, number = [], number + 1


def prepare(folder: Path, given: argparse.Namespace) -> Plan:
    """Write the job, the tokens and the first adapter."""
    base = Path(model_folder(given.model))
    recipe = Train(model=str(base), lora=None if given.full else Lora(), precision="fp32")
    rows_each = max(1, given.update_tokens // given.row_tokens)
    settings = StageSettings(
        data="prose",
        updates=given.warm_up + given.updates,
        seq_tokens=given.row_tokens,
        batch_tokens=(rows_each - 1) * given.row_tokens + 1,
        learning_rate=1e-5 if given.full else 1e-4,
    )
    pieces = document_segments(prose_documents(), load_tokenizer(recipe), settings.seq_tokens)
    plan = make_plan(write_segments(folder / "tokens", pieces, {}), settings, 0, "speed")
    assert {len(rows) for rows in plan.updates} == {rows_each}, "updates have different numbers of rows"
    adapter = None
    if not given.full:
        _, new = load_trainable(recipe, None, 0)
        assert new is not None
        new.save_pretrained(str(adapter := folder / "adapter"))
    job = {
        "model": str(base),
        "adapter": adapter and str(adapter),
        "settings": settings.model_dump(mode="json"),
        "num_threads": given.threads,
        "rates": [learning_rate(settings, number, len(plan.updates)) for number in range(len(plan.updates))],
        "rows": [_documents(plan, row) for rows in plan.updates for row in rows],
    }
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    return plan


def _documents(plan: Plan, number: int) -> list[list[int]]:
    """The token ids of each document of a row."""
    row = plan.row(number)
    places = [0, *np.cumsum(row.lengths).tolist()]
    targets = row.labels != -100
    assert targets.sum() == len(targets) - len(row.lengths), "more is not learned than the first token of each document"
    return [row.input_ids[start:stop].tolist() for start, stop in pairwise(places)]


def run(script: str, folder: Path) -> Measured:
    """What a contestant tells of its updates."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    variables |= {"PYTHONPATH": str(HERE.parent), "CUDA_VISIBLE_DEVICES": "", "TOKENIZERS_PARALLELISM": "false"}
    variables |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1"}
    command = [sys.executable, str(HERE / "peers" / script), str(folder)]
    ran = subprocess.run(command, env=variables, cwd=folder, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{ran.stderr[-4000:]}")
    return json.loads(ran.stdout.splitlines()[-1])


def ratio(ours: NDArray[np.float64], other: NDArray[np.float64]) -> str:
    """Of medians, with its interval; both are [rounds, updates], of the same rounds and updates."""
    draw = np.random.default_rng(0)
    num_rounds, num_updates = ours.shape
    drawn = []
    for _ in range(DRAWS):
        some = np.ix_(draw.integers(num_rounds, size=num_rounds), draw.integers(num_updates, size=num_updates))
        drawn.append(np.median(ours[some]) / np.median(other[some]))
    low, high = np.quantile(drawn, (0.025, 0.975))
    return f"{np.median(ours) / np.median(other):.3f} ({low:.3f} to {high:.3f})"


def refuse_other_losses(measured: Mapping[str, Sequence[Measured]], reference: str) -> dict[str, float]:
    """The largest difference of each contestant's losses from those of the reference.

    Raises:
        SystemExit: it is too large, or there are not as many.
    """
    expected = measured[reference][0]["losses"]
    largest = {}
    for name, rounds in measured.items():
        for told in rounds:
            if len(told["losses"]) != len(expected):
                sys.exit(f"{name} tells {len(told['losses'])} losses, {reference} {len(expected)}")
        differences = [abs(one - other) for told in rounds for one, other in zip(told["losses"], expected, strict=True)]
        largest[name] = max(differences)
        if not all(difference < LARGEST_DIFFERENCE for difference in differences):  # one that is no number, too
            shown = [f"{loss:.5f}" for loss in rounds[0]["losses"]], [f"{loss:.5f}" for loss in expected]
            sys.exit(f"{name} has other losses than {reference}, by {largest[name]:.2g}:\n{shown[0]}\n{shown[1]}")
    return largest


def tables(measured: Mapping[str, Sequence[Measured]], plan: Plan, warm_up: int) -> Iterator[str]:
    """What is printed: contestants, the ratios that matter, losses."""
    reference = "specmill" if "specmill" in measured else next(iter(measured))
    differences = refuse_other_losses(measured, reference)
    targets = np.asarray(plan.num_targets[warm_up:], dtype=np.float64)
    rates = {
        name: targets / np.asarray([told["seconds"][warm_up:] for told in rounds]) for name, rounds in measured.items()
    }
    peaks = {name: np.asarray([[told["peak_bytes"] / 2**20] for told in rounds]) for name, rounds in measured.items()}
    rows = []
    for name, rounds in measured.items():
        quarters = np.quantile(rates[name], (0.25, 0.5, 0.75))
        rows.append({
            "trainer": f"{name} {version(name)}",
            "target tokens/s": f"{quarters[1]:.1f}",
            "quartiles": f"{quarters[0]:.1f} to {quarters[2]:.1f}",
            f"{reference} / it": ratio(rates[reference], rates[name]),
            "peak MiB": f"{np.median(peaks[name]):.0f}",
            "before the first update": f"{np.median([told['first_peak_bytes'] for told in rounds]) / 2**20:.0f}",
            f"peak, {reference} / it": ratio(peaks[reference], peaks[name]),
            "largest difference of a loss": f"{differences[name]:.1e}",
            "how": CONTESTANTS[name].notes,
        })  # fmt: skip
    yield markdown(rows)
    peers = [name for name in measured if name != reference]
    if peers:
        best = max(peers, key=lambda name: float(np.median(rates[name])))
        least = min(peers, key=lambda name: float(np.median(peaks[name])))
        yield f"speed, {reference} / best ({best}): {ratio(rates[reference], rates[best])}"
        yield f"peak memory, {reference} / least ({least}): {ratio(peaks[reference], peaks[least])}"
    losses = {name: rounds[0]["losses"] for name, rounds in measured.items()}
    yield markdown([
        {"update": number, "tokens": plan.num_tokens[number], "learned": plan.num_targets[number]}
        | {name: f"{losses[name][number]:.6f}" for name in losses}
        for number in range(len(plan.updates))
    ])  # fmt: skip


def main() -> None:
    """Measure everyone in turn, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--warm-up", type=int, default=3, help="updates before those that count")
    parser.add_argument("--updates", type=int, default=9, help="those that count")
    parser.add_argument("--update-tokens", type=int, default=UPDATE_TOKENS, help="tokens of an update, at most")
    parser.add_argument("--row-tokens", type=int, default=UPDATE_TOKENS, help="longest row")
    parser.add_argument("--full", action="store_true", help="train all weights instead of an adapter")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--model", default="builtin:smollm2-135m", help="a folder, or the builtin model")
    parser.add_argument("--only", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS), metavar="CONTESTANT")
    parser.add_argument("--keep", type=Path, help="write what was measured to this JSON file, too")
    given = parser.parse_args()
    measured: dict[str, list[Measured]] = {name: [] for name in given.only}
    with tempfile.TemporaryDirectory() as temporary:
        plan = prepare(Path(temporary), given)
        for _ in range(given.rounds):
            for name in given.only:
                measured[name].append(run(CONTESTANTS[name].script, Path(temporary)))
        about = {"machine": machine_name(), "targets": plan.num_targets, "measured": measured}
        if given.keep:
            given.keep.write_text(json.dumps(about), encoding="utf-8")
        what = "all weights" if given.full else f"an adapter ({settings_line(Lora())})"
        print(f"{machine_name()}; {given.model}, {what}, fp32, {given.threads} threads; {given.rounds} rounds of")
        print(f"{given.warm_up} + {given.updates} updates; {plan.describe()}\n")
        print("\n\n".join(tables(measured, plan, given.warm_up)))


def settings_line(lora: Lora) -> str:
    """Its settings in a line."""
    return ", ".join(f"{name} {value:g}" for name, value in lora.model_dump().items())


if __name__ == "__main__":
    main()
