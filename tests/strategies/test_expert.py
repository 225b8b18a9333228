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


def test_a_space_without_hand_designed_networks_says_so(tiny_dataset: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare.py"
    bare.write_text(re.sub(r"experts=\{.*\}", "experts={}", SPACE.read_text()))
    with pytest.raises(UsageError, match="tiny has no hand-designed networks: choose another --space or --strategy"):
        Driven("expert", tiny_dataset, 1.0, space=str(bare), network="tsm")
