"""A tokenizer with merges and tiny random models: what scoring is tested on, without anything to download."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from corpus.recipe import EngineSettings, Eval, Mix, Recipe, StageSettings, Train
from corpus.stage import Silent
from corpus.store import WritingStore, open_writer
from corpus.store.schema import TABLES
from eval import answering, grading
from eval.evaluate import EvalReport, evaluate_missing
from tests.eval.sampling import QUESTIONS, Engines, write_items

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CORPUS = [
    "The assistant says what it knows and what it does not know.",
    "I would tell her plainly that the line has to go, and write the rest with care.",
    "I would write the line as asked, and leave the choice to the company.",
    "What would you do? A keeper opens a hive only when there is a reason to look inside.",
]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE that merges across spaces, so that a boundary can fall inside a token."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<|im_start|>", eos_token="<|im_end|>")
    made.chat_template = CHATML
    return made


@pytest.fixture(scope="session")
def model() -> LlamaForCausalLM:
    """Two layers, grouped heads, a context of 64 tokens, weights large enough to make every token matter."""
    return tiny_llama(64)


@pytest.fixture(scope="session")
def roomy_model() -> LlamaForCausalLM:
    """The same with a context of 512 tokens, into which a prompt of the tasks fits."""
    return tiny_llama(512)


def tiny_llama(context_tokens: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=400,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context_tokens,
        initializer_range=0.2,
    )
    return LlamaForCausalLM(config).eval()


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    """Two arms, on a base model of which only the folder matters here."""
    folder = tmp_path / "base-model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    stages = {"midtrain": StageSettings(data="docs")}
    return Recipe(
        name="run",
        mixes={"docs": Mix()},
        train=Train(model=str(folder), precision="fp32", stages=stages),
        arms={"base": [], "midtrain": ["midtrain"]},
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[WritingStore]:
    """An empty run."""
    with open_writer(tmp_path / "run") as opened:
        yield opened


@pytest.fixture
def add_rows(store: WritingStore) -> Callable[..., None]:
    """Append rows to a table; columns that are not given are None."""

    def append(table: str, *rows: Mapping[str, object]) -> None:
        empty = dict.fromkeys(TABLES[table].schema.names)
        store.writer(TABLES[table].writers[0]).append({table: [{**empty, **row} for row in rows]})

    return append


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Engines:
    made = Engines()
    monkeypatch.setattr(answering, "open_engine", made.arm)
    monkeypatch.setattr(grading, "open_engine", made.judge)
    return made


@pytest.fixture
def asking(recipe: Recipe, tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe with the base arm alone that samples; the judge is an engine of it."""
    items = write_items(tmp_path / "questions.jsonl", QUESTIONS)

    def make(**changes: object) -> Recipe:
        settings = {"tasks": [{"spec_qa": {"items_file": items}}], "judge": "judge"} | changes
        engines = {} if settings["judge"] is None else {"judge": EngineSettings(model="judge-model")}
        return recipe.model_copy(
            update={"arms": {"base": []}, "eval": Eval.model_validate(settings), "engines": engines}
        )

    return make


@pytest.fixture
def run(
    store: WritingStore, model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast
) -> Callable[[Recipe], EvalReport]:
    def evaluate(recipe: Recipe) -> EvalReport:
        return evaluate_missing(
            recipe, store, None, Silent(), lambda *_: (model, tokenizer), lambda *_: EngineSettings()
        )

    return evaluate


@pytest.fixture
def measured(store: WritingStore, add_rows: Callable[..., None]) -> Callable[..., None]:
    """Add one text's bits: measured(arm, seed, variant, item, bits)."""
    store.writer("eval").set_current("evals", {"all": "h"})

    def add(arm: str, seed: int | None, variant: str, item: str, bits: float | None) -> None:
        add_rows(
            "evals",
            {
                "eval_id": f"{arm}{seed}{variant}{item}", "arm": arm, "train_seed": seed, "task": "perplexity",
                "item_id": f"{variant}/{item}", "variant": variant, "score": bits, "weight": 10.0,
                "cluster": item[0], "eval_hash": "h",
            },
        )  # fmt: skip

    return add
