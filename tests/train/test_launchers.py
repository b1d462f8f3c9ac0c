"""The launcher files in examples/accelerate say what accelerate reads and what training wants."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.train.test_team import FSDP, ROOT

FILES = sorted((ROOT / "examples/accelerate").glob("*.yaml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_accelerate_reads_it_and_the_recipe_keeps_its_say(file: Path):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(file))
    assert config.mixed_precision == "no"
    assert f"--config_file examples/accelerate/{file.name}" in file.read_text()
    assert config.num_processes % config.num_machines == 0
    if config.distributed_type.value == "FSDP":
        named = {key.upper(): str(value) for key, value in config.fsdp_config.items()}
        for key, value in FSDP.items():
            assert key == "ACCELERATE_USE_FSDP" or named[key].lower() == value.lower(), key


def test_there_is_one_for_one_gpu_eight_and_several_machines():
    configs = [yaml.safe_load(file.read_text()) for file in FILES]
    kinds = {(one["num_machines"], one["num_processes"], one["distributed_type"]) for one in configs}
    assert {(1, 1, "NO"), (1, 8, "MULTI_GPU"), (1, 8, "FSDP"), (2, 16, "FSDP")} <= kinds
