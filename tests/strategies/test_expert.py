"""The hand-designed networks: what is asked for is looked up, and what is not there is named with what is."""

import re
from pathlib import Path

import pytest
from driven import Driven
from tables import SPACE

from pvnas_bench import UsageError, registry


@pytest.mark.parametrize("network", registry.get_space("st_default").experts)
def test_the_network_is_the_spaces(tiny_dataset: Path, network: str) -> None:
    driven = Driven("expert", tiny_dataset, 1.0, network=network)
    assert driven.strategy.incumbent() == driven.problem.space.experts[network]
    driven.step()
    assert driven.finished and driven.problem.ledger.spent == 0


def test_a_network_that_is_not_there_is_named_with_those_that_are(tiny_dataset: Path) -> None:
    networks = ", ".join(registry.get_space("st_default").experts)
    with pytest.raises(UsageError, match=re.escape(f"network 'resnet': choose --set network= {networks}")):
        Driven("expert", tiny_dataset, 1.0, network="resnet")


@pytest.mark.parametrize("network", ["tsm", "r2plus1d", "résumé", "{}"])
@pytest.mark.parametrize("experts", [(), ("c2d",), ("c2d", "a b"), ("x,y", "動画", "r2plus1d")])
def test_a_space_names_the_hand_designed_networks_it_has(
    tiny_dataset: Path, tmp_path: Path, experts: tuple[str, ...], network: str
) -> None:
    space = tmp_path / "some.py"
    networks = ", ".join(f'{name!r}: options("s3")' for name in experts)
    text, count = re.subn(r"experts=\{.*\}", f"experts={{{networks}}}", SPACE.read_text())
    assert count == 1
    space.write_text(text, encoding="utf-8")
    if network in experts:
        assert str(Driven("expert", tiny_dataset, 1.0, space=str(space), network=network).strategy.incumbent())
        return
    with pytest.raises(UsageError) as error:
        Driven("expert", tiny_dataset, 1.0, space=str(space), network=network)
    assert str(error.value) == (
        f"tiny has no hand-designed network {network!r}: choose --set network= {', '.join(experts)}"
        if experts
        else "tiny has no hand-designed networks: choose another --space or --strategy"
    )
