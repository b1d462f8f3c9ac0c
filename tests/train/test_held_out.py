"""The loss on documents that no mix holds: what is read, that it is what brute force gives, and the best weights."""

from __future__ import annotations

import pytest
import torch
from fakes.rows import row
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy

from corpus.held_out import is_held_out_document
from corpus.recipe import StageSettings
from corpus.stage import Silent
from corpus.store import open_reader, open_writer
from tests.train.chained import LORA, fill_run
from tests.train.tiny import SENTENCES, Notes
from train import train_chains
from train.checkpoint import read_manifest
from train.held_out import NO_GENRE, find_held_out, mean_loss
from train.model import ADAPTER_FILE
from train.scoring import load_for_scoring

RESERVED = [f"doc-{number}" for number in range(200) if is_held_out_document(17, f"doc-{number}")][:8]
MIXED = next(f"doc-{number}" for number in range(200) if not is_held_out_document(17, f"doc-{number}"))
GENRES = ["memo", "memo", "memo", "memo", "letter", "letter", None, None]


def add_documents(store):
    texts = [f"{SENTENCES[number % 4]} {number}" for number in range(9)]
    rows = [
        row("documents", doc_id=doc_id, set="notes", genre=genre, text=text, clause_ids=["c"])
        for doc_id, genre, text in zip([*RESERVED, MIXED], [*GENRES, "memo"], texts, strict=True)
    ]
    store.writer("corpus").append({"documents": rows})
    for table in ("verdicts", "duplicates"):
        store.writer("filters").set_current(table, {})
    return dict(zip(RESERVED, texts, strict=False))


def change(recipe, **stage):
    stages = {name: settings.model_copy(update=stage) for name, settings in recipe.train.stages.items()}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"stages": stages})})


def train(recipe, folder, progress=None, arms=("midtrain",), stop=None):
    if not (folder / "shards").exists():
        fill_run(folder)
        with open_writer(folder) as store:
            add_documents(store)
    with open_writer(folder) as store:
        return train_chains(recipe, store, arms, progress or Silent(), stop_after_seconds=stop)


def measured(folder):
    return open_reader(folder).rows("SELECT * FROM all_held_out_losses ORDER BY chain, step, genre")


def test_only_reserved_documents_are_read_spread_over_the_genres(tmp_path, tokenizer):
    with open_writer(tmp_path / "run") as store:
        add_documents(store)
        found = find_held_out(store, 17, tokenizer, seq_tokens=64, max_tokens=10_000, tag="")
        assert {one.genre: one.num_texts for one in found} == {"memo": 4, "letter": 2, NO_GENRE: 2}
        few = find_held_out(store, 17, tokenizer, seq_tokens=16, max_tokens=150, tag="")
        tokens = {one.genre: sum(len(row.input_ids) for row in one.rows) for one in few}
        assert tokens == {"memo": 50, "letter": 50, NO_GENRE: 50}, "a bound, also within a document"
        assert find_held_out(store, 17, tokenizer, seq_tokens=64, max_tokens=3, tag="") == [], (
            "one token teaches nothing"
        )
        assert find_held_out(store, 18, tokenizer, seq_tokens=64, max_tokens=150, tag="") != found


def test_the_loss_by_genre_is_what_the_model_gives_text_by_text(recipe, tmp_path, tokenizer):
    train(recipe, tmp_path / "run")
    last = max(one["step"] for one in measured(tmp_path / "run"))
    by_genre = {one["genre"]: one for one in measured(tmp_path / "run") if one["step"] == last}
    model, _ = load_for_scoring(recipe, tmp_path / "run/checkpoints/midtrain/seed-0")
    losses: dict[str, list[float]] = {}
    with open_writer(tmp_path / "other") as store:
        texts = add_documents(store)
    for (_, text), genre in zip(texts.items(), GENRES, strict=True):
        ids = torch.tensor([*tokenizer(text).input_ids, tokenizer.eos_token_id])
        logits = model(input_ids=ids[None], use_cache=False).logits[0]
        losses.setdefault(genre or NO_GENRE, []).extend(cross_entropy(logits[:-1], ids[1:], reduction="none").tolist())
    assert by_genre.keys() == losses.keys()
    for genre, values in losses.items():
        assert by_genre[genre]["target_tokens"] == len(values)
        assert by_genre[genre]["loss"] == pytest.approx(sum(values) / len(values), rel=1e-5)


def test_it_is_measured_at_the_beginning_between_and_at_the_end_and_not_where_it_is_not_wanted(recipe, tmp_path):
    notes = Notes()
    updates = train(change(recipe, held_out_updates=3), tmp_path / "run", notes).stages[0].updates
    steps = sorted({one["step"] for one in measured(tmp_path / "run")})
    assert steps == sorted({0, *range(3, updates, 3), updates})
    assert "held out" in notes.described[-1]
    train(change(recipe, held_out_updates=None), tmp_path / "none")
    train(change(recipe, held_out_tokens=0), tmp_path / "none too")
    assert StageSettings(data="docs", held_out_tokens=0).held_out_tokens == 0
    assert measured(tmp_path / "none") == measured(tmp_path / "none too") == []
    adapters = [load_file(tmp_path / run / "checkpoints/midtrain/seed-0" / ADAPTER_FILE) for run in ("run", "none")]
    assert all(torch.equal(value, adapters[1][name]) for name, value in adapters[0].items()), (
        "measuring changes nothing"
    )


