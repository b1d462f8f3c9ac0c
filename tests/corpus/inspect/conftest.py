"""A run with rows in every table, written with the store's own writer."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from corpus.store import WritingStore, open_writer
from corpus.store.identity import content_id
from corpus.store.schema import TABLES

HOSTILE = "<script>alert('x')</script> {{ 7 * 7 }} [bold red]loud[/bold red] \x1b[31mred\x00 \u202eright"
"""What a model might write: HTML, a template, rich markup, terminal control, a direction mark."""
GENRES = ("internal memo", "forum discussion", "design review", "short story")
HEADINGS = ("Honesty", "Oversight", "Care for people", "Privacy")
SENTENCE = (
    "the assistant says plainly what it knows and what it does not because people decide better with a true picture "
    "of the world and with time to think about it in their own way when somebody asks for more than is fair"
)


def table_row(table: str, **values: object) -> dict[str, object]:
    """A row with every column of the table, those that are not given as null."""
    return {name: None for name, _ in TABLES[table].columns} | values


def text_of(num_words: int, seed: int) -> str:
    """Words in an order of their own."""
    words, picked = SENTENCE.split(), random.Random(seed)
    return " ".join(picked.choice(words) for _ in range(num_words)) + "."


def clause_rows() -> list[dict[str, object]]:
    """Twelve clauses under four headings; the last two are held out."""
    rows = []
    for number in range(12):
        text = f"Clause {number}: " + text_of(20, number)
        path = ["A spec", HEADINGS[number % len(HEADINGS)]]
        rows.append(
            table_row(
                "clauses", clause_id=content_id("clause", path, text, 0), ordinal=number, path=path, text=text,
                label=f"rule-{number}" if number % 3 == 0 else None, kind="value" if number % 4 == 0 else "rule",
                split="held_out" if number >= 10 else "train", start_char=number * 200,
                end_char=number * 200 + len(text), pass_hash="spec-1",
            )
        )  # fmt: skip
    return rows


def write_items(store: WritingStore, num_documents: int, num_chats: int) -> tuple[list[str], list[str]]:
    """Briefs, calls, documents and chats; every tenth document fails, one holds `HOSTILE`."""
    writer = store.writer("corpus")
    bad = table_row(
        "rejected", rejected_id="b2:bad", set="notes", source="notes.jsonl:7", reason="not JSON", excerpt="{"
    )
    writer.append({"rejected": [bad]})
    clauses = [row for row in clause_rows() if row["split"] == "train"]
    doc_ids, chat_ids, briefs = [], [], []
    for number in range(num_documents + num_chats):
        kind = "document" if number < num_documents else "chat"
        clause = clauses[number * number % 9]["clause_id"]
        genre = None if kind == "chat" else "odds & <i>ends</i>" if number == 4 else GENRES[number % len(GENRES)]
        brief = table_row(
            "briefs", brief_id=content_id("brief", number), kind=kind, stance="values", clause_ids=[clause],
            genre=genre, idea=f"idea {number}", variant=0, prompt_hash="b2:0123", model="builtin:small",
            sampling='{"temperature":0.8}', seed=17, pass_hash="briefs-1",
        )  # fmt: skip
        briefs.append(brief)
        fails = kind == "document" and number % 10 == 9
        call = table_row(
            "calls", call_id=content_id("call", number), room="corpus", purpose=kind, item_id=brief["brief_id"],
            outcome="truncated" if fails else "ok", finish_reason="length" if fails else "stop", prompt_tokens=300,
            completion_tokens=400, seconds=1.5, attempt=0, model="builtin:small", reply="cut <b>off" if fails else None,
        )  # fmt: skip
        rows: dict[str, list[dict[str, object]]] = {"calls": [call]}
        made = {"brief_id": brief["brief_id"], "call_id": call["call_id"], "clause_ids": [clause], "set": "generated"}
        if kind == "document" and not fails:
            text = HOSTILE if number == 4 else text_of(60 + number * 37 % 300, number)
            doc_ids.append(content_id("document", number))
            rows["documents"] = [
                table_row("documents", **made, doc_id=doc_ids[-1], genre=genre, text=text,
                          num_tokens=len(text.split()) * 4 // 3, num_chars=len(text))
            ]  # fmt: skip
        elif kind == "chat":
            chat_ids.append(content_id("chat", number))
            turns = [
                {"role": "user", "content": f"What about {number}?"},
                {"role": "assistant", "content": text_of(30, number)},
            ]
            rows["chats"] = [
                table_row("chats", **made, chat_id=chat_ids[-1], stance="values", reasoning=False, question_kind="open",
                          messages=turns, num_tokens=60)
            ]  # fmt: skip
        writer.append(rows)
    writer.commit("briefs", "briefs-1", pa.Table.from_pylist(briefs, schema=TABLES["briefs"].schema))
    writer.set_current("briefs", {"all": "briefs-1"})
    assertion = table_row("assertions", assertion_id="b2:a", clause_ids=[clauses[0]["clause_id"]], domain="Honesty",
                          subdomain="Doubt", text="It says what it does not know.", pass_hash="outline-1")  # fmt: skip
    writer.commit("assertions", "outline-1", pa.Table.from_pylist([assertion], schema=TABLES["assertions"].schema))
    writer.set_current("assertions", {"plan": "outline-1"})
    return doc_ids, chat_ids


def write_curation(store: WritingStore, doc_ids: list[str], chat_ids: list[str]) -> None:
    """Scores, verdicts, one exact and one near cluster, two mixes."""
    writer = store.writer("filters")
    scores, verdicts = [], []
    for number, doc_id in enumerate([*doc_ids, *chat_ids]):
        outcome, reason = ("drop", "too short") if number % 7 == 6 else ("keep", None)
        scores.append(table_row("scores", doc_id=doc_id, scorer="length", name="words", value=float(number),
                                scorer_hash="length-1"))  # fmt: skip
        verdicts.append(table_row("verdicts", doc_id=doc_id, filter="length", outcome=outcome, reason=reason,
                                  filter_hash="length-1"))  # fmt: skip
        if number < 30:
            scores += [
                table_row("scores", doc_id=doc_id, scorer="helpful", name="probability", value=number / 30,
                          scorer_hash="helpful-1"),
                table_row("scores", doc_id=doc_id, scorer="genre_fidelity", name="own_genre_probability", label="memo",
                          value=number / 30, scorer_hash="fidelity-1"),
            ]  # fmt: skip
    writer.append({"scores": scores, "verdicts": verdicts})
    worth = table_row("classifiers", classifier="helpful", source="labels", num_positives=20, num_negatives=30,
                      num_held_out=10, auc=0.9, auc_low=0.7, auc_high=0.97, threshold=0.5, num_trainings=1,
                      pass_hash="worth-1")  # fmt: skip
    writer.commit("classifiers", "worth-1", pa.Table.from_pylist([worth], schema=TABLES["classifiers"].schema))
    writer.set_current("classifiers", {"helpful": "worth-1"})
    clusters = [
        table_row("duplicates", doc_id=doc_ids[member], cluster_id=content_id("cluster", name),
                  survivor_id=doc_ids[survivor], matched_id=doc_ids[matched], kind=kind, band=band,
                  estimated_jaccard=jaccard, jaccard=jaccard, pass_hash="dups-1")
        for name, kind, member, survivor, matched, band, jaccard in (
            ("a", "exact", 0, 0, 1, None, 1.0), ("a", "exact", 1, 0, 0, None, 1.0),
            ("b", "near", 2, 2, 7, 3, 0.86), ("b", "near", 7, 2, 2, 3, 0.86),
        )
    ]  # fmt: skip
    writer.commit("duplicates", "dups-1", pa.Table.from_pylist(clusters, schema=TABLES["duplicates"].schema))
    worn = table_row(
        "recurring", row_kind="documents", kind="name", text="Maya Patel", cluster="Maya Patel", num_documents=9,
        pass_hash="worn-1",
    )  # fmt: skip
    writer.commit("recurring", "worn-1", pa.Table.from_pylist([worn], schema=TABLES["recurring"].schema))
    writer.set_current("recurring", {"documents": "worn-1"})
    writer.set_current("scores", {"length": "length-1", "helpful": "helpful-1", "genre_fidelity": "fidelity-1"})
    writer.set_current("verdicts", {"length": "length-1", "@unjudged": "keep"})
    writer.set_current("duplicates", {"all": "dups-1"})
    for mix, ids in (("docs", doc_ids[:20]), ("sft", chat_ids)):
        rows = [
            table_row("mixes", mix=mix, position=position, doc_id=doc_id, repeat=0, shard="00000.parquet",
                      num_tokens=100, pass_hash=f"{mix}-1")
            for position, doc_id in enumerate(ids)
        ]  # fmt: skip
        writer.commit("mixes", f"{mix}-1", pa.Table.from_pylist(rows, schema=TABLES["mixes"].schema))
        part = table_row("mix_parts", mix=mix, part=0, target_share=1.0, target_tokens=3_000, available_tokens=2_500,
                         tokens=100 * len(ids), unique_tokens=100 * len(ids), rows=len(ids), distinct_rows=len(ids),
                         pass_hash=f"{mix}-1")  # fmt: skip
        writer.commit("mix_parts", f"{mix}-1", pa.Table.from_pylist([part], schema=TABLES["mix_parts"].schema))
    for table in ("mixes", "mix_parts"):
        writer.set_current(table, {"docs": "docs-1", "sft": "sft-1"})


def write_training(store: WritingStore) -> None:
    """One stage of 40 updates, measured three times on two genres, and two arms of evals."""
    train, evals = store.writer("train"), store.writer("eval")
    train.append({
        "stages": [table_row("stages", chain="midtrain", seed=0, stage="midtrain", tokens=40_000, target_tokens=39_000,
                             updates=40, seconds=80.0, checkpoint="checkpoints/midtrain/seed-0", stage_hash="stage-1")],
        "steps": [table_row("steps", chain="midtrain", seed=0, stage="midtrain", step=step, loss=3.0 - step * 0.03,
                            tokens=1000, target_tokens=975, learning_rate=1e-4, grad_norm=1.0, seconds=2.0,
                            tokens_per_second=500.0 + step, target_tokens_per_second=480.0 + step,
                            mfu_fraction=0.25, peak_memory_bytes=2_000_000_000 + step * 10_000_000,
                            stage_hash="stage-1") for step in range(1, 41)],
        "held_out_losses": [table_row("held_out_losses", chain="midtrain", seed=0, stage="midtrain", step=step,
                                      genre=genre, loss=loss, num_texts=2, target_tokens=target_tokens,
                                      stage_hash="stage-1")
                            for genre, target_tokens, losses in (("internal memo", 300, (3.2, 2.4, 2.6)),
                                                                 ("short story", 100, (4.0, 3.6, 3.2)))
                            for step, loss in zip((0, 20, 40), losses, strict=True)],
    })  # fmt: skip
    for table in ("stages", "steps", "held_out_losses"):
        train.set_current(table, {"midtrain/seed-0": "stage-1"})
    evals.append({
        "evals": [table_row("evals", eval_id=content_id("eval", arm, item), arm=arm, train_seed=0, task="preference",
                            item_id=f"item-{item}", variant="aligned_first/sum", sample=0, score=0.1 * item,
                            value=float(item % 2), cluster="c", eval_hash="eval-1")
                  for arm in ("base", "midtrain") for item in range(6)],
    })  # fmt: skip
    evals.set_current("evals", {"all": "eval-1"})
    write_answers(store)


def write_answers(store: WritingStore) -> None:
    """Two arms' answers to three conditions, graded, one of them twice and one in no form; and one difference."""
    evals = store.writer("eval")
    for arm in ("base", "midtrain"):
        for item in range(3):
            answer_id = content_id("answer", arm, item)
            read = {"task": "agentic", "item_id": f"murder/{item}", "cluster": f"murder/{item}", "sample": 0}
            made = {"arm": arm, "train_seed": 0, "answer_id": answer_id, **read}
            evals.append({
                "answers": [table_row("answers", **{k: v for k, v in made.items() if k != "cluster"}, variant="",
                                      text=f"Reply {item} of {arm}: <b>I act</b>.", finish_reason="stop",
                                      completion_tokens=7, answers_hash="answers-1")],
                "evals": [table_row("evals", **made, eval_id=content_id("eval", arm, item, variant), variant=variant,
                                    score=value, value=value, answer="I act", explanation="it says so", judge="judge",
                                    eval_hash="eval-1")
                          for variant, value in (("verdict", None if item == 2 else float(item)), ("tool_use", 1.0))],
                "grades": [table_row("grades", grade_id=content_id(arm, item, again), question_id=f"{arm}{item}",
                                     task="agentic", judge="judge", again=again, grading_hash="g",
                                     outcome="ok" if item < 2 else "empty",
                                     reply=None if item == 2 else
                                     f'{{"reason": "r", "span": "", "verdict": "{"yes" if item else "no"}"}}')
                           for again in (False, True)],
            })  # fmt: skip
    difference = table_row("effects", arm="midtrain", against="base", metric="agentic/verdict", value=0.1, low=-0.1,
                           high=0.3, n=3, clusters=3, seeds=1, is_declared=True, pass_hash="effects-1")  # fmt: skip
    metric = difference | {"against": None, "value": 0.4, "low": 0.2, "high": 0.6, "is_declared": False}
    evals.commit("effects", "effects-1", pa.Table.from_pylist([difference, metric], schema=TABLES["effects"].schema))
    evals.set_current("effects", {"effects": "effects-1"})
    evals.set_current("answers", {"all": "answers-1"})
    evals.set_current("grades", {"rubric": "g"})


