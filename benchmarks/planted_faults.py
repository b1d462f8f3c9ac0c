"""What curation finds: an imported corpus with planted faults, put through the verbs, counted per kind.

Clean documents are paragraphs by people (docstrings and the language reference), in ever new company. One in a hundred
documents gets each kind of fault: copies of clean documents with edits, texts broken off, traces of prompts, other
identities, refusals, loops, other languages, pages of the spec, eval items. Controls only look like a fault. What is
counted is what `specmill curate` did with its default thresholds: found by the filter that is for it, found by another
one, missed; and of what has no fault, what was dropped and by whom.

    python benchmarks/planted_faults.py .benchmarks/planted
    python benchmarks/planted_faults.py .benchmarks/planted --documents 500 --packages
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import yaml
from contestants import markdown
from faults import CONTROLS, FAULTS, Document, Material, copy_kinds, plant_all
from human_prose import whole_paragraphs

import specmill
from corpus.hardware import machine_name
from corpus.store.store import open_reader
from filters.signs.eval_texts import own_files, read_items
from filters.text import words

SPEC = Path(__file__).resolve().parent.parent / "examples" / "specs" / "honest.md"
PARAGRAPH_WORDS = (25, 80)
"""Paragraphs of this length are used: no clean document is one paragraph, and none mostly the same as another."""
PACKAGES = ("stdlib", "numpy", "scipy", "sklearn", "statsmodels")
FILTERS = (
    *("length", "rules", "leaks", "refusal", "truncated", "identity", "language", "spec_copying"),
    "contamination",
)
MEANT = {
    "truncated in a sentence": "truncated",
    "truncated in code": "truncated",
    "leak": "leaks",
    "other identity": "identity",
    "refusal": "refusal",
    "loop": "rules",
    "other language": "language",
    "language changes": "language",
    "pages of the spec": "spec_copying",
    "eval question": "contamination",
    "20 words of a question": "contamination",
    "eval answer": "contamination",
    "held-out clause": "contamination",
}
"""Which filter is for which fault."""
SHINGLE_WORDS, MIN_JACCARD = 5, 0.8


@dataclass(frozen=True)
class Fate:
    """What became of one document."""

    drops: tuple[str, ...]
    """The filters that dropped it, with their reasons."""
    cluster: str | None
    is_curated: bool


def specmill_verb(*arguments: str) -> None:
    """One verb of the command; its tables go to stderr."""
    with redirect_stdout(sys.stderr):
        specmill.app(list(arguments), standalone_mode=False)


def prepare(folder: Path, packages: Sequence[str]) -> tuple[Path, Material, Path]:
    """A run with the clauses of the spec and no documents yet: its recipe, what faults are made of, its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.yaml"
    spec = {
        "path": str(SPEC), "model_name": "Marlow", "provider_name": "Tidewater Labs", "hold_out": {"fraction": 0.3},
    }  # fmt: skip
    settings = {
        "name": "planted", "runs": str(folder / "runs"), "spec": spec, "generate": {"documents": 0, "chats": 0},
        "curate": {"filters": list(FILTERS)},
    }  # fmt: skip
    recipe.write_text(yaml.safe_dump(settings))
    specmill_verb("generate", str(recipe))
    run = folder / "runs" / "planted"
    clauses = open_reader(run).rows("SELECT split, text FROM clauses ORDER BY ordinal")
    items: dict[str, tuple[str, list[str]]] = {}
    for file in own_files():
        for text in read_items(file):
            _, answers = items.setdefault(text.item, (text.text, []))
            if text.role == "answer":
                answers.append(text.text)
    texts = {split: [str(row["text"]) for row in clauses if row["split"] == split] for split in ("train", "held_out")}
    spec = [str(row["text"]) for row in clauses]
    paragraphs = whole_paragraphs(*PARAGRAPH_WORDS, packages)
    return recipe, Material(paragraphs, spec, texts["train"], texts["held_out"], list(items.values())), run


def curate(recipe: Path, run: Path, documents: Sequence[Document]) -> tuple[list[Fate], float]:
    """Import and curate; the fate of each document in order, and the seconds that curation took."""
    rows = recipe.parent / "documents.jsonl"
    with rows.open("w", encoding="utf-8") as file:
        for number, document in enumerate(documents):
            file.write(json.dumps({"text": document.text, "number": number}) + "\n")
    specmill_verb("import", str(recipe), str(rows), "--as", "web")
    began = time.monotonic()
    specmill_verb("curate", str(recipe))
    seconds = time.monotonic() - began
    store = open_reader(run)
    dropped: dict[str, list[str]] = defaultdict(list)
    for row in store.rows("SELECT doc_id, filter, reason FROM verdicts WHERE outcome = 'drop' ORDER BY ALL"):
        dropped[str(row["doc_id"])].append(f"{row['filter']}: {row['reason']}")
    clusters = {str(row["doc_id"]): str(row["cluster_id"]) for row in store.rows("SELECT * FROM duplicates")}
    curated = {row["doc_id"] for row in store.rows("SELECT doc_id FROM curated")}
    numbered = store.rows("SELECT doc_id, CAST(extra ->> 'number' AS INTEGER) AS number FROM documents ORDER BY number")
    ids = [str(row["doc_id"]) for row in numbered]
    assert len(ids) == len(documents), (len(ids), len(documents))
    return [Fate(tuple(dropped[doc]), clusters.get(doc), doc in curated) for doc in ids], seconds


