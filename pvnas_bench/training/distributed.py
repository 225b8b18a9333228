"""One run in several processes: under `torchrun` every process does the same search, each on its share of the clips.

The processes go in lockstep: the same seeds, the same decisions, the same ledger, which charges whole batches. Only
what a network computes of a batch is divided (`network.synchronised`); its logits are those of the whole batch again in
every process, so that nothing beyond needs to know. The first process alone writes, and is heard.
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
"""How long the others wait for a process that is alive, such as the one that decodes a data set."""


class RankLost(BaseException):
    """Another process of the run has ended. No `Exception`: what a strategy catches is not meant."""


@dataclass(frozen=True)
class World:
    """The processes of a run, as one of them sees them.

    Attributes:
        rank: of this process, from 0.
        size: number of processes.
        local_rank, local_size: the same among the processes of this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def first(self) -> bool:
        """Whether this process writes, and is heard."""
        return self.rank == 0

    @property
    def command(self) -> list[str]:
        """The words before ``run`` that start as many processes."""
        nodes = self.size // self.local_size
        many = ["--nnodes", str(nodes)] if nodes > 1 else []
        return ["torchrun", *many, "--nproc-per-node", str(self.local_size), "-m", "pvnas_bench"]

    def share(self, batch: "ClipBatch") -> "ClipBatch":
        """A batch of which this process makes only its share of the clips; the whole one where there are too few."""
        if self.size == 1 or len(batch) < self.size:
            return batch
        start, stop = (len(batch) * rank // self.size for rank in (self.rank, self.rank + 1))
        return replace(batch, part=slice(start, stop))

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process.

        Raises:
            RankLost: a process has ended.
        """
        return flag if self.size == 1 else bool(summed(torch.tensor(int(flag))))

    def agree(self, what: str) -> None:
        """Make sure that all processes are at the same point.

        Args:
            what: the point, in words.

        Raises:
            RuntimeError: they are not.
            RankLost: a process has ended.
        """
        if self.size == 1:
            return
        number = int.from_bytes(hashlib.blake2b(what.encode(), digest_size=6).digest(), "big")
        if int(summed(torch.tensor(number))) != self.size * number:
            raise RuntimeError(
                f"the processes have come apart ({what} in process {self.rank}): "
                "they need machines and GPUs of one kind, and the same libraries"
            )

    def from_first(self, content: bytes | None) -> bytes | None:
        """What the first process has; its copy in all others.

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
        """The first process of each machine goes ahead, and the others find made what it made for all.

        Raises:
            RankLost: a process has ended.
        """
        if self.local_rank:
            self.any(False)
        yield
        if not self.local_rank:
            self.any(False)


ALONE = World()
"""The one process of a run that was not started by `torchrun`."""


def summed(tensor: Tensor) -> Tensor:
    """The sum of the processes' tensors, in place.

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
    """Within the context the processes that `torchrun` started are one run; alone without it.

    Each process sees one GPU of its machine, if it has any: enter before anything else uses CUDA.

    Raises:
        UsageError: there are not as many GPUs on a machine as processes.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    from torch.distributed.rendezvous import rendezvous  # not in builds of PyTorch for one process

    world = World(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")))
    _see_one_gpu(world)
    gpu = torch.cuda.is_available()
    store, _, _ = next(rendezvous("env://"))
    store.set(f"gpu {world.rank}", str(gpu))
    if len({store.get(f"gpu {rank}") for rank in range(world.size)}) > 1:
        raise UsageError(
            "some of the processes have a GPU and some have none: start as many on each machine as it has GPUs, or "
            "none on a GPU with CUDA_VISIBLE_DEVICES="
        )
    torch.distributed.init_process_group(
        "cpu:gloo,cuda:nccl" if gpu else "gloo", store=store, rank=world.rank, world_size=world.size, timeout=PATIENCE
    )
    try:
        yield world
    finally:
        torch.distributed.destroy_process_group()


def _see_one_gpu(world: World) -> None:
    """Leave this process one GPU: then all have a device, and generators, of the same names."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    every = ",".join(map(str, range(world.local_size)))
    names = [name for name in (every if visible is None else visible).split(",") if name]
    if names and len(names) < world.local_size:
        raise UsageError(
            f"{world.local_size} processes on this machine share {len(names)} GPUs (CUDA_VISIBLE_DEVICES={visible}): "
            "start one for each"
        )
    if names:
        os.environ["CUDA_VISIBLE_DEVICES"] = names[world.local_rank]
