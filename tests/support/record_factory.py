"""Records for tests of all their readers."""

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from pvnas_bench.records import NULL, NULL_PROTOCOL, Record

CLASSES = ("up", "down", "left", "right")
OPERATORS = ("spatial3", "spatial5", "full3", "factorised", "temporal5", "shift", "skip")


def content(
    entry: str = "alpha",
    seed: int = 0,
    top1: float = 0.5,
    *,
    status: str = "ok",
    role: str = "search",
    space: str = "a" * 64,
    data: str = "b" * 64,
    protocol: str = "c" * 64,
    data_name: str = "synthetic_motion",
    cap: str = "L",
    cap_macs: int = 20_000_000,
    budget: float = 4.0,
    macs: int = 12_000_000,
    retrainings: int = 1,
    steps: int = 8,
    null: bool = False,
    **replaced: Any,
) -> dict[str, Any]:
    """The JSON of one record; keyword arguments that are fields of a record replace the whole field.

    Args:
        null: the record of a null search, with the marks of its entry and its board.
    """
    if null:
        entry, protocol = f"{entry}{NULL}", f"{protocol}{NULL_PROTOCOL}"
    rng = random.Random(f"{entry}/{seed}/{data}")
    tested = {
        "test_top1": top1,
        "test_top5": 1.0 if math.isfinite(top1) else top1,
        "test_mean_class": top1,
        "test_loss": 1.25,
        "confusion": [[8 if i == j else 2 for j in range(len(CLASSES))] for i in range(len(CLASSES))],
        "curve": [{"epoch": e, "train_loss": 2 / (e + 1), "val_top1": e / 10} for e in range(3)],
    }
    network = [
        {
            "name": f"stage{stage}.block{block}",
            "operator": rng.choice(OPERATORS),
            "shape_in": [8, 64 >> stage, 64 >> stage, 16 << stage],
            "shape_out": [8, 64 >> stage, 64 >> stage, 16 << stage],
            "macs": macs // 12,
            "parameters": 12_000 << stage,
        }
        for stage in range(3)
        for block in range(3)
    ]
    stem = {"name": "stem", "operator": "stem", "shape_in": [8, 64, 64, 3], "shape_out": [8, 64, 64, 16]}
    head = {"name": "head", "operator": "head", "shape_in": [8, 16, 16, 64], "shape_out": [1, 1, 1, 4]}
    network = [{**stem, "macs": macs // 8, "parameters": 432}, *network, {**head, "macs": macs // 8, "parameters": 260}]
    best = 0.25
    trajectory = []
    for step in range(steps):
        best = max(best, min(1.0, 0.25 + rng.random() * 0.5))
        trajectory.append(
            {
                "step": step,
                "cost": budget * (step + 1) / steps,
                "wall": 3.5 * (step + 1),
                "incumbent": f"f8-r64-d222|{rng.randrange(10**6):06d}",
                "macs": macs,
                "metrics": {"val_top1": best, "alpha_entropy": 1.9 - 1.4 * step / steps},
            }
        )
    cost = {
        "reference_trainings": budget,
        "macs": 10**12,
        "wall_seconds": 28.0,
        "cpu_seconds": 30.5,
        "seconds": {"data": 1.0, "forward": 10.0, "backward": 15.0, "optimiser": 1.5, "harness": 0.5},
        "peak_memory_bytes": 600 * 2**20,
        "samples": 12_000,
        "architectures_evaluated": steps,
        "overshoot": 0.0,
    }
    made = {
        "schema_version": 1,
        "id": f"{entry}-{data[:4]}-{protocol[:4]}-{cap}-{seed}",
        "status": status,
        "error": None if status == "ok" else "RuntimeError: it broke",
        "strategy": {
            "name": entry.removesuffix(NULL).partition("[")[0],
            "entry": entry,
            "title": f"The {entry} strategy",
            "levels": ["structural", "modular"],
            "role": role,
            "config": {"learning_rate": 0.1, "cycles": 4},
        },
        "space": {
            "name": "st_default",
            "version": 1,
            "fingerprint": space,
            "cap": cap,
            "cap_macs": cap_macs,
            "reference_macs": 10_000_000,
        },
        "data": {
            "name": data_name,
            "fingerprint": data,
            "classes": list(CLASSES),
            "clips": {"train": 120, "test": 64},
            "skipped": [],
        },
        "protocol": {
            "name": "quick",
            "version": 1,
            "fingerprint": protocol,
            "budget": budget,
            "settings": {"epochs": 8, "views": 1},
        },
        "seed": seed,
        "device": "cpu",
        "search": cost,
        "trajectory": trajectory,
        "diagnostics": {
            "distinct_derived": 3,
            "mean_pairwise_hamming": 2.5,
            "rank_pairs": [[0.1 * i + 0.05 * rng.random(), 0.2 + 0.06 * i + 0.05 * rng.random()] for i in range(8)],
        },
        "outcome": None
        if status != "ok"
        else {
            "architecture": "f8-r64-d222|" + "-".join(row["operator"] for row in network[1:-1]),
            "macs": macs,
            "parameters": 140_000,
            "latency_ms": 4.5,
            "front": [],
            "network": network,
            "trained": [{**tested, "seed": number} for number in range(retrainings)],
            "cost": cost,
        },
        "speed": None,
        "provenance": {
            "created": (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=seed)).isoformat(),
            "command": ["pvnas-bench", "run", "--strategy", entry],
            "pvnas_bench": "0.1.0",
            "commit": "d" * 40,
            "python": "3.11.7",
            "libraries": {"torch": "2.13.0", "numpy": "2.4.6"},
            "hardware": {"cpu": "a processor", "cores": 2},
            "threads": 1,
            "deterministic": True,
        },
    }
    return made | ({"null": True} if null else {}) | replaced


def record(*args: Any, **options: Any) -> Record:
    """A record of `content`."""
    return Record.model_validate(content(*args, **options))
