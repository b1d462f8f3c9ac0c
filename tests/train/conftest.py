"""Tiny models and tokenizers, built here: two layers, a vocabulary of 320, fp32, on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from corpus.recipe import Recipe
from tests.train.chained import LORA, fill_run, train
from tests.train.tiny import CHATML, SENTENCES, tiny_model


@pytest.fixture(autouse=True)
def one_thread():
    """The tests share two cores with whatever else runs; the models are too small for more than one thread."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer_maker():
    """A function from a chat template (and whether BOS is put before every text) to a tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["<|bos|>", "<|eos|>", "<|im_start|>", "<|im_end|>", "<|start|>", "<|end|>", "<|eot|>"]

    def make(template=CHATML, eos="<|im_end|>", puts_bos=False):
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=special, initial_alphabet=alphabet)
        tokenizer.train_from_iterator(SENTENCES + ["user", "assistant", "system"] * 3, trainer)
        if puts_bos:
            tokenizer.post_processor = processors.TemplateProcessing(
                single="<|bos|> $A", special_tokens=[("<|bos|>", tokenizer.token_to_id("<|bos|>"))]
            )
        made = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, bos_token="<|bos|>", eos_token=eos, pad_token=eos, model_max_length=100_000
        )
        made.chat_template = template
        return made

    return make


@pytest.fixture(scope="session")
def tokenizer(tokenizer_maker):
    return tokenizer_maker()


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory, tokenizer) -> Path:
    """A model folder as transformers saves it."""
    folder = tmp_path_factory.mktemp("base") / "tiny"
    model = tiny_model()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_recipe(base_folder):
    """A function from changes of the train section to a recipe."""

    def make(**train) -> Recipe:
        stage = {"seq_tokens": 64, "batch_tokens": 64, "checkpoint_updates": 4, "learning_rate": 1e-2}
        return Recipe.model_validate(
            {
                "name": "run",
                "mixes": {"docs": {}, "sft": {"kind": "chats"}},
                "train": {
                    "model": str(base_folder),
                    "precision": "fp32",
                    "lora": {"rank": 4, "alpha": 8},
                    "stages": {"midtrain": stage | {"data": "docs"}, "sft": stage | {"data": "sft"}},
                }
                | train,
                "arms": {"base": [], "sft": ["sft"], "midtrain": ["midtrain"], "both": ["midtrain", "sft"]},
            }
        )

    return make


@pytest.fixture(scope="session")
def recipe(make_recipe):
    return make_recipe(lora=LORA)


@pytest.fixture(scope="session")
def whole(recipe, tmp_path_factory):
    """A run that nothing interrupted."""
    import torch

    torch.set_num_threads(1)  # this may be made before `one_thread` of the first test that asks for it
    folder = tmp_path_factory.mktemp("whole") / "run"
    fill_run(folder)
    train(recipe, folder)
    return folder
