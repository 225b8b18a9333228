"""What makes runs comparable: the protocol of a request, and the fingerprints of space and protocol in its record."""

from pvnas_bench.protocol import Protocol, get_protocol, recorded_protocol
from pvnas_bench.space import Caps, SearchSpace
from pvnas_bench.table.table import Table


def protocol_named(name: str | None, table: Table | None) -> Protocol:
    """The protocol of a name or file; None: that of the table, without one `quick`.

    Raises:
        UsageError: the name is unknown; the file is not a protocol's.
    """
    if name is None and table is not None:
        return recorded_protocol(table.about.protocol)
    return get_protocol(name or "quick")


def space_fingerprint(space: SearchSpace, caps: Caps, latencies: str | None = None) -> str:
    """Fingerprint of a space under its caps.

    Args:
        latencies: fingerprint of the latency table, if latency is capped.
    """
    return ":".join(filter(None, (space.fingerprint, caps.name, latencies)))


def protocol_fingerprint(protocol: Protocol, table: Table | None) -> str:
    """Fingerprint of a protocol, with that of the table in which trainings are looked up."""
    return protocol.fingerprint if table is None else f"{protocol.fingerprint}:{table.fingerprint}"
