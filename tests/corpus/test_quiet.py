"""What vLLM says at its import is heard, but for what nobody can mend: here and in the processes that it starts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SAYS = """
import logging
def say():
    logger = logging.getLogger("vllm.triton_utils.importing")
    logger.warning("Triton is installed, but doesn't include CPU backend. " "Disabling Triton.")
    logger.warning("An unexpected error occurred while checking Triton active drivers")
"""
COMMAND = """
from specmill import main
if __name__ == "__main__":
    import multiprocessing, says
    says.say()
    process = multiprocessing.get_context("spawn").Process(target=says.say)
    process.start()
    process.join()
"""
"""The installed command, as pip writes it, with something else to do."""


def test_a_triton_without_a_cpu_backend_is_no_news(tmp_path: Path) -> None:
    (tmp_path / "says.py").write_text(SAYS)
    (tmp_path / "command").write_text(COMMAND)
    ran = subprocess.run(
        [sys.executable, tmp_path / "command"], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": f"{ROOT}:{tmp_path}"},
    )  # fmt: skip
    assert ran.stderr.splitlines() == ["An unexpected error occurred while checking Triton active drivers"] * 2
