"""What keeps a run on its machine."""

from __future__ import annotations

import os


def no_telemetry() -> None:
    """Switch off the usage statistics of vLLM, the hub and Ray; to be called before any of them is imported."""
    os.environ.update(
        VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1", HF_HUB_DISABLE_TELEMETRY="1", RAY_USAGE_STATS_ENABLED="0"
    )