def fault_rows(documents: Sequence[Document], fates: Sequence[Fate]) -> list[dict[str, object]]:
    """Per kind of fault: planted, found by the filter that is for it, by others only, missed."""
    rows = []
    for kind in FAULTS:
        of_kind = [fate for document, fate in zip(documents, fates, strict=True) if document.planted == kind]
        by_meant = sum(any(drop.startswith(f"{MEANT[kind]}:") for drop in fate.drops) for fate in of_kind)
        found = sum(bool(fate.drops) for fate in of_kind)
        rows.append(
            {
                "fault": kind,
                "planted": len(of_kind),
                "found by its filter": by_meant,
                "by another only": found - by_meant,
                "missed": len(of_kind) - found,
                "its filter": MEANT[kind],
            }
        )
    return rows


def copy_rows(documents: Sequence[Document], fates: Sequence[Fate]) -> list[dict[str, object]]:
    """Per kind of copy: how alike the pairs are, and how many of them were clustered."""
    rows = []
    for kind in copy_kinds():
        pairs = [
            (jaccard(document.text, documents[document.copy_of].text), fate, fates[document.copy_of])
            for document, fate in zip(documents, fates, strict=True)
            if document.planted == kind and document.copy_of is not None
        ]
        judged = [(alike, one, other) for alike, one, other in pairs if not (one.drops or other.drops)]
        together = [alike for alike, one, other in judged if one.cluster and one.cluster == other.cluster]
        rows.append(
            {
                "copy": kind,
                "planted": len(pairs),
                "mean Jaccard": f"{sum(alike for alike, _, _ in pairs) / len(pairs):.3f}",
                "dropped by a filter first": len(pairs) - len(judged),
                f"at {MIN_JACCARD} or more": sum(alike >= MIN_JACCARD for alike, _, _ in judged),
                "found": sum(alike >= MIN_JACCARD for alike in together),
                "found below it": sum(alike < MIN_JACCARD for alike in together),
                "both kept": sum(one.is_curated and other.is_curated for _, one, other in judged),
            }
        )
    return rows


def clean_rows(documents: Sequence[Document], fates: Sequence[Fate]) -> list[dict[str, object]]:
    """Of what has no fault: how much was dropped, and by whom."""
    copied = {document.copy_of for document in documents}
    rows = []
    for kind in ("clean", *CONTROLS):
        of_kind = [number for number, document in enumerate(documents) if document.planted == kind]
        reasons = Counter(drop for number in of_kind for drop in fates[number].drops)
        gave_way = sum(
            not fates[number].is_curated and not fates[number].drops and number not in copied for number in of_kind
        )
        rows.append(
            {
                "documents": kind,
                "there": len(of_kind),
                "wrongly dropped": sum(bool(fates[number].drops) for number in of_kind),
                "by": ", ".join(f"{reason} ({num})" for reason, num in reasons.most_common()) or "-",
                "wrongly taken for duplicates": gave_way,
            }
        )
    return rows


def jaccard(one: str, other: str) -> float:
    """Exact Jaccard of the sets of `SHINGLE_WORDS` words in a row, computed apart from the code that is measured."""

    def shingles(text: str) -> set[tuple[str, ...]]:
        found = words(text)
        return {tuple(found[start : start + SHINGLE_WORDS]) for start in range(len(found) - SHINGLE_WORDS + 1)}

    these, those = shingles(one), shingles(other)
    return len(these & those) / len(these | those)


def measure(folder: Path, num_documents: int, each_fraction: float, seed: int, packages: Sequence[str]) -> Measured:
    """Plant, curate, and count."""
    recipe, material, run = prepare(folder, packages)
    documents = plant_all(material, num_documents, each_fraction, seed)
    fates, seconds = curate(recipe, run, documents)
    return Measured(
        fault_rows(documents, fates), copy_rows(documents, fates), clean_rows(documents, fates), seconds, documents
    )


@dataclass(frozen=True)
class Measured:
    """The three tables, and what curation took."""

    faults: list[dict[str, object]]
    copies: list[dict[str, object]]
    clean: list[dict[str, object]]
    curate_seconds: float
    documents: Sequence[Document]

    def tables(self) -> Sequence[Sequence[Mapping[str, object]]]:
        """All three, to print."""
        return self.faults, self.copies, self.clean


def main() -> None:
    """Plant, curate, print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the run goes; it should not be there yet")
    parser.add_argument("--documents", type=int, default=20_000, help="documents of the corpus")
    parser.add_argument("--each-fraction", type=float, default=0.01, help="part of them with each kind of fault")
    parser.add_argument("--seed", type=int, default=17)
    parser.add_argument(
        "--packages", nargs="*", default=PACKAGES, help="whose docstrings are prose, besides the language reference"
    )
    given = parser.parse_args()
    if (given.folder / "runs").exists():
        raise SystemExit(f"{given.folder} holds a run already; name another folder, or delete it")
    found = measure(given.folder.absolute(), given.documents, given.each_fraction, given.seed, given.packages)
    num_words = sum(len(document.text.split()) for document in found.documents)
    print(
        f"{len(found.documents):,} documents of {num_words / len(found.documents):.0f} words, curated in "
        f"{found.curate_seconds:.0f} s on {machine_name()}\n"
    )
    for table in found.tables():
        print(f"{markdown(table)}\n")


if __name__ == "__main__":
    main()
