"""What the run knows about the rows of a mix, for its dataset card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from corpus.clause_names import ClauseNames
from corpus.store import Store
from filters.mixes.mix_plan import MixPlan
from filters.rows import KEYS, READ_ROWS


@dataclass(frozen=True)
class Counts:
    """Of one part of a mix."""

    rows: int = 0
    distinct_rows: int = 0
    tokens: int = 0


@dataclass(frozen=True)
class Facts:
    """Counts over a mix and over the run that it was taken from."""

    models: Mapping[str, int]
    """Distinct rows by the model that wrote them."""
    prompts: Mapping[str, int]
    """Distinct rows by the hash of their prompts."""
    by: Mapping[str, Mapping[str, Counts]]
    """Counts by set, genre and clause; a row of several clauses counts under each."""
    verdicts: Mapping[tuple[str, str], int]
    """Rows of the run by filter and outcome."""
    num_duplicates: int
    """Rows of the run that gave way to another of their cluster."""
    num_held_out_clauses: int


def gather_facts(store: Store, plan: MixPlan) -> Facts:
    """Ask the run about a mix."""
    kind = plan.settings.kind
    models, prompts = Counter[str](), Counter[str]()
    wanted = pa.table({"id": pa.array(sorted({pick.source.id for pick in plan.picks}), pa.string())})
    sql = (
        f"SELECT model, prompt_hash, count(*) AS num FROM {kind} JOIN briefs USING (brief_id) "
        f"SEMI JOIN wanted ON {KEYS[kind]} = id GROUP BY ALL"
    )
    for batch in store.batches(sql, num_rows=READ_ROWS, wanted=wanted):
        for row in batch.to_pylist():
            models[str(row["model"])] += row["num"]
            prompts[str(row["prompt_hash"])] += row["num"]
    verdicts = store.rows(
        f"SELECT filter, outcome, count(*) AS num FROM verdicts WHERE doc_id IN (SELECT {KEYS[kind]} FROM {kind}) "
        "GROUP BY ALL ORDER BY ALL"
    )
    gave_way = store.rows(
        f"SELECT count(*) AS num FROM duplicates WHERE doc_id <> survivor_id "
        f"AND doc_id IN (SELECT {KEYS[kind]} FROM {kind})"
    )
    held_out = store.rows("SELECT count(*) AS num FROM clauses WHERE split = 'held_out'")
    return Facts(
        models=dict(sorted(models.items())),
        prompts=dict(sorted(prompts.items())),
        by=_counts(plan, ClauseNames.of_run(store).singles()),
        verdicts={(str(row["filter"]), str(row["outcome"])): int(str(row["num"])) for row in verdicts},
        num_duplicates=int(str(gave_way[0]["num"])),
        num_held_out_clauses=int(str(held_out[0]["num"])),
    )


def _counts(plan: MixPlan, names: Mapping[str, str]) -> dict[str, dict[str, Counts]]:
    rows: Counter[tuple[str, str]] = Counter()
    distinct: Counter[tuple[str, str]] = Counter()
    tokens: Counter[tuple[str, str]] = Counter()
    for source, repeat, _ in plan.picks:
        kept = [("set", source.set), *([("genre", source.genre)] if source.genre is not None else [])]
        for place in [*kept, *(("clause", names.get(one, one)) for one in source.clause_ids)]:
            rows[place] += 1
            distinct[place] += not repeat
            tokens[place] += source.num_tokens
    found: dict[str, dict[str, Counts]] = {"set": {}, "genre": {}, "clause": {}}
    for axis, name in sorted(rows, key=lambda place: (-tokens[place], place)):
        place = (axis, name)
        found[axis][name] = Counts(rows[place], distinct[place], tokens[place])
    return found
