"""Every layer of every network has a row in a latency table, and a prediction is a sum of rows."""

import numpy as np
import pytest
import torch
from tiny_space import SPACE

from pvnas_bench import registry
from pvnas_bench.network.families import build, cost_model, timed_layers
from pvnas_bench.network.latencies import LatencyTable
from pvnas_bench.space import SearchSpace

CLASSES = 7


@pytest.mark.parametrize("space", [SPACE, registry.get_space("st_temporal_cell"), registry.get_space("st_default")])
def test_a_network_of_ones_costs_its_number_of_layers(space: SearchSpace) -> None:
    table = LatencyTable(dict.fromkeys(timed_layers(space, CLASSES), 1.0))
    costs, rng = cost_model(space, CLASSES, table), np.random.default_rng(0)
    for _ in range(20):
        architecture = space.sample(rng)
        options = space.options(architecture)
        operators = [token for name, token in options.items() if name.startswith("operator")]
        layers = 2 + sum(token not in ("skip", "none") for token in operators) + int(options.get("cells", 0))
        assert costs(architecture).latency_ms == pytest.approx(layers)
        assert costs(architecture).macs == cost_model(space, CLASSES)(architecture).macs


def test_overhead_counts_once_and_a_layer_counts_for_each_layer() -> None:
    rows = dict.fromkeys(timed_layers(SPACE, CLASSES), 2.0)
    reference = SPACE.reference  # stem, two blocks, head
    assert cost_model(SPACE, CLASSES, LatencyTable(rows, 5.0, 0.5, 3.0))(reference).latency_ms == pytest.approx(
        5.0 + 4 * (0.5 + 3.0 * 2.0)
    )


def test_a_layer_by_itself_computes_what_it_does_in_a_network() -> None:
    """Shapes chain: the output of each layer's pass is the input of the next one's."""
    layers = timed_layers(SPACE, CLASSES)
    shapes = {name: (tuple(layer.on(torch.device("cpu"))().shape), layer.shape) for name, layer in layers.items()}
    network = build(SPACE, SPACE.reference, CLASSES)
    seen: list[tuple[int, ...]] = []
    for module in (network.stem, *network.blocks, network.head):  # type: ignore[misc, union-attr]
        module.register_forward_hook(lambda _, inputs, __: seen.append(tuple(inputs[0].shape)))
    network(network.blank())
    asked = {(n, c, h, w) for _, (n, h, w, c) in shapes.values()}
    assert set(seen) <= asked
    assert {out for out, _ in shapes.values()} >= {seen[1], seen[-1], (1, CLASSES)}


def test_a_table_is_another_if_any_number_is() -> None:
    table = LatencyTable({"a": 1.0, "b": 2.0}, 0.1, 0.2, 1.5)
    assert table.fingerprint == LatencyTable({"b": 2.0, "a": 1.0}, 0.1, 0.2, 1.5).fingerprint
    others = [
        LatencyTable({"a": 1.0, "b": 2.5}, 0.1, 0.2, 1.5),
        LatencyTable({"a": 1.0, "b": 2.0}, 0.0, 0.2, 1.5),
        LatencyTable({"a": 1.0, "b": 2.0}, 0.1, 0.0, 1.5),
        LatencyTable({"a": 1.0, "b": 2.0}, 0.1, 0.2, 1.0),
    ]
    assert len({table.fingerprint, *(other.fingerprint for other in others)}) == 5
