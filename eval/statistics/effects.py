"""The table `effects`: every metric of every arm and every difference, as it was last worked out, for SQL to join."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from corpus.store import WritingStore
from corpus.store.identity import content_id
from corpus.store.schema import TABLES
from eval.statistics.arms import ArmRow


def write_effects(store: WritingStore, rows: Sequence[ArmRow]) -> None:
    """Write the rows as one pass, and make it the current one."""
    made = [
        {
            "arm": row.arm,
            "against": row.against,
            "metric": row.metric,
            "value": row.estimate.value,
            # An error of 0 because nothing varied is not known to be small.
            "low": None if row.estimate.degenerate else row.estimate.low,
            "high": None if row.estimate.degenerate else row.estimate.high,
            "standard_error": None if row.estimate.degenerate else row.estimate.standard_error,
            "df": row.estimate.df,
            "n": row.estimate.n,
            "clusters": row.estimate.clusters,
            "seeds": row.num_seeds,
            "p_value": row.p_value,
            "flip_p_value": row.flip_p_value,
            "is_declared": row.is_declared,
            "adjusted_p_value": row.adjusted_p_value,
            "note": row.note,
        }
        for row in rows
    ]
    pass_hash = content_id("effects", made)
    writer = store.writer("eval")
    schema = TABLES["effects"].schema
    writer.commit("effects", pass_hash, pa.Table.from_pylist([row | {"pass_hash": pass_hash} for row in made], schema))
    writer.set_current("effects", {"effects": pass_hash})
