"""Curation: score what is not scored, judge what is not judged, then find duplicates among what is kept.

Scores, verdicts and duplicates are kept under the hash of what made them, so a second run does nothing, and a moved
threshold reads scores instead of texts. Filters take turns (`filters.registry.TURNS`): the cheap ones see every row,
one that compares rows or asks a model about them sees what those before it keep. Duplicates are looked for among the
rows that every filter keeps: a kept row never gives way to one that is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import cast

import prompts
from corpus.errors import DataError
from corpus.models import request_options
from corpus.recipe import Recipe, Section
from corpus.stage import Progress
from corpus.store import Store, WritingStore
from corpus.store.identity import content_id, file_id
from filters.base import KINDS, Filter, Kind, TextFilter
from filters.copies.candidates import candidates, check_against
from filters.copies.duplicates import find_duplicates, pass_hash
from filters.gate import Gate
from filters.judges.agreement import Agreement, measure_agreement
from filters.judges.judge import Judge, ask_missing
from filters.judging import judge_missing, missing, score_missing
from filters.learned.classifier import Classifier
from filters.learned.classifier_report import ClassifierReport, report_tables, write_rows
from filters.learned.classifying import classifier_row, is_classifier
from filters.learned.genre_fidelity import GenreFidelity
from filters.learned.genre_training import FidelityReport, measure_fidelity
from filters.registry import FILTERS, filter_of, make_filters, read_settings, turns
from filters.rows import KEYS, comes_in
from filters.signs.contamination import ContaminationSettings
from filters.signs.eval_texts import own_files
from filters.signs.patterns import count_patterns

NOTE = "@"
"""Scopes of `store.current("verdicts")` that begin with it are no filters: `@unjudged`, `@curate`, and the kinds."""


@dataclass(frozen=True)
class CurateReport:
    """What curation found; counts are of all current rows, not only of the new ones."""

    num_rows: Mapping[Kind, int]
    """Documents and chats that were there."""
    num_kept: Mapping[Kind, int]
    """Those in the views `curated` and `curated_chats`."""
    outcomes: Mapping[tuple[str, str, str | None], int]
    """Verdicts by filter, outcome and reason."""
    num_duplicates: Mapping[str, int]
    """Rows that gave way to another one, by kind: exact and near."""
    num_scored: int
    """Rows that lacked a score and got it now."""
    classifiers: Mapping[str, tuple[ClassifierReport, float]]
    """What each classifier is worth, and its threshold, by its name."""
    fidelity: tuple[FidelityReport, float] | None
    """How well genres are told apart, and the threshold; None where the recipe does not ask."""
    agreement: Agreement | None
    """What the judge's verdicts are worth; None where the recipe names no judge."""

    def tables(self) -> list[tuple[str, list[dict[str, object]]]]:
        """Tables for a person."""
        gave_way = ", ".join(f"{num} {kind}" for kind, num in self.num_duplicates.items()) or "none"
        return [
            ("curated", [{"rows": kind, "found": self.num_rows[kind], "kept": self.num_kept[kind]} for kind in KINDS]),
            (
                f"verdicts (duplicates that gave way: {gave_way})",
                [
                    {"filter": name, "outcome": outcome, "reason": reason, "rows": num}
                    for (name, outcome, reason), num in self.outcomes.items()
                ],
            ),
            *(
                table
                for name, (report, line) in self.classifiers.items()
                for table in report_tables(name, report, line)
            ),
            *(self.fidelity[0].tables(self.fidelity[1]) if self.fidelity else []),
            ("judge", [_judge_row(self.agreement)] if self.agreement else []),
        ]


