"""Named random streams, derived from a run's seed and independent of each other and of their order of use."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache

import numpy as np
import torch


def derive(seed: int, *names: str | int) -> int:
    """Derive a 63-bit seed for the stream of this name."""
    key = "\x1f".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Make a counter-based (Philox) numpy generator for the stream of this name."""
    return np.random.Generator(np.random.Philox(derive(seed, *names)))


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """Make a torch generator on the CPU for the stream of this name."""
    return torch.Generator().manual_seed(derive(seed, *names))


def torch_state() -> list[torch.Tensor]:
    """State of torch's global generators: the CPU's, then each GPU's."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(i) for i in range(_gpus()))]


def set_torch_state(state: Sequence[torch.Tensor]) -> None:
    """Restore torch's global generators from a `torch_state`, for all GPUs of this machine."""
    torch.set_rng_state(state[0])
    for i, of_gpu in enumerate(state[1 : 1 + _gpus()]):
        torch.cuda.set_rng_state(of_gpu, i)


@contextmanager
def torch_seeded(seed: int, *names: str | int) -> Iterator[None]:
    """Context that seeds torch's global generators with the stream of this name and restores them afterwards.

    It serves code that uses global generators, such as layer initialisation and dropout.
    """
    derived = derive(seed, *names)
    with torch.random.fork_rng(range(_gpus())):
        torch.default_generator.manual_seed(derived)
        if _gpus():
            torch.cuda.manual_seed_all(derived)
        yield


@cache
def _gpus() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0
