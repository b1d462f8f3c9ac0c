"""The benchmarks of training start, compare what they say they compare, and tell it in a table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import train_gpu
import train_growth
import train_speed

from corpus.errors import TrainingError

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory) -> str:
    """The folder of a random model of two layers, whose tokens are bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: number for number, letter in enumerate([*letters, "<|end|>"])}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    folder = tmp_path_factory.mktemp("base") / "tiny"
    PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<|end|>", pad_token="<|end|>").save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=260, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, bos_token_id=256, eos_token_id=256, pad_token_id=256,
        initializer_range=0.2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    return str(folder)


def said_by(script: str, *options: str) -> str:
    """What a script prints."""
    ran = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / script), *options], cwd=ROOT, capture_output=True, text=True,
        check=False, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 0, f"{ran.stdout}\n{ran.stderr[-4000:]}"
    return ran.stdout


def table_of(text: str, first: str) -> list[list[str]]:
    """The rows of the table whose first column has this name."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def speed(base: str, *more: str) -> str:
    size = ["--rounds", "1", "--warm-up", "1", "--updates", "2", "--update-tokens", "128", "--threads", "1"]
    return said_by("train_speed.py", "--model", base, *size, *more)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_three_trainers_take_the_same_steps(tiny_base: str) -> None:
    """With two rows an update, too: a loss that were the mean of the rows' means would be refused."""
    said = speed(tiny_base, "--row-tokens", "64")
    rows = table_of(said, "trainer")
    assert [row[0].split()[0] for row in rows] == ["specmill", "transformers", "trl"]
    assert all(float(row[1]) > 0 and float(row[4]) > 50 for row in rows)
    losses = table_of(said, "update")
    assert len(losses) == 3
    assert all(abs(float(row[3]) - float(other)) < 1e-4 for row in losses for other in row[4:])
    assert losses[0][3] != losses[1][3]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_trainer_alone_is_told_without_peers(tiny_base: str) -> None:
    said = speed(tiny_base, "--row-tokens", "128", "--full", "--only", "specmill")
    assert [row[0].split()[0] for row in table_of(said, "trainer")] == ["specmill"]
    assert "/ best" not in said


def test_other_losses_are_refused() -> None:
    ours = {"losses": [3.0, 2.5]}
    near, far = {"losses": [3.0, 2.50009]}, {"losses": [3.0, 2.5002]}
    largest = train_speed.refuse_other_losses({"specmill": [ours, ours], "trl": [near]}, "specmill")
    assert largest["trl"] == pytest.approx(9e-5)
    for other in (far, {"losses": [3.0, float("nan")]}, {"losses": [3.0]}):
        with pytest.raises(SystemExit):
            train_speed.refuse_other_losses({"specmill": [ours], "trl": [near, other]}, "specmill")


