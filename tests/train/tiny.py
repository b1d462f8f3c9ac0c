"""What the tests of this room share: tiny random models, shards written by hand, a progress that listens."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.store.identity import content_id, file_id

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SENTENCES = [
    "The assistant says what it does not know before it says what it believes.",
    "Nobody on the night shift had asked why the lamp by the door stays on.",
    "A good answer names its source, and a better one names its doubts.",
    "Honesty costs the first minute and saves the hour after it.",
]


def tiny_model(kind="llama", vocab_size=320, **changes):
    """A random model of two layers, the same at every call."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen3Config, Qwen3ForCausalLM

    shape = {
        "vocab_size": vocab_size, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512,
        "tie_word_embeddings": True, "initializer_range": 0.2, "bos_token_id": 0, "eos_token_id": 3, "pad_token_id": 3,
    } | changes  # fmt: skip
    config, made = {"llama": (LlamaConfig, LlamaForCausalLM), "qwen3": (Qwen3Config, Qwen3ForCausalLM)}[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return made(config(**shape)).float()


def packed(model):
    """The model as training calls it, attending within segments."""
    import torch

    from train.attention import use_packed_attention
    from train.model import Compute
    from train.packed import PackedModel

    use_packed_attention(model, Compute(torch.device("cpu"), torch.float32))
    return PackedModel(model)


def trainer_of(model, plan, settings, stage="midtrain"):
    """A trainer in this process alone, on the CPU, in fp32."""
    import torch

    from train.loop import Trainer
    from train.model import Compute
    from train.team import Team

    return Trainer(packed(model), plan, settings, Compute(torch.device("cpu"), torch.float32), Team(), 0, stage)


def flatten(segments, dropped=None):
    """Segments as a stage reads them: from files."""
    from train.segments import write_segments

    return write_segments(Path(tempfile.mkdtemp()) / "tokens", segments, dropped or {})


def write_shards(
    run_folder: Path, mix: str, rows: Sequence[Mapping[str, object]], kind: str = "documents", **about: object
) -> None:
    """The train-ready shards of a mix, in two files; `about` replaces keys of the manifest."""
    folder = run_folder / "shards" / mix
    folder.mkdir(parents=True, exist_ok=True)
    half = (len(rows) + 1) // 2
    shards = []
    for number, some in enumerate((rows[:half], rows[half:])):
        file = f"{number:05d}.parquet"
        pq.write_table(pa.Table.from_pylist([dict(row) for row in some]), folder / file)
        shards.append({"file": file, "rows": len(some), "hash": file_id(folder / file)})
    data_hash = content_id("data", [dict(row) for row in rows])
    manifest = {"mix": mix, "kind": kind, "data_hash": data_hash, "num_rows": len(rows), "shards": shards}
    held_out = {"seed": 17, "hold_out": {"documents_one_in": 10, "clauses_fraction": None}}
    (folder / "manifest.json").write_text(json.dumps(manifest | held_out | about))


def document_rows(count: int) -> list[dict[str, object]]:
    return [
        {"doc_id": f"doc-{number}", "text": " ".join([SENTENCES[number % 4]] * (1 + number % 3)) + str(number)}
        for number in range(count)
    ]


def chat_rows(count: int) -> list[dict[str, object]]:
    return [
        {
            "doc_id": f"chat-{number}",
            "messages": [
                {"role": "user", "content": f"What of {number}?"},
                {"role": "assistant", "content": SENTENCES[number % 4]},
            ],
        }
        for number in range(count)
    ]


class Notes:
    """A progress that keeps what was said."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.started: list[tuple[str, int]] = []
        self.described: list[str] = []

    def start(self, stage: str, total: int) -> None:
        self.started.append((stage, total))

    def grow(self, stage: str, num_more: int) -> None:
        pass

    def advance(self, stage: str, outcome: str) -> None:
        pass

    def describe(self, stage: str, text: str) -> None:
        self.described.append(text)

    def note(self, message: str) -> None:
        self.notes.append(message)
