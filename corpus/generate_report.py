"""What generating did, as tables for a person."""

from __future__ import annotations

from dataclasses import dataclass

from corpus.briefs import BriefsReport
from corpus.clauses import SpecReport
from corpus.stage import StageReport


@dataclass(frozen=True)
class GenerateReport:
    """What generating did."""

    spec: SpecReport
    briefs: BriefsReport
    stages: list[StageReport]
    num_briefs: int
    num_failed: int
    """Briefs of the current recipe that have no text and no attempt left."""
    num_without_idea: int = 0
    """Documents that were asked for and got no brief: the calls for their ideas gave too little."""
    num_new_seats: int = 0
    """Briefs that this topping up added, in place of texts that curation removed."""

    @property
    def failed_fraction(self) -> float:
        """Share of what was asked for that failed: as a brief, or before it was one."""
        num_asked = self.num_briefs + self.num_without_idea
        return (self.num_failed + self.num_without_idea) / num_asked if num_asked else 0.0

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """Tables for a person."""
        return [
            ("clauses", clause_rows(self.spec)),
            ("briefs", [*brief_rows(self.briefs), {"state": "no idea found", "briefs": self.num_without_idea}]),
            ("written", [
                {"stage": stage.stage, "outcome": outcome, "items": count, "seconds": stage.wall_seconds}
                for stage in self.stages
                for outcome, count in sorted(stage.outcomes.items())
            ]),
        ]  # fmt: skip


def clause_rows(spec: SpecReport) -> list[dict[str, object]]:
    """Clauses by kind, as a table."""
    rows: list[dict[str, object]] = [{"kind": kind, "clauses": count} for kind, count in spec.num_clauses.items()]
    return [*rows, {"kind": "held out of all prompts", "clauses": spec.num_held_out}]


def brief_rows(briefs: BriefsReport) -> list[dict[str, object]]:
    """New, kept and stale briefs, as a table."""
    return [
        {"state": "new", "briefs": briefs.new},
        {"state": "kept", "briefs": briefs.kept},
        {"state": "kept with other context", "briefs": briefs.other_context},
        {"state": "stale", "briefs": briefs.stale},
        {"state": "for the outline to find", "briefs": briefs.unknown},
    ]
