"""What a classifier is worth: JSON beside its model, tables for a person, and a row of the table `classifiers`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa

from corpus.store import WritingStore
from corpus.store.identity import content_id
from corpus.store.parts import write_durably
from corpus.store.schema import TABLES
from filters.learned.fasttext_model import Try
from filters.learned.measuring import THRESHOLDS, AtThreshold, HeldOut


@dataclass(frozen=True)
class ClassifierReport:
    """What a classifier was trained on and what it is worth."""

    model_id: str
    source: str
    """`labels`: trained on them; `file`: brought by the user; `genres`: trained on the corpus itself."""
    num_positives: int | None
    """Labelled rows; None where genres are told apart instead."""
    num_negatives: int | None
    held_out_positives: Sequence[float] = ()
    """Probabilities of the positives, of those above, that it was measured on and not trained on."""
    held_out_negatives: Sequence[float] = ()
    control_auc: float | None = None
    """The AUC after training with shuffled labels, the mean of several; None where nothing was trained."""
    tries: Sequence[Try] = field(default=())
    """Trainings that the model took; more than one when fastText met a NaN."""
    why_not: str | None = None
    """Why nothing was trained."""

    @property
    def held_out(self) -> HeldOut:
        """What it says of the rows it has not learned from."""
        return HeldOut(self.held_out_positives, self.held_out_negatives)

    @property
    def num_held_out(self) -> int:
        """Labelled rows that it was measured on."""
        return len(self.held_out_positives) + len(self.held_out_negatives)

    @property
    def auc(self) -> float | None:
        """On the held-out rows."""
        return self.held_out.auc

    @property
    def failed_tries(self) -> list[Try]:
        """Trainings that gave no model."""
        return [one for one in self.tries if one.outcome != "ok"]

    def save(self, path: Path) -> None:
        """Written after the model: it says that the model is whole."""
        write_durably(path, json.dumps(asdict(self)).encode())

    @classmethod
    def read(cls, path: Path) -> ClassifierReport | None:
        """What `save` wrote; None where it did not yet, or the disk has damaged it since."""
        try:
            known = json.loads(path.read_bytes())
        except (FileNotFoundError, ValueError):
            return None
        return cls(**{**known, "tries": tuple(Try(*one) for one in known["tries"])})

    def at_thresholds(self, threshold: float) -> list[AtThreshold]:
        """Precision and recall at the recipe's threshold and around it; none where nothing was measured."""
        return [self.held_out.at(each) for each in sorted({*THRESHOLDS, threshold})] if self.num_held_out else []


def table_row(
    name: str,
    report: ClassifierReport,
    threshold: float,
    *,
    num_scored: int | None = None,
    accuracy: float | None = None,
) -> dict[str, object]:
    """A row of the table `classifiers`.

    Args:
        name: The classifier's.
        report: What it is worth.
        threshold: The recipe's.
        num_scored: Of one that tells genres apart: the documents that it was measured on.
        accuracy: Of one that tells genres apart: the share of them that look most like their own.
    """
    interval = report.held_out.auc_interval or (None, None)
    at = report.held_out.at(threshold)
    row: dict[str, object] = {
        "classifier": name,
        "source": report.source,
        "num_positives": report.num_positives,
        "num_negatives": report.num_negatives,
        "num_held_out": report.num_held_out if num_scored is None else num_scored,
        "auc": report.auc,
        "auc_low": interval[0],
        "auc_high": interval[1],
        "control_auc": report.control_auc,
        "accuracy": accuracy,
        "threshold": threshold,
        "precision": at.precision,
        "recall": at.recall,
        "thresholds": [each._asdict() for each in report.at_thresholds(threshold)],
        "num_trainings": len(report.tries),
        "tries": [one._asdict() for one in report.tries],
        "why_not": report.why_not,
        "model_id": report.model_id,
    }
    return {**row, "pass_hash": content_id("classifier row", row)}


def write_rows(store: WritingStore, rows: Sequence[Mapping[str, object]], *, keep_others: bool) -> None:
    """Make these the current rows of `classifiers`; `keep_others`: beside those of classifiers with other names."""
    writer = store.writer("filters")
    for row in rows:
        one = pa.Table.from_pylist([dict(row)], schema=TABLES["classifiers"].schema)
        writer.commit("classifiers", str(row["pass_hash"]), one)
    hashes = store.current("classifiers") if keep_others else {}
    hashes |= {str(row["classifier"]): str(row["pass_hash"]) for row in rows}
    if hashes != store.current("classifiers"):
        writer.set_current("classifiers", hashes)


def report_tables(name: str, report: ClassifierReport, threshold: float) -> list[tuple[str, list[dict[str, object]]]]:
    """Tables for a person."""
    interval = report.held_out.auc_interval
    at = report.held_out.at(threshold)
    whole: dict[str, object] = {
        "positives": report.num_positives,
        "negatives": report.num_negatives,
        "held out": report.num_held_out,
        "AUC": report.auc,
        "95 % interval": None if interval is None else f"[{interval[0]:.3f}, {interval[1]:.3f}]",
        "AUC shuffled": report.control_auc,
        "threshold": threshold,
        "precision": at.precision if report.num_held_out else None,
        "recall": at.recall,
        "trainings": len(report.tries),
    }
    if report.why_not is not None:
        whole = {"positives": report.num_positives, "negatives": report.num_negatives, "why not": report.why_not}
    around: list[dict[str, object]] = [
        {"at": one.threshold, "precision": one.precision, "recall": one.recall, "held-out rows kept": one.num_kept}
        for one in report.at_thresholds(threshold)
    ]
    tried = [one._asdict() for one in report.tries] if report.failed_tries else []
    return [
        (f"classifier {name} (AUC, precision and recall on what was held out)", [whole]),
        (f"{name} by threshold", around),
        (f"trainings of {name}", tried),
    ]
