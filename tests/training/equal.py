"""Script for torchrun: compares two processes with one, in double precision."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pvnas_bench import registry, seeding
from pvnas_bench.methods.bilevel import mixture_plan
from pvnas_bench.network.families import build
from pvnas_bench.network.supernet import Supernet, path_plan
from pvnas_bench.training.distributed import World, joined
from pvnas_bench.training.synchronised import Part, Synchronised, forward

CLASSES = 3
CLIPS = 5  # not a multiple of the processes


def part_of(world: World) -> Part:
    start, stop = (CLIPS * rank // world.size for rank in (world.rank, world.rank + 1))
    return Part(start, stop, CLIPS)


def close(name: str, one: Tensor | None, two: Tensor | None) -> None:
    assert (one is None) == (two is None), name
    if one is not None and two is not None:
        torch.testing.assert_close(two, one, rtol=1e-9, atol=1e-11, msg=lambda text: f"{name}: {text}")


def compare(
    network: nn.Module, part: Part, inputs: Tensor, plan: Callable[[], tuple[Any, ...]], leaves: dict[str, Tensor]
) -> None:
    """Logits, gradients of the weights and of other leaves, and buffers, of one process and of all."""
    labels = torch.arange(CLIPS) % CLASSES
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    tensors = dict(network.named_parameters()) | leaves

    def measure(run: Callable[[], Tensor]) -> dict[str, Tensor | None]:
        network.load_state_dict(before, strict=False)
        network.zero_grad(set_to_none=True)
        for leaf in leaves.values():
            leaf.grad = None
        with seeding.torch_seeded(0, "dropout"):
            logits = run()
        # A term that does not pass the network counts once.
        loss = F.cross_entropy(logits, labels) + sum(
            (leaf.square().sum() for leaf in leaves.values()), logits.sum() * 0
        )
        loss.backward()
        found: dict[str, Tensor | None] = {f"gradient of {name}": tensor.grad for name, tensor in tensors.items()}
        return found | {name: buffer.clone() for name, buffer in network.named_buffers()} | {"logits": logits.detach()}

    one = measure(lambda: network(inputs, *plan()))
    own, weights = inputs[part.start : part.stop], dict(network.named_parameters())
    two = measure(lambda: forward(network, part, own, *plan(), weights=weights))
    for name in one:
        close(name, one[name], two[name])


def main(world: World) -> None:
    assert world.size == 2
    part = part_of(world)
    space = registry.get_space("st_default")
    rng = seeding.generator(0, "equal")

    for name in ("st_default", "st_temporal_cell"):
        of = registry.get_space(name)
        for _ in range(3):
            with seeding.torch_seeded(0, "init"):
                network = build(of, of.sample(rng), CLASSES).double()
            inputs = torch.randn(CLIPS, *network.blank().shape[1:], generator=seeding.torch_generator(0, "clips"))
            compare(network, part, inputs.double() + 3, tuple, {})
        compare(network, part, torch.zeros_like(inputs).double(), tuple, {})  # without variance

    with seeding.torch_seeded(0, "init"):
        supernet = Supernet(space, CLASSES).double()
    clips = torch.randn(CLIPS, 4, 3, 16, 16, generator=seeding.torch_generator(0, "clips")).double()
    for _ in range(3):
        path = path_plan(space, space.sample(rng)).at(4, 16)
        compare(supernet, part, clips, lambda path=path: (path,), {})
    alphas = {
        decision.name: torch.zeros(len(decision.options), dtype=torch.float64, requires_grad=True)
        for decision in space.decisions
    }

    def mixed() -> tuple[Any, ...]:
        return (mixture_plan(space, {name: alpha.softmax(0) for name, alpha in alphas.items()}, 4, 16),)

    compare(supernet, part, clips, mixed, alphas)

    def statistics(shared: bool) -> list[Tensor]:
        found = []

        def batches() -> Any:
            for batch in (clips, 2 * clips):
                if shared:
                    with Synchronised(part):
                        yield batch[part.start : part.stop]
                else:
                    yield batch

        with supernet.recalibrated(space.reference, batches()):
            found += [norm.running_mean.clone() for norm in supernet.norms()]
            found += [norm.running_var.clone() for norm in supernet.norms()]
        return found

    for one, two in zip(statistics(False), statistics(True), strict=True):
        close("recalibrated statistics", one, two)

    assert world.any(world.rank == 1) and not world.any(False)
    assert world.from_first(b"\x00abc" if world.first else None) == b"\x00abc"
    assert world.from_first(None) is None
    assert world.from_first(b"" if world.first else None) == b""
    world.agree("the same")
    with pytest.raises(RuntimeError, match="processes have diverged"):
        world.agree(f"process {world.rank}")


if __name__ == "__main__":
    with joined() as everyone:
        main(everyone)