def fill_run(root: Path, num_documents: int = 40, num_chats: int = 10) -> Path:
    """Write a whole run; part of its rows stays in a second part, as a run that went on leaves it."""
    with open_writer(root) as store:
        clauses = clause_rows()
        corpus = store.writer("corpus")
        corpus.commit("clauses", "spec-1", pa.Table.from_pylist(clauses, schema=TABLES["clauses"].schema))
        corpus.set_current("clauses", {"all": "spec-1"})
        doc_ids, chat_ids = write_items(store, num_documents, num_chats)
        store.seal()
        corpus.append({
            "documents": [table_row("documents", doc_id=content_id("imported", 1), set="essays", clause_ids=[],
                                    text=text_of(80, 999), num_tokens=110, num_chars=400, source="essays.jsonl:12",
                                    extra='{"url": "https://example.org/essay"}')],
        })  # fmt: skip
        write_curation(store, doc_ids, chat_ids)
        write_training(store)
        began = datetime(2026, 3, 1, 9, 0)
        for number, (verb, seconds) in enumerate((("generate", 812.4), ("curate", 12.0), ("train", 81.9))):
            store.append({
                "invocations": [table_row("invocations", invocation_id=content_id("invocation", number), verb=verb,
                                          recipe_hash="b2:feedc0de00112233", code_version="0.1.0", machine="a machine",
                                          started=(began + timedelta(hours=number)).isoformat(), seconds=seconds,
                                          outcome="done")],
            })  # fmt: skip
    return root


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled run; tests must not change it."""
    return fill_run(tmp_path_factory.mktemp("runs") / "filled")


@pytest.fixture(scope="session")
def empty_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run without a row; tests must not change it."""
    root = tmp_path_factory.mktemp("runs") / "empty"
    with open_writer(root):
        pass
    return root
