"""What is kept and shown of a stage while it trains: rows, resumable states, the best weights, curves, a line."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from corpus.stage import Progress
from corpus.store import Store, WritingStore
from train.held_out import HeldOut, mean_loss, measure
from train.loop import Step, Trainer
from train.progress import State, save_best, save_progress
from train.runs import OutOfTime, StageRun
from train.speed import Costs, peak_memory_bytes

Row = dict[str, object]
TABLES = ("steps", "held_out_losses")


class _Scalars(Protocol):
    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...
    def close(self) -> None: ...


class Recorder:
    """Takes each update as it comes, and writes rows and resumable state together every `checkpoint_updates`.

    The state holds all rows so far and comes first. A process killed between the two leaves rows that are not in
    the store; one killed before leaves no rows of steps that will be done again. Either way each is there once.
    """

    def __init__(
        self,
        run: StageRun,
        store: Store,
        trainer: Trainer,
        held_out: Sequence[HeldOut],
        costs: Costs,
        matrix_rate: float,
        state: State,
        progress: Progress,
        is_time_up: Callable[[], bool],
    ) -> None:
        """Go on from `state`; only the first process of the team has a store that it may write."""
        self._run, self._store, self._trainer, self._held_out = run, store, trainer, held_out
        self._costs, self._matrix_rate, self._progress, self._is_time_up = costs, matrix_rate, progress, is_time_up
        self._threads, self._measured_on = state.num_threads, state.measured_on
        self.rows: dict[str, list[Row]] = {table: list(state.rows.get(table, [])) for table in TABLES}
        self.best = state.best
        measured = self._last_measured()
        self._held_out_loss = mean_loss(measured) if measured else None
        self._stored: dict[str, set[tuple[object, ...]]] = {}
        self._scalars: _Scalars | None = None
        if isinstance(store, WritingStore):
            self._scalars = _open_scalars(
                store.root / "tensorboard" / run.chain / f"seed-{run.seed}", state.num_updates + 1
            )
            for table in TABLES:
                self._stored[table] = {_key(row) for row in stored_rows(store, run, table)}
            self._append()
        if not self.rows["steps"]:
            self._measure(0)

    @property
    def label(self) -> str:
        """The stage's name in the progress."""
        return f"train {self._run.chain} seed {self._run.seed}"

    def take(self, number: int, step: Step) -> None:
        """Keep what update `number` did.

        Raises:
            OutOfTime: the time is up; the state is saved.
        """
        done, num_all = number + 1, len(self._trainer.plan.updates)
        settings, team = self._run.settings, self._trainer.team
        rate = self._matrix_rate * team.size
        row = self._names() | {
            "step": done,
            **vars(step),
            "tokens_per_second": step.tokens / step.seconds,
            "target_tokens_per_second": step.target_tokens / step.seconds,
            "mfu_fraction": self._costs.of_update(self._trainer.plan, number) / step.seconds / rate,
            "peak_memory_bytes": max(team.from_all(peak_memory_bytes(team.device))),
        }
        self.rows["steps"].append(row)
        if done == num_all or (settings.held_out_updates and done % settings.held_out_updates == 0):
            self._measure(done)
        self._show(row)
        stops = done < num_all and team.from_first(self._is_time_up)
        if stops or done % settings.checkpoint_updates == 0 or done == num_all:
            state = State(self._run.stage_hash, done, self._threads, self.rows, self._measured_on, self.best)
            trainer = self._trainer
            save_progress(
                self._run.progress_folder, state, trainer.parameters, trainer.optimizer, team, settings.keep_last
            )
            self._append()
        if stops:
            raise OutOfTime(f"{self._run.scope} after {done} of {num_all} updates")

    def close(self) -> None:
        """Close the curves."""
        if self._scalars is not None:
            self._scalars.close()

    def _names(self) -> Row:
        run = self._run
        return {"chain": run.chain, "seed": run.seed, "stage": run.stage, "stage_hash": run.stage_hash}

    def _last_measured(self) -> list[Row]:
        measured = self.rows["held_out_losses"]
        return [row for row in measured if row["step"] == measured[-1]["step"]]

    def _measure(self, step: int) -> None:
        if not self._held_out or self._run.settings.held_out_updates is None:
            return
        measured = measure(self._held_out, self._trainer.held_out_loss)
        self.rows["held_out_losses"] += [self._names() | {"step": step} | row for row in measured]
        self._held_out_loss = mean_loss(measured)
        if self._run.settings.keep == "best" and step and (self.best is None or self._held_out_loss < self.best[1]):
            self.best = (step, self._held_out_loss)
            save_best(self._run.progress_folder, step, self._trainer.parameters, self._trainer.team)
        if self._scalars is not None:
            self._scalars.add_scalar("held_out_loss", self._held_out_loss, step)
            for row in measured:
                self._scalars.add_scalar(f"held_out_loss/{row['genre']}", float(str(row["loss"])), step)

    def _append(self) -> None:
        if not isinstance(self._store, WritingStore):
            return
        missing = {
            table: [row for row in rows if _key(row) not in self._stored[table]] for table, rows in self.rows.items()
        }
        if any(missing.values()):
            self._store.writer("train").append({table: rows for table, rows in missing.items() if rows})
            for table, rows in missing.items():
                self._stored[table] |= {_key(row) for row in rows}

    def _show(self, row: Mapping[str, object]) -> None:
        if self._scalars is not None:
            for name in _CURVES:
                self._scalars.add_scalar(name, float(str(row[name])), int(str(row["step"])))
        held_out = "" if self._held_out_loss is None else f" · held out {self._held_out_loss:.3f}"
        speed = f"{row['tokens_per_second']:,.0f} tokens/s ({row['target_tokens_per_second']:,.0f} learned)"
        memory = int(str(row["peak_memory_bytes"])) / 1e9
        self._progress.describe(
            self.label,
            f"loss {row['loss']:.3f}{held_out} · {speed} · MFU {row['mfu_fraction']:.0%} · {memory:.1f} GB",
        )


_CURVES = (
    "loss", "learning_rate", "grad_norm", "tokens_per_second", "target_tokens_per_second", "mfu_fraction",
    "peak_memory_bytes",
)  # fmt: skip


def stored_rows(store: Store, run: StageRun, table: str) -> list[Row]:
    """The rows that the store has of this very stage."""
    sql = f"SELECT * FROM all_{table} WHERE chain = ? AND seed = ? AND stage_hash = ?"
    return store.rows(sql, [run.chain, run.seed, run.stage_hash])


def _key(row: Mapping[str, object]) -> tuple[object, ...]:
    return row["step"], row.get("genre")


def _open_scalars(folder: Path, first_step: int) -> _Scalars | None:
    """TensorBoard's curves, where it is installed; a resumed run replaces those of the steps it does again."""
    if importlib.util.find_spec("tensorboard") is None:
        return None
    from torch.utils.tensorboard import SummaryWriter

    writer: _Scalars = SummaryWriter(str(folder), purge_step=first_step)
    return writer
