"""The loss on documents that no mix may hold, by genre, while a stage trains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corpus.held_out import is_held_out_document
from corpus.store import Store
from corpus.store.identity import draw
from train.packing import pack_best_fit
from train.plan import Row, row_of
from train.segments import Segment
from train.texts import document_segments

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_GENRE = "none"
"""The genre of an imported document that has none."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out documents of one genre, packed."""

    genre: str
    num_texts: int
    target_tokens: int
    rows: Sequence[Row]


def find_held_out(
    store: Store, seed: int, tokenizer: PreTrainedTokenizerBase, *, seq_tokens: int, max_tokens: int, tag: str
) -> list[HeldOut]:
    """Curated documents kept out of every mix: their first `max_tokens` (tokens) in all, as many of each genre.

    A pure function of the run's curated documents and `seed`; a genre without such a document has no entry.
    """
    genres: dict[str, list[str]] = {}
    for row in store.rows("SELECT doc_id, coalesce(genre, $none) AS genre FROM curated", {"none": NO_GENRE}):
        if is_held_out_document(seed, str(row["doc_id"])):
            genres.setdefault(str(row["genre"]), []).append(str(row["doc_id"]))
    found = []
    for genre, doc_ids in sorted(genres.items()):
        segments: list[Segment] = []
        num_texts, room = 0, max_tokens // len(genres)
        for doc_id in sorted(doc_ids, key=lambda doc_id: draw("held_out_loss", seed, doc_id)):
            text = store.rows("SELECT text FROM curated WHERE doc_id = ?", [doc_id])[0]["text"]
            for piece in document_segments([(doc_id, str(text))], tokenizer, seq_tokens, tag):
                if room > 0:
                    segments.append(Segment(doc_id, piece.token_ids[:room], piece.is_target[:room]))
                    room -= len(piece.token_ids)
            num_texts += 1
            if room <= 0:
                break
        target_tokens = sum(sum(segment.is_target) for segment in segments)
        if target_tokens:
            packed = pack_best_fit([len(segment.token_ids) for segment in segments], seq_tokens)
            rows = [row_of([segments[number] for number in row]) for row in packed]
            found.append(HeldOut(genre, num_texts, target_tokens, rows))
    return found


def measure(held_out: Sequence[HeldOut], loss_of: Callable[[Sequence[Row]], float]) -> list[dict[str, object]]:
    """The columns genre, loss (nats per token), num_texts and target_tokens of `held_out_losses`, a row a genre."""
    return [
        {
            "genre": one.genre,
            "loss": loss_of(one.rows) / one.target_tokens,
            "num_texts": one.num_texts,
            "target_tokens": one.target_tokens,
        }
        for one in held_out
    ]


def mean_loss(rows: Sequence[dict[str, object]]) -> float:
    """The loss over all genres of one measurement (nats per token)."""
    pairs = [(float(str(row["loss"])), int(str(row["target_tokens"]))) for row in rows]
    return sum(loss * tokens for loss, tokens in pairs) / sum(tokens for _, tokens in pairs)
