"""`specmill` under FSDP2 on CPUs: accelerate shards on accelerators only, so it is told that this is one."""

from __future__ import annotations

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType

import specmill

if __name__ == "__main__":
    torch.set_num_threads(1)
    PartialState(cpu=True)
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_XPU
    specmill.main()
