"""How often a judge says the same of a row when it is asked again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from corpus.store import Store


@dataclass(frozen=True)
class Agreement:
    """First verdicts, and second ones on a share of the rows."""

    num_judged: int
    """Rows with a verdict that could be read."""
    num_kept: int
    """Those of them that it would keep."""
    num_twice: int
    """Rows with two verdicts."""
    num_agreed: int
    """Those of them where both say the same."""
    kappa: float | None
    """Cohen's: 1 is full agreement, 0 what chance would give. None where it is not defined, see `cohens_kappa`."""

    @property
    def agreed_fraction(self) -> float | None:
        """Share of the rows judged twice where both verdicts are the same; None without such rows."""
        return self.num_agreed / self.num_twice if self.num_twice else None


def measure_agreement(store: Store, first_hash: str, again_hash: str) -> Agreement:
    """Compare the verdicts under two scorer hashes, over the run's current rows."""
    firsts, seconds = read_verdicts(store, first_hash), read_verdicts(store, again_hash)
    found = store.rows("SELECT doc_id AS id FROM documents UNION ALL SELECT chat_id FROM chats")
    current = {str(row["id"]) for row in found}
    judged = [kept for row_id, kept in firsts.items() if row_id in current]
    pairs = [(firsts[row_id], again) for row_id, again in seconds.items() if row_id in current]
    return Agreement(
        len(judged), sum(judged), len(pairs), sum(first == again for first, again in pairs), cohens_kappa(pairs)
    )


def read_verdicts(store: Store, scorer_hash: str) -> dict[str, bool]:
    """What a judge said, by row: whether it would keep it. Rows whose verdict could not be read are left out."""
    found = store.rows(
        "SELECT doc_id, value FROM all_scores WHERE scorer_hash = ? AND name = 'verdict' AND value IS NOT NULL",
        [scorer_hash],
    )
    return {str(row["doc_id"]): bool(row["value"]) for row in found}


def cohens_kappa(pairs: Sequence[tuple[bool, bool]]) -> float | None:
    """Agreement beyond chance (at most 1); None without pairs, or where all verdicts are the same one."""
    if not pairs:
        return None
    first, second = (sum(votes) / len(pairs) for votes in zip(*pairs, strict=True))
    by_chance = first * second + (1 - first) * (1 - second)
    agreed = sum(one == other for one, other in pairs) / len(pairs)
    return None if by_chance == 1 else (agreed - by_chance) / (1 - by_chance)
