"""The list of what `train_gpu.py` measures: models, and cells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from corpus.recipe import Lora
from train.attention import EACH_SEGMENT, FLEX, VARLEN

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

OWN = "sdpa"
"""transformers' own attention, with a mask of the whole row."""


@dataclass(frozen=True)
class Shape:
    """A model, but for its weights."""

    kind: str
    hidden: int
    mlp: int
    layers: int
    heads: int
    kv_heads: int
    vocab: int
    is_tied: bool = False
    head_width: int = 128

    def config(self) -> PreTrainedConfig:
        """As transformers reads it."""
        from transformers import AutoConfig

        return AutoConfig.for_model(
            self.kind, hidden_size=self.hidden, intermediate_size=self.mlp, num_hidden_layers=self.layers,
            num_attention_heads=self.heads, num_key_value_heads=self.kv_heads, head_dim=self.head_width,
            vocab_size=self.vocab, tie_word_embeddings=self.is_tied, max_position_embeddings=40_960,
            bos_token_id=0, eos_token_id=1, pad_token_id=1,
        )  # fmt: skip

    @property
    def num_weights(self) -> int:
        """Those of matrices."""
        attention = 2 * self.hidden * self.head_width * (self.heads + self.kv_heads)
        tables = self.vocab * self.hidden * (1 if self.is_tied else 2)
        return tables + self.layers * (attention + 3 * self.hidden * self.mlp)

    @property
    def num_adapter_weights(self) -> int:
        """Those of an adapter of the recipe's rank."""
        inner, few = self.head_width * self.heads, self.head_width * self.kv_heads
        sides = 2 * (self.hidden + inner) + 2 * (self.hidden + few) + 3 * (self.hidden + self.mlp)
        return Lora().rank * self.layers * sides


SHAPES = {
    "real": {
        "0.6B": Shape("qwen3", 1024, 3072, 28, 16, 8, 151_936, is_tied=True),  # Qwen3-0.6B
        "8B": Shape("llama", 4096, 14_336, 32, 32, 8, 128_256),  # Llama-3.1-8B
        "32B": Shape("qwen3", 5120, 25_600, 64, 64, 8, 151_936),  # Qwen3-32B
        "canary": Shape("llama", 1024, 2048, 2, 8, 2, 4096),
    },
    "tiny": {
        "0.6B": Shape("qwen3", 64, 128, 2, 4, 2, 512, is_tied=True, head_width=16),
        "8B": Shape("llama", 96, 192, 2, 4, 2, 512, head_width=16),
        "32B": Shape("qwen3", 128, 256, 3, 8, 2, 512, head_width=16),
        "canary": Shape("llama", 64, 128, 2, 4, 2, 512, head_width=16),
    },
}


@dataclass(frozen=True)
class Cell:
    """One measurement."""

    what: str
    shape: str
    row_tokens: int = 0
    is_full: bool = False
    recompute: bool = False
    way: str = ""
    """To attend; empty: as a stage chooses."""

    @property
    def name(self) -> str:
        """What a result is known by."""
        trained = "" if self.what in ("canary", "attention") else "full" if self.is_full else "lora"
        row = str(self.row_tokens or "")
        shape = "" if self.shape == self.what else self.shape
        parts = (self.what, shape, trained, row, "recompute" if self.recompute else "", self.way)
        return " ".join(part for part in parts if part)


WAYS = (VARLEN, EACH_SEGMENT, OWN, FLEX)  # the last compiles first
CELLS = (
    *(Cell("canary", "canary", way=way) for way in WAYS[:3]),
    *(Cell("attention", "8B", tokens, way=way) for tokens in (4096, 8192) for way in WAYS[:3]),
    Cell("train", "0.6B", 4096),
    Cell("resume", "0.6B", 4096),
    Cell("train", "8B", 4096),
    Cell("train", "8B", 8192),
    Cell("train", "8B", 16_384, recompute=True),
    Cell("train", "8B", 4096, recompute=True),
    Cell("train", "8B", 8192, recompute=True),
    Cell("peer", "8B", 4096),
    Cell("train", "32B", 4096, recompute=True),
    Cell("train", "32B", 8192, recompute=True),
    Cell("train", "0.6B", 4096, is_full=True),
    Cell("peer", "0.6B", 4096),
    Cell("train", "8B", 16_384),
    Cell("train", "8B", 4096, is_full=True, recompute=True),
    Cell("canary", "canary", way=FLEX),
    *(Cell("attention", "8B", tokens, way=FLEX) for tokens in (4096, 8192)),
    Cell("train", "0.6B", 4096, way=FLEX),
)  # fmt: skip
"""In the order in which they are measured: what matters first, and cells of one model together."""