def curate_corpus(recipe: Recipe, store: WritingStore, progress: Progress) -> CurateReport:
    """See `filters.curate_corpus`."""
    settings = read_settings(recipe)
    check_against(recipe, store)
    patterns = count_patterns(recipe, store)
    gate = Gate(recipe.curate.unjudged)
    filters: list[Filter] = []
    scored: set[str] = set()
    for of_turn in turns(settings):
        made = make_filters(of_turn, recipe, store, gate, progress)
        scored |= score_missing(store, [one for one in made if isinstance(one, TextFilter)], gate, progress)
        for judge in (one for one in made if isinstance(one, Judge)):
            scored |= ask_missing(store, judge, gate, progress)
        judge_missing(store, made, gate, progress)
        filters += made
        gate = gate.after(made)
    verdicts = {judging.name: judging.filter_hash for judging in filters}
    verdicts |= {
        f"{NOTE}unjudged": recipe.curate.unjudged,
        f"{NOTE}curate": _curate_hash(recipe, store),
        **{f"{NOTE}{kind}": _rows_hash(store, kind) for kind in KINDS},
    }
    scorers = {scoring.name: scoring.scorer_hash for scoring in filters}
    passes = _look_for_duplicates(recipe, store, gate, scorers, progress)
    writer = store.writer("filters")
    scorers |= {f"{one.name} again": one.again_hash for one in filters if isinstance(one, Judge)}
    write_rows(store, [classifier_row(store, one) for one in filters if is_classifier(one)], keep_others=False)
    writer.set_current_together({"scores": scorers, "recurring": patterns, "duplicates": passes, "verdicts": verdicts})
    return _report(store, filters, len(scored))


def check_curated(recipe: Recipe, store: Store, kind: Kind) -> None:
    """Make sure that the curated view of `kind` is what this recipe gives for the rows there are.

    Raises:
        DataError: it is not; the message says why, and to curate.
    """
    verdicts = store.current("verdicts")
    if verdicts.get(f"{NOTE}curate") != _curate_hash(recipe, store):
        how = "with other settings than this recipe's" if verdicts else "not yet"
        raise DataError(f"{store.root} was curated {how}; run specmill curate with the same recipe and the same -o")
    hashes = [made_by for scope, made_by in verdicts.items() if not scope.startswith(NOTE)]
    pending = missing(store, "verdicts", hashes)[kind]
    if pending:
        raise DataError(f"{len(pending)} {kind} of {store.root} are not curated yet; run: specmill curate {store.root}")
    settings = recipe.curate.duplicates
    gate = Gate(recipe.curate.unjudged, tuple(hashes))
    wanted = None
    if settings is not None:
        wanted = pass_hash(candidates(store, kind, gate, settings, store.current("scores"))[0], settings)
    if store.current("duplicates").get(kind) != wanted or (wanted and not store.has_pass("duplicates", wanted)):
        raise DataError(
            f"the duplicates among the {kind} of {store.root} are out of date; run: specmill curate {store.root}"
        )
    if verdicts.get(f"{NOTE}{kind}") != _rows_hash(store, kind):
        raise DataError(
            f"the {kind} of {store.root} are not all that it was curated with, and filters that compare them with one "
            f"another rest on all; run: specmill curate {store.root}"
        )


def _curate_hash(recipe: Recipe, store: Store) -> str:
    """Names all that verdicts rest on besides the rows.

    What the recipe says, the models that its filters ask, the files that they name, the names and clauses that they
    hold texts against, and the code.
    """
    settings = read_settings(recipe)
    files = [file_id(path) for one in settings.values() for path in _files_in(one) if path.is_file()]
    versions = {name: FILTERS[filter_of(one)].version for name, one in settings.items()}
    names = [recipe.spec.model_name, recipe.spec.provider_name] if recipe.spec else []
    rubrics = [prompts.load(name).hash for name in ("judge_document", "judge_chat")] if "judge" in settings else []
    rests_on = [files, versions, names, store.current("clauses"), rubrics]
    named = sorted(set(recipe.curate.engines().values()))
    asked = [recipe.engines[name].model_dump(mode="json", include={"model", "revision", "adapter"}) for name in named]
    options = [request_options(recipe.engines[name]) for name in named]
    return content_id("curate", recipe.curate.model_dump(mode="json"), *asked, *filter(None, options), rests_on)


