"""The machine at hand: what a figure was measured on, and which arithmetic it is quick at."""

from __future__ import annotations

import os
import platform
from functools import lru_cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_BF16_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
"""Instructions that multiply in bf16 (x86 and Arm). Without them a bf16 product of matrices took 3 to 6 times as
long as one in fp32, on a Cascade Lake processor."""


def num_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def machine_name() -> str:
    """Processor, cores and memory."""
    processor = _cpuinfo("model name") or platform.processor() or platform.machine()
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor}, {num_cores()} cores, {gib:.0f} GiB"


def cpu_multiplies_bf16() -> bool:
    """Whether the processor has instructions for bf16; where it has none, fp32 is the quicker one."""
    return bool(_BF16_FLAGS & {*_cpuinfo("flags").split(), *_cpuinfo("Features").split()})


@lru_cache
def _cpuinfo(key: str) -> str:
    if not _CPUINFO.exists():
        return ""
    lines = (line.partition(":") for line in _CPUINFO.read_text().splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == key), "")