def test_the_interval_of_a_ratio_is_of_medians_over_the_same_rounds_and_updates() -> None:
    draw = np.random.default_rng(1)
    ours = draw.normal(100, 5, (3, 9))
    assert train_speed.ratio(ours, ours / 2) == "2.000 (2.000 to 2.000)"
    point, low, high = (
        float(part) for part in train_speed.ratio(ours, draw.normal(100, 5, (3, 9))).replace("(", "").replace(
            ")", ""
        ).replace("to ", "").split()
    )  # fmt: skip
    assert 0.9 < low < point < high < 1.1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_growth_is_told_for_each_length_and_each_size(tiny_base: str) -> None:
    base = ["--model", tiny_base, "--threads", "1"]
    rows = table_of(
        said_by("train_growth.py", "rows", "--lengths", "64", "--updates", "1", "--recompute", *base), "row (tokens)"
    )
    assert [row[1] for row in rows] == ["documents of 400", "one document"] * (len(rows) // 2)
    assert all(float(row[4]) > 0 and int(row[5]) > int(row[6]) > 0 for row in rows)
    small, large = table_of(said_by("train_growth.py", "plan", "--sizes", "20000", "90000", *base), "tokens")
    assert 20_000 <= int(small[0].replace(",", "")) < 25_000 < 90_000 <= int(large[0].replace(",", ""))


def test_a_row_that_a_stage_would_refuse_is_told_and_not_tried(tiny_base: str, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise TrainingError("a row of 64 tokens needs about 99 GiB; lower something")

    monkeypatch.setattr(train_growth, "check_memory", refuse)
    monkeypatch.setattr(train_growth, "Trainer", None)
    asked = Namespace(
        model=tiny_base, length=64, precision="fp32", series=train_growth.SERIES[1], updates=1, recompute=False
    )
    assert train_growth.train_row(asked) == {"refused": "a row of 64 tokens needs about 99 GiB"}


class TestGpu:
    """`train_gpu.py`, by the same code on the CPU."""

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    def test_every_cell_has_a_row_and_is_measured_once(self, tmp_path: Path) -> None:
        from train_gpu_list import CELLS

        results = tmp_path / "results.jsonl"
        asked = ["--device", "cpu", "--shapes", "tiny", "--budget", "5m", f"--results={results}"]
        said = said_by("train_gpu.py", *asked)
        rows = {row["cell"]: row for row in train_gpu.read(results)}
        assert list(rows) == [cell.name for cell in CELLS]
        assert {row[0] for row in table_of(said, "cell")} == set(rows)
        failed = {name for name, row in rows.items() if "failed" in row}
        assert failed == {name for name in rows if "varlen" in name or "flex" in name}, [
            row["failed"] for row in rows.values() if "failed" in row
        ]
        assert rows["resume 0.6B lora 4096"]["largest_weight_difference"] == 0
        assert rows["canary specmill_each_segment"]["states_error"] < 0.02
        before = results.read_text()
        assert table_of(said_by("train_gpu.py", *asked), "cell") == table_of(said, "cell")
        assert results.read_text() == before

    def test_what_does_not_fit_into_the_budget_is_left_for_the_next_time(self, tmp_path: Path) -> None:
        results = tmp_path / "results.jsonl"
        asked = ["--device", "cpu", "--shapes", "tiny", f"--results={results}", "--only", "canary specmill_each"]
        began = time.monotonic()
        said = said_by("train_gpu.py", *asked, "--budget", f"{train_gpu.FULL_STOP_SECONDS + 5}s")
        assert time.monotonic() - began < train_gpu.FULL_STOP_SECONDS + 20
        assert "nothing was measured" in said
        assert train_gpu.read(results) == []

    def test_a_budget_is_read_in_seconds_minutes_and_hours(self) -> None:
        assert [train_gpu.seconds(text) for text in ("90", "90s", "9m", "1h")] == [90, 90, 540, 3600]

    def test_a_line_that_was_cut_off_is_no_result(self, tmp_path: Path) -> None:
        file = tmp_path / "results.jsonl"
        file.write_text('{"cell": "one"}\n{"cell": "tw')
        assert train_gpu.read(file) == [{"cell": "one"}]
        assert train_gpu.read(tmp_path / "none") == []

    def test_a_cell_that_hangs_or_crashes_is_told_and_one_out_of_time_is_not(self, tmp_path: Path) -> None:
        running = tmp_path / "running"

        def ends(code: str, deadline: float, began: float = 0.0) -> str:
            running.write_text(json.dumps({"estimate_seconds": 1}))
            os.utime(running, (time.time() - began, time.time() - began))
            process = subprocess.Popen([sys.executable, "-c", code])
            reason = train_gpu.watch(process, running, time.monotonic() + deadline)
            assert process.returncode is not None
            return reason

        sleeps = "import time; time.sleep(60)"
        assert ends(sleeps, 60, began=train_gpu.PATIENCE_SECONDS + 5).startswith("not done within")
        assert ends("import os; os.abort()", 60) == "the process ended with -6"
        assert ends(sleeps, 0.5) == ""
        assert ends("", 60) == ""

    def test_estimates_follow_what_cells_took(self) -> None:
        def cells(*ratios: float) -> list[dict[str, float]]:
            return [{"guessed_seconds": 10, "seconds_taken": 10 * ratio} for ratio in ratios]

        assert train_gpu.slowness([]) == 1
        assert train_gpu.slowness(cells(0.5, 0.6, 0.4)) == 0.5
        assert train_gpu.slowness(cells(0.5, 0.6, 3)) == 3
        assert train_gpu.slowness([*cells(2), {"guessed_seconds": 1, "seconds_taken": 99, "failed": "why"}]) == 2

    def test_shapes_have_the_sizes_of_their_models(self) -> None:
        from train_gpu_list import SHAPES

        sizes = {name: shape.num_weights / 1e9 for name, shape in SHAPES["real"].items()}
        assert sizes["0.6B"] == pytest.approx(0.596, abs=1e-3)
        assert sizes["8B"] == pytest.approx(8.03, abs=1e-2)
        assert sizes["32B"] == pytest.approx(32.76, abs=1e-2)

    def test_weights_are_counted_as_they_are_built(self) -> None:
        from train_gpu_list import Cell
        from train_gpu_models import Room

        room = Room("cpu", "tiny")
        for name, shape in room.shapes.items():
            model = room.model(Cell("train", name, 4096))
            trained = [value.numel() for value in model.parameters() if value.requires_grad]
            frozen = [value.numel() for value in model.parameters() if not value.requires_grad and value.ndim == 2]
            assert (sum(trained), sum(frozen)) == (shape.num_adapter_weights, shape.num_weights)

    def test_documents_are_as_long_as_the_papers(self) -> None:
        from train_gpu_models import document_lengths

        lengths = document_lengths(200_000, np.random.default_rng(1))
        assert lengths.mean() == pytest.approx(3154, abs=8)
        assert np.quantile(lengths, 0.9) == pytest.approx(4148, abs=12)
        assert lengths.max() == 4522
