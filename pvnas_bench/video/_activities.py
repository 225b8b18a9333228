"""Activities of a minute whose classes differ only in the order of their parts, far apart in time.

Someone stands in the middle of a room, walks to one of four places, works there for a while, and comes back; then to a
second place, and to a third. A class is three places in their order. Classes come in pairs: the same places in reversed
order. Every stay begins and ends in the middle, so that no stretch of a clip with one stay in it tells the order, only
stays that are twenty seconds apart. All durations and motions have the same distribution when time is reversed, so a
clip played backwards is a clip of the other class of its pair.
"""

import math

import numpy as np
from numpy.typing import NDArray

from pvnas_bench.video import _scenes

FRAMES = (300, 330)
"""Minimum and maximum number of frames of a clip: a minute at `RATE`."""
RATE = 5
"""Frames per second."""

PLACES = {"stove": (16.0, 16.0), "sink": (48.0, 16.0), "table": (48.0, 48.0), "door": (16.0, 48.0)}
"""Column and row of each place."""
PAIRS = tuple(
    ("_".join(places), "_".join(reversed(places)))
    for places in (
        ("stove", "sink", "table"),
        ("sink", "table", "door"),
        ("table", "door", "stove"),
        ("door", "stove", "sink"),
    )
)
CLASSES = tuple(name for pair in PAIRS for name in pair)

_WALK, _STAY, _WAIT = 8, 30, 15
"""Frames of every walk, and the least of a stay at a place and of a wait in the middle."""
_SMALL = 0.6
"""Radius of the person as a factor of a subject's."""


def render(seed: int, pair: int, number: int) -> NDArray[np.uint8]:
    """Render a clip of a pair's first class; its reversal is a clip of the second class.

    Args:
        pair: index in `PAIRS`.
        number: number of the subject; each subject has one clip of every class.

    Returns:
        (T, S, S, 3), T in `FRAMES`, S = `_scenes.SIZE`.
    """
    who = _scenes.subject(seed, number)
    rng = np.random.default_rng([seed, 2, pair, number])
    length = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    return _scenes.draw(who, _errand(PAIRS[pair][0].split("_"), length, rng), _time(length), rng)


def _time(length: int) -> _scenes.Column:
    return np.linspace(0.0, 1.0, length, dtype=np.float32)


def _errand(places: list[str], length: int, rng: np.random.Generator) -> _scenes.Motion:
    """Wait in the middle; for each place walk there, turn to and fro while working, walk back, and wait."""
    stays, waits = len(places), len(places) + 1
    spare = length - 2 * stays * _WALK - stays * _STAY - waits * _WAIT
    extra = rng.multinomial(spare, rng.dirichlet(np.full(stays + waits, 2.0)))
    at, when = [(32.0, 32.0)], [0.0]
    turns: list[tuple[float, float]] = []
    for number, place in enumerate(places):
        middle = at[-1]
        where = tuple(rng.normal(PLACES[place], 2.0))
        leaves = when[-1] + _WAIT + extra[stays + number]
        works = leaves + _WALK
        returns = works + _STAY + extra[number]
        turns.append((works, returns))
        at += [middle, where, where, middle]
        when += [leaves, works, returns, returns + _WALK]
    frame = np.arange(length, dtype=np.float32)
    x, y = (np.interp(frame, when, [point[axis] for point in at]) for axis in (0, 1))
    working = sum((frame >= start) & (frame < end) for start, end in turns)
    swing = np.sin(2 * math.pi * frame / rng.uniform(6, 12) + rng.uniform(0, 2 * math.pi)) * working
    sway = rng.normal(0.0, 0.4, (2, length))
    plain = np.ones(length, dtype=np.float32)
    angle = rng.uniform(0, 2 * math.pi) + swing
    column, row, turned = (np.asarray(value, dtype=np.float32) for value in (x + sway[0], y + sway[1], angle))
    return _scenes.Motion(column, row, _SMALL * plain, turned, plain)
