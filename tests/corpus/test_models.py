"""Models by name: the builtin's conversion, and tokens counted as transformers counts them."""

import multiprocessing
from pathlib import Path

import pytest

from corpus import builtin, models
from corpus.errors import SetupError
from corpus.recipe import Train

BUILTIN = "builtin:smollm2-135m"
TEXTS = ["", "Hello.", "In 2025, 12.5% of  3 rules", "naïve 日本 \t\n\n  7 apples", "<|im_start|>user\nhi<|im_end|>"]
CHAT = [{"role": "user", "content": "Who reads page 3?"}, {"role": "assistant", "content": "Nobody, in 2025."}]


@pytest.fixture(scope="module")
def tokenizer():
    """The converted tokenizer, as training loads it."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(models.model_folder(BUILTIN))


def test_the_builtin_is_a_complete_folder_of_an_instruct_model(tokenizer):
    folder = models.model_folder(BUILTIN)
    assert {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"} <= {
        path.name for path in folder.iterdir()
    }
    prompt = tokenizer.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True)
    assert prompt.endswith("<|im_start|>user\nWho reads page 3?<|im_end|>\n<|im_start|>assistant\n")
    assert (tokenizer.eos_token, tokenizer.pad_token, tokenizer.bos_token) == (
        "<|im_end|>",
        "<|im_end|>",
        "<|im_start|>",
    )


def test_the_builtin_weights_are_bf16():
    from safetensors import safe_open

    with safe_open(models.model_folder(BUILTIN) / "model.safetensors", framework="np") as weights:
        kinds = {tensor.get_dtype() for tensor in map(weights.get_slice, weights.keys())}
    assert kinds == {"BF16"}


def test_tokens_are_counted_as_transformers_counts_them(tokenizer):
    encoded = tokenizer(TEXTS, add_special_tokens=False, split_special_tokens=True)
    assert models.token_counter(BUILTIN)(TEXTS) == [len(ids) for ids in encoded["input_ids"]]


def test_in_a_text_a_special_token_is_counted_as_its_characters_and_in_a_template_as_one():
    (in_text,) = models.token_counter(BUILTIN)(["<filename>"])
    assert in_text > 1
    count_chats = models.chat_token_counter(Train(model=BUILTIN))
    opening, longer = count_chats([[{"role": "user", "content": "a"}], [{"role": "user", "content": "a"}] * 2])
    assert longer - opening == len(["<|im_start|>", "user", "\n", "a", "<|im_end|>", "\n"])
    assert models.token_counter(BUILTIN)(["<filename>"]) == [in_text], "one counter leaves the other as it is"


def test_digits_are_tokens_of_their_own(tokenizer):
    """What transformers' own reading of the GGUF file loses."""
    assert tokenizer.tokenize("in  1984") == ["in", "ĠĠ", "1", "9", "8", "4"]


def test_chats_are_counted_under_their_template(tokenizer):
    expected = len(
        tokenizer(tokenizer.apply_chat_template(CHAT, tokenize=False), add_special_tokens=False)["input_ids"]
    )
    count = models.chat_token_counter(Train(model=BUILTIN))
    assert count([CHAT, CHAT[:1]])[0] == expected
    assert count([]) == []


def test_counting_tokens_does_not_import_torch():
    """In a process of its own: this one may have imported it already."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_imported_by_counting) == (2, False)


def _imported_by_counting() -> tuple[int, bool]:
    import sys

    return models.token_counter(BUILTIN)(["Hello."])[0], "torch" in sys.modules


def test_processes_that_ask_at_once_convert_once(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECMILL_CACHE", str(tmp_path))
    context = multiprocessing.get_context("fork")
    log = tmp_path / "conversions"
    with context.Pool(4, initializer=_convert_slowly, initargs=(log,)) as pool:
        folders = set(pool.map(models.model_folder, [BUILTIN] * 4))
    assert len(folders) == 1
    assert (folders.pop() / "config.json").read_text() == "{}"
    assert log.read_text() == "converted\n"


def test_a_conversion_that_was_killed_leaves_nothing_that_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("SPECMILL_CACHE", str(tmp_path))
    monkeypatch.setattr(builtin, "_convert", _dies_halfway)
    with pytest.raises(KeyboardInterrupt):
        models.model_folder(BUILTIN)
    _convert_slowly(tmp_path / "conversions")
    folder = models.model_folder(BUILTIN)
    assert [path.name for path in folder.iterdir()] == ["config.json"]


def _dies_halfway(source: Path, folder: Path) -> None:
    (folder / "half").write_text("torn")
    raise KeyboardInterrupt


def _convert_slowly(log: Path) -> None:
    import time

    def convert(source: Path, folder: Path) -> None:
        time.sleep(0.2)
        (folder / "config.json").write_text("{}")
        with log.open("a") as file:
            file.write("converted\n")

    builtin._convert = convert


@pytest.mark.slow
def test_a_conversion_says_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("SPECMILL_CACHE", str(tmp_path))
    assert (models.model_folder(BUILTIN) / "model.safetensors").is_file()
    assert capfd.readouterr() == ("", "")


def test_a_folder_is_itself_and_a_hub_id_stays_one(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert models.model_folder(str(tmp_path)) == tmp_path
    assert models.model_folder("someone/some-model") == "someone/some-model"


@pytest.mark.parametrize("name", ["builtin:other", "/no/such/folder"])
def test_a_model_that_is_not_there_says_what_there_is(name):
    with pytest.raises(SetupError, match="smollm2-135m"):
        models.model_folder(name)


def test_a_missing_package_names_the_command(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SetupError, match="make setup"):
        models.model_folder(BUILTIN)


def test_the_base_hash_changes_with_weights_and_config(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"1234")
    first = models.base_hash(tmp_path)
    (tmp_path / "README.md").write_text("of no account")
    assert models.base_hash(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"12345")
    assert models.base_hash(tmp_path) != first
