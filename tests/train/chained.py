"""A run of two stages on tiny data: filling it, training it, and comparing it with another."""

from __future__ import annotations

import torch
from safetensors.torch import load_file

from corpus.stage import Silent
from corpus.store import open_reader, open_writer
from tests.train.tiny import chat_rows, document_rows, write_shards
from train import train_chains
from train.model import ADAPTER_FILE

LORA = {"rank": 4, "alpha": 8, "dropout": 0.1}
"""With dropout, so that a resumed run would show a generator that was not put back."""
STEP_COLUMNS = "chain, seed, stage, step, loss, tokens, target_tokens, learning_rate, grad_norm"


def fill_run(folder, documents=12, chats=16):
    write_shards(folder, "docs", document_rows(documents))
    write_shards(folder, "sft", chat_rows(chats), kind="chats")


def train(recipe, folder, arms=("both",), progress=None):
    with open_writer(folder) as store:
        return train_chains(recipe, store, arms, progress or Silent())


def steps_of(folder):
    return open_reader(folder).rows(f"SELECT {STEP_COLUMNS} FROM all_steps ORDER BY ALL")


def adapters_of(folder):
    return {path.parent.parent.name: load_file(path) for path in folder.glob(f"checkpoints/*/seed-0/{ADAPTER_FILE}")}


def assert_same_run(folder, reference):
    ours, theirs = adapters_of(folder), adapters_of(reference)
    assert ours.keys() == theirs.keys() == {"midtrain", "midtrain+sft"}
    for chain, tensors in theirs.items():
        assert all(torch.equal(ours[chain][name], tensor) for name, tensor in tensors.items()), chain
    assert steps_of(folder) == steps_of(reference), "every step once, and with the same numbers"
    assert not list(folder.glob("checkpoints/*/.*")), "nothing half-written stays"