def _rows_hash(store: Store, kind: Kind) -> str:
    """Names the rows that are judged: what filters say that compare them with one another rests on all."""
    ids = store.query(f"SELECT {KEYS[kind]} FROM {kind} WHERE {comes_in(kind)} ORDER BY 1")
    return content_id("rows", ids.column(0).to_pylist())


def _files_in(settings: object) -> Iterator[Path]:
    """Every file that settings name; a model may be a name, which is no file."""
    if isinstance(settings, ContaminationSettings) and settings.own_items:
        yield from (file.path for file in own_files())
    if isinstance(settings, Section):
        for key, value in settings:
            yield from [Path(value)] if key == "model" and isinstance(value, str) else _files_in(value)
    elif isinstance(settings, Path):
        yield settings
    elif isinstance(settings, list | tuple):
        yield from chain.from_iterable(map(_files_in, settings))


def _look_for_duplicates(
    recipe: Recipe, store: WritingStore, gate: Gate, scorers: Mapping[str, str], progress: Progress
) -> dict[str, str]:
    """The hash of the pass over each kind of row, after making the passes that are not there."""
    settings = recipe.curate.duplicates
    if settings is None:
        return {}
    passes: dict[str, str] = {}
    for kind in KINDS:
        rows, read = candidates(store, kind, gate, settings, scorers)
        of_pass = passes[kind] = pass_hash(rows, settings)
        if store.has_pass("duplicates", of_pass):
            continue
        stage = f"duplicates among {kind}"
        progress.start(stage, 1)
        store.writer("filters").commit("duplicates", of_pass, find_duplicates(rows, read, settings))
        progress.advance(stage, "ok")
    return passes


def _report(store: Store, filters: Sequence[Filter], num_scored: int) -> CurateReport:
    judged = store.rows(
        "SELECT filter, outcome, reason, count(*) AS num FROM verdicts "
        "WHERE doc_id IN (SELECT doc_id FROM documents UNION ALL SELECT chat_id FROM chats) "
        "GROUP BY ALL ORDER BY ALL"
    )
    gave_way = store.rows(
        "SELECT kind, count(*) AS num FROM duplicates WHERE doc_id <> survivor_id GROUP BY kind ORDER BY kind"
    )
    [found, kept] = store.rows(
        "SELECT (SELECT count(*) FROM documents) AS documents, (SELECT count(*) FROM chats) AS chats "
        "UNION ALL SELECT (SELECT count(*) FROM curated), (SELECT count(*) FROM curated_chats)"
    )
    return CurateReport(
        num_rows={kind: cast("int", found[kind]) for kind in KINDS},
        num_kept={kind: cast("int", kept[kind]) for kind in KINDS},
        outcomes={
            (str(row["filter"]), str(row["outcome"]), cast("str | None", row["reason"])): cast("int", row["num"])
            for row in judged
        },
        num_duplicates={str(row["kind"]): cast("int", row["num"]) for row in gave_way},
        num_scored=num_scored,
        classifiers={
            one.name: (one.report, one.settings.min_probability) for one in filters if isinstance(one, Classifier)
        },
        fidelity=next(
            (
                (measure_fidelity(store, one), one.settings.min_probability)
                for one in filters
                if isinstance(one, GenreFidelity)
            ),
            None,
        ),
        agreement=next(
            (measure_agreement(store, one.scorer_hash, one.again_hash) for one in filters if isinstance(one, Judge)),
            None,
        ),
    )


def _judge_row(found: Agreement) -> dict[str, object]:
    return {
        "judged": found.num_judged,
        "kept": found.num_kept,
        "judged twice": found.num_twice,
        "agreed": found.num_agreed,
        "agreed fraction": found.agreed_fraction,
        "Cohen's kappa": found.kappa,
    }
