"""What a library says although nobody can do anything about it."""

from __future__ import annotations

import logging


def quiet_vllm() -> None:
    """Leave out that Triton has no CPU backend: on a CPU it need not, and vLLM warns before it reads its own log level.

    It does so in each of its processes, so this has to be called where they pass by before they import vLLM.
    """
    logging.getLogger("vllm.triton_utils.importing").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return "doesn't include CPU backend" not in str(record.msg)
