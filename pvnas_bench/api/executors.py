"""The executor that the options of a command, or the arguments of a function, name."""

from pvnas_bench.errors import UsageError
from pvnas_bench.grid.executors import Executor, Name
from pvnas_bench.grid.processes import Processes
from pvnas_bench.system import machine


def executor_of(name: Name, workers: int | None, threads: int, device: str, address: str | None) -> Executor:
    """The executor of this name.

    Args:
        workers: parallel pieces of work; None: as many as fit.
        threads: of each piece of work.
        device: of each piece of work, as in a request.
        address: of a Ray cluster.

    Raises:
        UsageError: the executor is not installed, or an option does not apply to it.
    """
    if name == "ray":
        from pvnas_bench.grid.ray import Ray

        if device.startswith("cuda:"):
            raise UsageError("Ray chooses among the GPUs: give --device cuda")
        return Ray(workers, address, threads)
    if address is not None:
        raise UsageError("--ray-address applies to Ray only: add --executor ray")
    return Processes(workers or max(machine.usable_cores() // threads, 1))
