"""Runs in several processes: under `torchrun` all processes run the same search, each on its share of the clips.

Processes run in lockstep with the same seeds, decisions and ledger, which charges whole batches. Only passes through a
network are split (`training.synchronised`). Afterwards every process has the logits of the whole batch, so other code
needs no change. Only the first process writes files and prints.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed
from torch import Tensor

from pvnas_bench.errors import UsageError

if TYPE_CHECKING:
    from pvnas_bench.video import ClipBatch

PATIENCE = timedelta(days=1)
"""Longest wait for another process, which may be decoding a data set."""


class RankLost(BaseException):
    """Another process of the run has ended. Not an `Exception`, so that strategies do not catch it."""


@dataclass(frozen=True)
class World:
    """Processes of a run, as seen by one of them.

    Attributes:
        rank: rank of this process, from 0.
        size: number of processes.
        local_rank, local_size: rank and number among the processes of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def first(self) -> bool:
        """True if this process writes files and prints."""
        return self.rank == 0

    @property
    def command(self) -> list[str]:
        """Command line before ``run`` that starts the same number of processes."""
        nodes = self.size // self.local_size
        many = ["--nnodes", str(nodes)] if nodes > 1 else []
        return ["torchrun", *many, "--nproc-per-node", str(self.local_size), "-m", "pvnas_bench"]

    def share(self, batch: "ClipBatch") -> "ClipBatch":
        """Restrict a batch to this process's share of the clips; keep it whole if it has fewer clips than processes."""
        if self.size == 1 or len(batch) < self.size:
            return batch
        start, stop = (len(batch) * rank // self.size for rank in (self.rank, self.rank + 1))
        return replace(batch, part=slice(start, stop))

    def any(self, flag: bool) -> bool:
        """Return True if the flag is set in any process.

        Raises:
            RankLost: a process has ended.
        """
        return flag if self.size == 1 else bool(summed(torch.tensor(int(flag))))

    def agree(self, what: str) -> None:
        """Check that all processes have reached the same point of the run.

        Args:
            what: description of the point.

        Raises:
            RuntimeError: a process is at another point.
            RankLost: a process has ended.
        """
        if self.size == 1:
            return
        number = int.from_bytes(hashlib.blake2b(what.encode(), digest_size=6).digest(), "big")
        if int(summed(torch.tensor(number))) != self.size * number:
            raise RuntimeError(
                f"the processes have diverged ({what} in process {self.rank}): "
                "use the same type of machine and GPU and the same libraries for all"
            )

    def from_first(self, content: bytes | None) -> bytes | None:
        """Broadcast the first process's content to all others.

        Raises:
            RankLost: a process has ended.
        """
        if self.size == 1:
            return content
        length = int(summed(torch.tensor(0 if content is None or not self.first else len(content) + 1)))
        if not length:
            return None
        copy = torch.zeros(length - 1, dtype=torch.uint8)
        if self.first and content:
            copy.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        return bytes(summed(copy).numpy())

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Let the first process of each machine enter before the others, so that these can use its files.

        Raises:
            RankLost: a process has ended.
        """
        if self.local_rank:
            self.any(False)
        yield
        if not self.local_rank:
            self.any(False)


ALONE = World()
"""World of a run without `torchrun`: a single process."""


def summed(tensor: Tensor) -> Tensor:
    """Sum the processes' tensors in place.

    Raises:
        RankLost: a process has ended.
    """
    try:
        torch.distributed.all_reduce(tensor)
    except RuntimeError as error:
        raise RankLost("another process of the run ended") from error
    return tensor


@contextmanager
def joined() -> Iterator[World]:
    """Join the processes that `torchrun` started into one run; without it, the run is a single process.

    It restricts each process to one GPU of its machine, if there are any: enter it before anything else uses CUDA.

    Raises:
        UsageError: a machine has fewer GPUs than processes, or only some processes have a GPU.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    from torch.distributed.rendezvous import rendezvous  # missing from PyTorch builds without distributed support

    world = World(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))
    _see_one_gpu(world)
    gpu = torch.cuda.is_available()
    store, _, _ = next(rendezvous("env://"))
    store.set(f"gpu {world.rank}", str(gpu))
    if len({store.get(f"gpu {rank}") for rank in range(world.size)}) > 1:
        raise UsageError(
            "only some processes have a GPU: on each machine, start as many processes as it has GPUs, or disable all "
            "GPUs with CUDA_VISIBLE_DEVICES="
        )
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if gpu else "gloo", store=store, rank=world.rank, world_size=world.size, timeout=PATIENCE
    )
    try:
        yield world
    finally:
        torch.distributed.destroy_process_group()


def _see_one_gpu(world: World) -> None:
    """Restrict this process to one GPU, so that device and generator names are the same everywhere."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    every = ",".join(map(str, range(world.local_size)))
    names = [name for name in (every if visible is None else visible).split(",") if name]
    if names and len(names) < world.local_size:
        raise UsageError(
            f"{world.local_size} processes on this machine share {len(names)} GPUs (CUDA_VISIBLE_DEVICES={visible}): "
            "start one process per GPU"
        )
    if names:
        os.environ["CUDA_VISIBLE_DEVICES"] = names[world.local_rank]
