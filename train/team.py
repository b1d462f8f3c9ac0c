"""The processes that train together: one, or as many as `accelerate launch` started.

accelerate gives the device, data parallelism (DDP) and sharding (FSDP2). The order of the data, the loss's denominator
and the checkpoints are ours: they are the same for any number of processes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar, cast

import torch

from corpus.errors import SetupError, SpecmillError, TrainingError

if TYPE_CHECKING:
    from accelerate import Accelerator

Value = TypeVar("Value")
Module = TypeVar("Module", bound=torch.nn.Module)

PATIENCE = timedelta(hours=2)
"""How long processes wait for the first one, which tokenizes, merges and saves alone."""


class Team:
    """This process among those that train together."""

    def __init__(self) -> None:
        """Join the others, where there are any.

        Raises:
            SetupError: a way of running together that training does not know.
        """
        from accelerate import Accelerator, DistributedDataParallelKwargs, DistributedType, InitProcessGroupKwargs

        # Precision is the recipe's, whatever the launcher's file says.
        handlers = [
            DistributedDataParallelKwargs(gradient_as_bucket_view=True),
            InitProcessGroupKwargs(timeout=PATIENCE),
        ]
        self._accelerator: Accelerator = Accelerator(mixed_precision="no", kwargs_handlers=handlers)
        self.rank: int = self._accelerator.process_index
        self.size: int = self._accelerator.num_processes
        self.device: torch.device = self._accelerator.device
        kind = self._accelerator.distributed_type
        self.is_sharded = kind == DistributedType.FSDP
        """Whether each process holds a part of the weights only (FSDP2)."""
        self.is_replicated = self.size > 1 and not self.is_sharded
        if self.is_sharded:
            _check_sharding(self._accelerator)
        elif self.is_replicated and not str(kind.value).startswith("MULTI_"):
            raise SetupError(f"training runs under DDP or FSDP2, not {kind.value}; look at examples/accelerate")

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes the run."""
        return self.rank == 0

    def prepare(self, module: Module, optimizer: torch.optim.Optimizer) -> tuple[Module, torch.optim.Optimizer]:
        """The module on this device, replicated or sharded, and the optimizer of the parameters it has then."""
        if self.is_sharded:
            module, wrapped = self._accelerator.prepare(module, optimizer)
            return module, wrapped.optimizer
        module.to(self.device)
        return (self._accelerator.prepare_model(module) if self.is_replicated else module), optimizer

    def share(self, rows: Sequence[Value]) -> list[Value | None]:
        """This process's part of an update's rows, and None where others have one more.

        All do the same number of passes: in each they wait for each other.
        """
        mine: list[Value | None] = list(rows[self.rank :: self.size])
        return mine + [None] * (-(-len(rows) // self.size) - len(mine))

    def last_only(self, module: torch.nn.Module, *, is_last: bool) -> AbstractContextManager[object]:
        """The context of a backward pass: replicas exchange their gradients in an update's last one only.

        Shards exchange in each: keeping whole gradients would take the memory that sharding saves.
        """
        if self.is_replicated and not is_last:
            return cast("AbstractContextManager[object]", self._accelerator.no_sync(module))
        return nullcontext()

    def total(self, value: float) -> float:
        """A value summed over the processes."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.device)
        return float(self._accelerator.reduce(tensor, reduction="sum"))

    def from_first(self, make: Callable[[], Value]) -> Value:
        """What `make` gives in the first process, in all of them; so is a message of what went wrong there."""
        if self.size == 1:
            return make()
        from accelerate.utils import broadcast_object_list

        held: list[tuple[Value | None, str]] = [(None, "")]
        failed: SpecmillError | None = None
        if self.is_first:
            try:
                held = [(make(), "")]
            except SpecmillError as error:
                failed, held = error, [(None, str(error))]
        broadcast_object_list(held)
        value, message = held[0]
        if message:
            raise failed or TrainingError(f"the first process: {message}")
        return cast(Value, value)

    def from_all(self, value: Value) -> list[Value]:
        """The values of all processes, by rank."""
        if self.size == 1:
            return [value]
        from accelerate.utils import gather_object

        return cast("list[Value]", gather_object([value]))

    def release(self) -> None:
        """Wait for the others, and let go of what was prepared: accelerate keeps every module that it was given."""
        self.wait()
        self._accelerator.free_memory()

    def wait(self) -> None:
        """Wait for the others."""
        self._accelerator.wait_for_everyone()


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A parameter, gradient or moment as one tensor, whatever part of it this process holds; all must ask."""
    from torch.distributed.tensor import DTensor

    detached = tensor.detach()
    return detached.full_tensor() if isinstance(detached, DTensor) else detached


def like(tensor: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """A whole tensor in the form, and on the device, of `reference`."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if isinstance(reference, DTensor):
        placed = tensor.to(reference.device_mesh.device_type)
        return cast(torch.Tensor, distribute_tensor(placed, reference.device_mesh, reference.placements))
    return tensor.to(reference.device)


def _check_sharding(accelerator: Accelerator) -> None:
    plugin = accelerator.state.fsdp_plugin
    if plugin.fsdp_version != 2:
        raise SetupError(
            f"sharded training is done with FSDP version 2; the launcher asks for {plugin.fsdp_version}: give "
            "`fsdp_version: 2`, as in examples/accelerate"
        )
    if plugin.cpu_ram_efficient_loading:
        raise SetupError(
            "fsdp_cpu_ram_efficient_loading is on: each process but the first would begin with empty weights; give "
            "`fsdp_cpu_ram_efficient_loading: false`, as in examples/accelerate"
        )
