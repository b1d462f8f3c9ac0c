"""What tests of several rooms share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from fakes.engine_thread import EngineThread

# Without compiled files every child process of a test would compile torch and scipy anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long to make is made once: the tests that share it stay with one worker."""
    for item in items:
        for shared in ("vllm_engine", "road"):
            if shared in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(shared))


@pytest.fixture(scope="session")
def vllm_engine() -> Iterator[EngineThread]:
    """The real engine with the builtin model: started once for all tests that need it."""
    from fakes.engine_thread import EngineThread

    from corpus.recipe import EngineSettings

    with EngineThread(EngineSettings(max_in_flight=32, options={"max_model_len": 2048}), seed=17) as engine:
        yield engine
