"""The tables of a run: their columns, who writes them, and which rows are of the current recipe.

One place says all of it, so that the journal, the parts, the views and the docs cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import pyarrow as pa

Room = Literal["corpus", "filters", "train", "eval", "store"]

STRING, INT, FLOAT, BOOL = pa.string(), pa.int64(), pa.float64(), pa.bool_()
STRINGS = pa.list_(STRING)
TIME = pa.timestamp("us")  # UTC, without a zone: DuckDB needs no time-zone data to compare them
THRESHOLDS = pa.list_(pa.struct([("threshold", FLOAT), ("precision", FLOAT), ("recall", FLOAT), ("num_kept", INT)]))
TRIES = pa.list_(pa.struct([("seed", INT), ("learning_rate", FLOAT), ("outcome", STRING)]))
MESSAGES = pa.list_(pa.struct([("role", STRING), ("content", STRING)]))


@dataclass(frozen=True)
class Table:
    """One table of a run."""

    name: str
    writers: tuple[Room, ...]
    """The rooms that may add rows: one, but for `calls`, which the engine writes for any room."""
    key: str
    """The column, or columns with commas between, that no two rows share."""
    stale_unless: str | None
    """How a row shows that it is of the current recipe. `COLUMN`: its value is among the current ones that the
    writing room set (`Store.set_current`). `brief_id -> briefs`: its brief is current and no row of that brief was
    written with the brief's present context instead; or it has no brief (an imported row). None: rows never become
    stale."""
    columns: tuple[tuple[str, pa.DataType], ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """The Arrow schema that parts are written with."""
        return pa.schema(list(self.columns))


def _table(
    name: str,
    writers: Room | tuple[Room, ...],
    key: str,
    stale_unless: str | None,
    /,
    **columns: pa.DataType,
) -> Table:
    rooms = (writers,) if isinstance(writers, str) else writers
    return Table(name, rooms, key, stale_unless, tuple(columns.items()))


_ALL = (
    _table(
        "clauses", "corpus", "pass_hash,clause_id", "pass_hash",
        clause_id=STRING, ordinal=INT, path=STRINGS, label=STRING, authority=STRING, kind=STRING, split=STRING,
        text=STRING, start_char=INT, end_char=INT, pass_hash=STRING,
    ),
    _table(
        "assertions", "corpus", "pass_hash,assertion_id", "pass_hash",
        assertion_id=STRING, clause_ids=STRINGS, domain=STRING, subdomain=STRING, text=STRING, explanation=STRING,
        label=STRING, pass_hash=STRING,
    ),
    _table(
        "genres", "corpus", "pass_hash,genre_id", "pass_hash",
        genre_id=STRING, name=STRING, family=STRING, description=STRING, voice=STRING, form=STRING,
        target_words=INT, modes=STRINGS, temperature=FLOAT, top_p=FLOAT, min_p=FLOAT, realism=STRING, avoid=STRING,
        writers=STRINGS, readers=STRINGS, situations=STRINGS, consequences=STRINGS, pass_hash=STRING,
    ),
    _table(
        "briefs", "corpus", "pass_hash,brief_id", "pass_hash",
        brief_id=STRING, kind=STRING, stance=STRING, clause_ids=STRINGS, assertion_ids=STRINGS, domain=STRING,
        subdomain=STRING, genre=STRING, question_kind=STRING, idea=STRING, variant=INT, seat=STRING, round=INT,
        wave=INT, prompt_hash=STRING, context_hash=STRING, model=STRING, sampling=STRING, seed=INT, pass_hash=STRING,
    ),
    _table(
        "worn", "corpus", "pass_hash,kind,text", "pass_hash",
        kind=STRING, text=STRING, num_documents=INT, pass_hash=STRING,
    ),
    _table(
        "calls", ("corpus", "filters", "eval"), "call_id", None,
        call_id=STRING, room=STRING, purpose=STRING, item_id=STRING, outcome=STRING, finish_reason=STRING,
        prompt_tokens=INT, cached_tokens=INT, completion_tokens=INT, seconds=FLOAT, attempt=INT, model=STRING,
        served_model=STRING, reply=STRING, error=STRING,
    ),
    _table(
        "documents", "corpus", "doc_id", "brief_id -> briefs",
        doc_id=STRING, brief_id=STRING, context_hash=STRING, call_id=STRING, parent_id=STRING, set=STRING, genre=STRING,
        domain=STRING, subdomain=STRING, clause_ids=STRINGS, text=STRING, num_tokens=INT, num_chars=INT, source=STRING,
        extra=STRING,
    ),
    _table(
        "chats", "corpus", "chat_id", "brief_id -> briefs",
        chat_id=STRING, brief_id=STRING, context_hash=STRING, call_id=STRING, twin_id=STRING, set=STRING, stance=STRING,
        reasoning=BOOL, question_kind=STRING, clause_ids=STRINGS, messages=MESSAGES, num_tokens=INT, source=STRING,
        extra=STRING,
    ),
    _table(
        "rejected", "corpus", "rejected_id", None,
        rejected_id=STRING, set=STRING, source=STRING, reason=STRING, detail=STRING, excerpt=STRING,
    ),
    _table(
        "scores", "filters", "doc_id,scorer_hash,name", "scorer_hash",
        doc_id=STRING, scorer=STRING, name=STRING, value=FLOAT, label=STRING, evidence=STRING, scorer_hash=STRING,
    ),
    _table(
        "verdicts", "filters", "doc_id,filter_hash", "filter_hash",
        doc_id=STRING, filter=STRING, outcome=STRING, reason=STRING, filter_hash=STRING,
    ),
    _table(
        "classifiers", "filters", "pass_hash,classifier", "pass_hash",
        classifier=STRING, source=STRING, num_positives=INT, num_negatives=INT, num_held_out=INT, auc=FLOAT,
        auc_low=FLOAT, auc_high=FLOAT, control_auc=FLOAT, accuracy=FLOAT, threshold=FLOAT, precision=FLOAT,
        recall=FLOAT, thresholds=THRESHOLDS, num_trainings=INT, tries=TRIES, why_not=STRING, model_id=STRING,
        pass_hash=STRING,
    ),
    _table(
        "recurring", "filters", "pass_hash,kind,text", "pass_hash",
        row_kind=STRING, kind=STRING, text=STRING, num_documents=INT, cluster=STRING, pass_hash=STRING,
    ),
    _table(
        "duplicates", "filters", "pass_hash,doc_id", "pass_hash",
        doc_id=STRING, cluster_id=STRING, survivor_id=STRING, matched_id=STRING, kind=STRING, band=INT,
        estimated_jaccard=FLOAT, jaccard=FLOAT, pass_hash=STRING,
    ),
    _table(
        "mixes", "filters", "pass_hash,position", "pass_hash",
        mix=STRING, position=INT, doc_id=STRING, repeat=INT, shard=STRING, num_tokens=INT, pass_hash=STRING,
    ),
    _table(
        "mix_parts", "filters", "pass_hash,part", "pass_hash",
        mix=STRING, part=INT, set=STRING, genre=STRING, clause=STRING, target_share=FLOAT, target_tokens=INT,
        available_tokens=INT, tokens=INT, unique_tokens=INT, rows=INT, distinct_rows=INT, pass_hash=STRING,
    ),
    _table(
        "stages", "train", "chain,seed,stage,stage_hash", "stage_hash",
        chain=STRING, seed=INT, stage=STRING, parent=STRING, data_hash=STRING, recipe_hash=STRING, tokens=INT,
        target_tokens=INT, updates=INT, seconds=FLOAT, checkpoint=STRING, stage_hash=STRING,
    ),
    _table(
        "steps", "train", "chain,seed,stage,stage_hash,step", "stage_hash",
        chain=STRING, seed=INT, stage=STRING, step=INT, loss=FLOAT, tokens=INT, target_tokens=INT,
        learning_rate=FLOAT, grad_norm=FLOAT, seconds=FLOAT, tokens_per_second=FLOAT, target_tokens_per_second=FLOAT,
        mfu_fraction=FLOAT, peak_memory_bytes=INT, stage_hash=STRING,
    ),
    _table(
        "held_out_losses", "train", "chain,seed,stage,stage_hash,step,genre", "stage_hash",
        chain=STRING, seed=INT, stage=STRING, step=INT, genre=STRING, loss=FLOAT, num_texts=INT, target_tokens=INT,
        stage_hash=STRING,
    ),
    _table(
        "evals", "eval", "eval_id", "eval_hash",
        eval_id=STRING, arm=STRING, train_seed=INT, task=STRING, item_id=STRING, variant=STRING, sample=INT,
        score=FLOAT, value=FLOAT, weight=FLOAT, answer=STRING, explanation=STRING, judge=STRING, cluster=STRING,
        answer_id=STRING, eval_hash=STRING,
    ),
    _table(
        "answers", "eval", "answer_id", "answers_hash",
        answer_id=STRING, arm=STRING, train_seed=INT, task=STRING, item_id=STRING, variant=STRING, sample=INT,
        messages=MESSAGES, text=STRING, finish_reason=STRING, prompt_tokens=INT, completion_tokens=INT,
        answer_key=STRING, answers_hash=STRING,
    ),
    _table(
        "grades", "eval", "grade_id", "grading_hash",
        grade_id=STRING, question_id=STRING, task=STRING, judge=STRING, again=BOOL, outcome=STRING, reply=STRING,
        grading_hash=STRING,
    ),
    _table(
        "effects", "eval", "pass_hash,arm,against,metric", "pass_hash",
        arm=STRING, against=STRING, metric=STRING, value=FLOAT, low=FLOAT, high=FLOAT, standard_error=FLOAT, df=FLOAT,
        n=INT, clusters=INT, seeds=INT, p_value=FLOAT, flip_p_value=FLOAT, is_declared=BOOL, adjusted_p_value=FLOAT,
        note=STRING, pass_hash=STRING,
    ),
    _table(
        "invocations", "store", "invocation_id", None,
        invocation_id=STRING, verb=STRING, recipe_hash=STRING, code_version=STRING, machine=STRING, started=TIME,
        seconds=FLOAT, outcome=STRING,
    ),
)  # fmt: skip

TABLES: dict[str, Table] = {table.name: table for table in _ALL}