def test_measuring_does_not_make_what_is_trained_another(recipe, tmp_path):
    train(recipe, tmp_path / "run")
    assert not train(change(recipe, held_out_updates=2, keep_last=3), tmp_path / "run").stages[0].is_new
    assert train(change(recipe, keep="best"), tmp_path / "run").stages[0].is_new


@pytest.mark.parametrize("stops", [False, True])
def test_the_best_weights_are_kept_also_over_stops(make_recipe, tmp_path, stops):
    """A rate so high that the loss rises again: the best is neither the first nor the last."""
    recipe = change(make_recipe(lora=LORA), keep="best", held_out_updates=1, learning_rate=0.3, epochs=4,
                    checkpoint_updates=3)  # fmt: skip
    while train(recipe, tmp_path / "run", stop=0 if stops else None).stopped_at:
        pass
    rows = measured(tmp_path / "run")
    steps = sorted({one["step"] for one in rows})
    losses = {step: mean_loss([one for one in rows if one["step"] == step]) for step in steps}
    best = min((step for step in steps if step), key=losses.__getitem__)
    manifest = read_manifest(tmp_path / "run/checkpoints/midtrain/seed-0")
    assert manifest["kept_update"] == manifest["best_update"] == best
    assert best < manifest["updates"]
    model, tokenizer = load_for_scoring(recipe, tmp_path / "run/checkpoints/midtrain/seed-0")
    total = count = 0
    with open_writer(tmp_path / "other") as store:
        for text in add_documents(store).values():
            ids = torch.tensor([*tokenizer(text).input_ids, tokenizer.eos_token_id])
            logits = model(input_ids=ids[None], use_cache=False).logits[0]
            total += float(cross_entropy(logits[:-1], ids[1:], reduction="sum"))
            count += len(ids) - 1
    assert total / count == pytest.approx(losses[best], rel=1e-5)


def test_other_held_out_documents_begin_the_best_anew(make_recipe, tmp_path):
    recipe = change(make_recipe(lora=LORA), keep="best", held_out_updates=1, checkpoint_updates=1)
    for _ in range(3):
        train(recipe, tmp_path / "run", stop=0)
    with open_writer(tmp_path / "run") as store:
        more = next(f"doc-{n}" for n in range(200, 400) if is_held_out_document(17, f"doc-{n}"))
        rows = [row("documents", doc_id=more, set="notes", genre="memo", text=SENTENCES[0], clause_ids=["c"])]
        store.writer("corpus").append({"documents": rows})
    notes = Notes()
    train(recipe, tmp_path / "run", notes)
    assert any("the held-out documents are others" in note for note in notes.notes)
    rows = [one for one in measured(tmp_path / "run") if one["step"] > 3]
    losses = {one["step"]: mean_loss([other for other in rows if other["step"] == one["step"]]) for one in rows}
    manifest = read_manifest(tmp_path / "run/checkpoints/midtrain/seed-0")
    assert manifest["kept_update"] == min(losses, key=losses.__getitem__)


def test_a_run_without_held_out_documents_says_that_it_keeps_the_last(recipe, tmp_path):
    fill_run(tmp_path / "run")
    notes = Notes()
    train(change(recipe, keep="best"), tmp_path / "run", notes)
    assert any("keeps its last weights, not its best" in note for note in notes.notes)
    manifest = read_manifest(tmp_path / "run/checkpoints/midtrain/seed-0")
    assert manifest["kept_update"] == manifest["updates"]


def test_the_newest_whole_state_of_those_that_are_kept_is_gone_on_from(recipe, tmp_path):
    recipe = change(recipe, keep_last=2, checkpoint_updates=2)
    folder = tmp_path / "run/checkpoints/midtrain/.progress-seed-0"
    for _ in range(5):
        train(recipe, tmp_path / "run", stop=0)
    assert [path.name for path in sorted(folder.glob("update-*"))] == ["update-00000004", "update-00000005"]
    (folder / "update-00000005/tensors.safetensors").write_bytes(b"half")
    notes = Notes()
    train(recipe, tmp_path / "run", notes)
    train(recipe, tmp_path / "whole")
    updates = read_manifest(tmp_path / "whole/checkpoints/midtrain/seed-0")["updates"]
    assert notes.started[0][1] == updates - 4
    one, other = (load_file(tmp_path / run / "checkpoints/midtrain/seed-0" / ADAPTER_FILE) for run in ("run", "whole"))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
