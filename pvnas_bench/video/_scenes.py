"""Synthetic scenes whose classes differ only in the order of frames: numpy only, a pure function of a few integers.

Classes come in pairs. A scene is rendered for the first class of a pair; reversing its frames gives the second class.
Both have the same set of frames, so a network blind to order cannot separate them and is right on at most half of a
pair. Everything that a single frame could reveal (position, size, orientation, background, clutter, noise) has the same
distribution in both.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SIZE = 64
"""Side length of a frame in pixels."""
FRAMES = (14, 20)
"""Minimum and maximum number of frames of a clip."""

STRENGTH, NOISE = (0.3, 1.0), (0.01, 0.3)
"""Ranges of a graded clip's strength of motion, a factor of its subject's speed, and of its pixel noise."""

Column = NDArray[np.float32]
"""One value per frame, (T,)."""
_Image = NDArray[np.float32]
"""Frames (T, H, W, 3), values 0 to 1."""
_Plane = NDArray[np.float32]
"""One value per pixel, (T, H, W), or (H, W) for all frames."""


@dataclass(frozen=True)
class Subject:
    """Appearance shared by all clips of a subject: nuisance factors that a network must learn to ignore."""

    corners: int
    """Corners of the object's outline; 0 is an ellipse."""
    texture: int
    """Index in `_TEXTURES`."""
    colours: NDArray[np.float32]
    """Colours of the object, (2, 3)."""
    background: int
    """Index in `_BACKGROUNDS`."""
    ground: NDArray[np.float32]
    """Colours of the background, (2, 3)."""
    radius: float
    """Radius of the object in pixels."""
    speed: float
    """Factor of every motion."""
    clutter: int
    """Number of small discs that move along random straight lines."""
    contrast: float
    noise: float
    """Standard deviation of pixel noise, in units of black (0) to white (1)."""


@dataclass(frozen=True)
class Motion:
    """State of the object in each frame, and the offset of a second object, if any.

    Attributes:
        x, y: its place in pixels.
        scale, light: factors of its radius and of its colours.
        angle: radians.
    """

    x: Column
    y: Column
    scale: Column
    angle: Column
    light: Column
    double: tuple[Column, Column] | None = None


def subject(seed: int, number: int) -> Subject:
    """Draw the nuisance factors of subject `number`."""
    rng = np.random.default_rng([seed, 0, number])
    colours = rng.uniform(0.0, 1.0, (2, 3))
    ground = rng.uniform(0.1, 0.9, (2, 3))
    colours[0] = np.where(ground.mean(axis=0) > 0.5, 0.5 * colours[0], 0.5 + 0.5 * colours[0])
    return Subject(
        corners=int(rng.choice([0, 3, 4, 5])),
        texture=int(rng.integers(len(_TEXTURES))),
        colours=colours.astype(np.float32),
        background=int(rng.integers(len(_BACKGROUNDS))),
        ground=ground.astype(np.float32),
        radius=float(rng.uniform(10.0, 13.0)),
        speed=float(rng.uniform(0.85, 1.2)),
        clutter=int(rng.integers(0, 3)),
        contrast=float(rng.uniform(0.75, 1.0)),
        noise=float(rng.uniform(0.01, 0.025)),
    )


def plain_subject(seed: int, number: int, strength: float, noise: float) -> Subject:
    """Draw the nuisance factors of subject `number` of graded clips: a large, bright object on a dark, even ground.

    With the clutter, the patterns and the contrast of either sign of `subject`, a short training stays at chance for
    some epochs, and how many is luck.

    Args:
        strength: factor of the subject's speed.
        noise: standard deviation of pixel noise.
    """
    rng = np.random.default_rng([seed, 3, number])
    colours = np.stack([rng.uniform(0.75, 1.0, 3), rng.uniform(0.5, 1.0, 3)])
    ground = rng.uniform(0.1, 0.45, (2, 3))
    return Subject(
        corners=int(rng.choice([0, 3, 4, 5])),
        texture=int(rng.integers(len(_TEXTURES))),
        colours=colours.astype(np.float32),
        background=int(rng.integers(len(_EVEN_BACKGROUNDS))),
        ground=ground.astype(np.float32),
        radius=float(rng.uniform(12.0, 15.0)),
        speed=float(rng.uniform(0.85, 1.2)) * strength,
        clutter=0,
        contrast=1.0,
        noise=noise,
    )


def render(seed: int, pair: int, number: int) -> NDArray[np.uint8]:
    """Render a clip of a pair's first class; its reversal is the clip of the second class.

    Args:
        pair: index in `PAIRS`.
        number: number of the subject; each subject has one clip of every class.

    Returns:
        (T, SIZE, SIZE, 3), T in `FRAMES`.
    """
    return _render(subject(seed, number), pair, np.random.default_rng([seed, 1, pair, number]))


def render_graded(seed: int, pair: int, number: int) -> NDArray[np.uint8]:
    """Render a clip as `render`, of a `plain_subject`, with a strength of the motion and a noise of its own.

    Their logarithms are uniform: some clips are learnt in the first epochs, some hardly ever, so that accuracy rises
    with what a network can do, not by whole classes.
    """
    rng = np.random.default_rng([seed, 4, pair, number])
    strength, noise = (math.exp(rng.uniform(math.log(low), math.log(high))) for low, high in (STRENGTH, NOISE))
    return _render(plain_subject(seed, number, strength, noise), pair, rng)


def _render(who: Subject, pair: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    length = int(rng.integers(FRAMES[0], FRAMES[1] + 1))
    phase = np.linspace(0.0, 1.0, length, dtype=np.float32)
    return draw(who, PAIRS[pair][2](phase, who.speed, rng), phase, rng)


def draw(who: Subject, motion: Motion, phase: Column, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a clip of an object that moves before a background that does not.

    Args:
        phase: time of each frame, from 0 to 1.
    """
    image = np.broadcast_to(_background(who, rng), (len(phase), SIZE, SIZE, 3)).copy()
    _add_clutter(image, who, phase, rng)
    offsets = [(0.0, 0.0)] if motion.double is None else [motion.double, tuple(-d for d in motion.double)]
    for dx, dy in offsets:
        _add_object(image, who, motion, motion.x + dx, motion.y + dy)
    image -= 0.5
    image *= who.contrast
    image += 0.5
    image += who.noise * rng.standard_normal(image.shape, dtype=np.float32)
    image *= 255
    return np.asarray(np.rint(image.clip(0, 255, out=image), out=image), dtype=np.uint8)


# --- motions of the first class of each pair; the second class plays them backwards ---


def _still(phase: Column, rng: np.random.Generator, drift: float = 5.0) -> tuple[Column, Column, Column]:
    """Position (x, y) and angle of an object that drifts slowly from a random place."""
    heading, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0, drift)
    x, y = rng.uniform(22, SIZE - 22), rng.uniform(22, SIZE - 22)
    along = (phase - 0.5) * reach
    turn = rng.uniform(0, 2 * math.pi) + (phase - 0.5) * rng.uniform(-0.5, 0.5)
    return x + along * math.cos(heading), y + along * math.sin(heading), turn


def _plain(phase: Column) -> Column:
    return np.ones_like(phase)


def _leftward(phase: Column, speed: float, rng: np.random.Generator) -> Motion:
    x, y, angle = _still(phase, rng)
    return Motion(x - (phase - 0.5) * rng.uniform(24, 36) * speed, y, _plain(phase), angle, _plain(phase))


def _upward(phase: Column, speed: float, rng: np.random.Generator) -> Motion:
    x, y, angle = _still(phase, rng)
    return Motion(x, y - (phase - 0.5) * rng.uniform(24, 36) * speed, _plain(phase), angle, _plain(phase))


def _clockwise(phase: Column, speed: float, rng: np.random.Generator) -> Motion:
    x, y, angle = _still(phase, rng)
    return Motion(x, y, 1.4 * _plain(phase), angle + phase * rng.uniform(2.0, 3.5) * speed, _plain(phase))


def _approach(phase: Column, speed: float, rng: np.random.Generator) -> Motion:
    x, y, angle = _still(phase, rng)
    growth = rng.uniform(0.9, 1.4) * speed
    return Motion(x, y, np.exp((phase - 0.5) * growth), angle, _plain(phase))


def _left_turn(phase: Column, speed: float, rng: np.random.Generator) -> Motion:
    """An arc that turns left; played backwards, it turns right."""
    x, y, angle = _still(phase, rng, drift=0.0)
    heading = rng.uniform(0, 2 * math.pi) - (phase - 0.5) * rng.uniform(2.4, 3.6)
    step = rng.uniform(46, 60) * speed / len(phase)
    along, across = np.cumsum(step * np.cos(heading)), np.cumsum(step * np.sin(heading))
    return Motion(x + along - along.mean(), y + across - across.mean(), _plain(phase), angle, _plain(phase))


def _flash_then_move(phase: Column, speed: float, rng: np.random.Generator) -> Motion:
    x, y, angle = _still(phase, rng, drift=0.0)
    heading, reach = rng.uniform(0, 2 * math.pi), rng.uniform(20, 30) * speed
    moved = np.clip((phase - 0.5) / 0.5, 0.0, 1.0) - 0.5
    flash = np.exp(-(((phase - rng.uniform(0.2, 0.3)) / 0.1) ** 2))
    light = 1.0 + rng.uniform(0.5, 1.0) * flash
    return Motion(
        x + moved * reach * math.cos(heading), y + moved * reach * math.sin(heading), _plain(phase), angle, light
    )


def _split(phase: Column, speed: float, rng: np.random.Generator) -> Motion:
    x, y, angle = _still(phase, rng)
    heading, reach = rng.uniform(0, 2 * math.pi), rng.uniform(12, 18) * speed
    apart = phase * reach
    double = apart * math.cos(heading), apart * math.sin(heading)
    return Motion(x, y, 0.8 * _plain(phase), angle, _plain(phase), double)


def _speed_up(phase: Column, speed: float, rng: np.random.Generator) -> Motion:
    x, y, angle = _still(phase, rng, drift=0.0)
    heading, reach = rng.uniform(0, 2 * math.pi), rng.uniform(26, 38) * speed
    moved = (phase ** rng.uniform(2.6, 3.6) - 0.5) * reach
    return Motion(x + moved * math.cos(heading), y + moved * math.sin(heading), _plain(phase), angle, _plain(phase))


PAIRS: tuple[tuple[str, str, Callable[[Column, float, np.random.Generator], Motion]], ...] = (
    ("move_left", "move_right", _leftward),
    ("move_up", "move_down", _upward),
    ("rotate_clockwise", "rotate_counterclockwise", _clockwise),
    ("approach", "recede", _approach),
    ("turn_left", "turn_right", _left_turn),
    ("flash_then_move", "move_then_flash", _flash_then_move),
    ("split", "merge", _split),
    ("speed_up", "slow_down", _speed_up),
)
CLASSES = tuple(name for first, second, _ in PAIRS for name in (first, second))
"""Class names: 2p is the first class of pair p, 2p + 1 the second."""


# --- painting ---

_ROWS, _COLUMNS = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)


def _background(who: Subject, rng: np.random.Generator) -> _Image:
    """Draw the background of a clip, (SIZE, SIZE, 3)."""
    weight = _BACKGROUNDS[who.background](rng)[..., None]
    return np.asarray(weight * who.ground[0] + (1 - weight) * who.ground[1], dtype=np.float32)


def _gradient(rng: np.random.Generator) -> _Plane:
    heading = rng.uniform(0, 2 * math.pi)
    slope = (_COLUMNS - SIZE / 2) * math.cos(heading) + (_ROWS - SIZE / 2) * math.sin(heading)
    return np.asarray(0.5 + slope / (2 * SIZE))


def _stripes(rng: np.random.Generator) -> _Plane:
    heading, wave, shift = rng.uniform(0, math.pi), rng.uniform(10, 24), rng.uniform(0, 2 * math.pi)
    along = _COLUMNS * math.cos(heading) + _ROWS * math.sin(heading)
    return np.asarray(0.5 + 0.25 * np.sin(2 * math.pi * along / wave + shift))


def _blotches(rng: np.random.Generator) -> _Plane:
    coarse = rng.uniform(0.2, 0.8, (SIZE // 8, SIZE // 8))
    return np.asarray(np.kron(coarse, np.ones((8, 8))), dtype=np.float32)


def _flat(rng: np.random.Generator) -> _Plane:
    return np.full((SIZE, SIZE), rng.uniform(0.2, 0.8), dtype=np.float32)


_EVEN_BACKGROUNDS = (_flat, _gradient)
_BACKGROUNDS = (*_EVEN_BACKGROUNDS, _stripes, _blotches)


def _add_clutter(image: _Image, who: Subject, phase: Column, rng: np.random.Generator) -> None:
    """Paint small discs that move along straight lines; opposite directions are equally likely."""
    for _ in range(who.clutter):
        heading, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0, 24)
        radius, colour = rng.uniform(1.5, 3.5), rng.uniform(0.0, 1.0, 3).astype(np.float32)
        along = (phase - 0.5) * reach
        x, y = rng.uniform(0, SIZE) + along * math.cos(heading), rng.uniform(0, SIZE) + along * math.sin(heading)
        part, right, down = _window(image, x, y, radius + 1)
        _paint(part, np.clip(radius + 0.5 - np.hypot(right, down), 0.0, 1.0, dtype=np.float32), colour)


def _add_object(image: _Image, who: Subject, motion: Motion, x: Column, y: Column) -> None:
    radius = (who.radius * motion.scale)[:, None, None]
    part, right, down = _window(image, x, y, float(radius.max()) * _FARTHEST + 1)
    cosine, sine = np.cos(motion.angle)[:, None, None], np.sin(motion.angle)[:, None, None]
    u, v = (right * cosine + down * sine) / radius, (down * cosine - right * sine) / radius
    mask: _Plane = np.clip((1.0 - _outline(u, v, who.corners)) * radius + 0.5, 0.0, 1.0, dtype=np.float32)
    weight = np.clip(_TEXTURES[who.texture](u, v) * radius + 0.5, 0.0, 1.0)[..., None]
    colour = weight * who.colours[0] + (1 - weight) * who.colours[1]
    _paint(part, mask, colour * motion.light[:, None, None, None])


def _window(image: _Image, x: Column, y: Column, reach: float) -> tuple[_Image, _Plane, _Plane]:
    """Part of the image within reach of an object in any frame, and the offset of each pixel from the object."""
    left, right = (int(np.clip(edge, 0, SIZE)) for edge in (x.min() - reach, x.max() + reach + 1))
    top, bottom = (int(np.clip(edge, 0, SIZE)) for edge in (y.min() - reach, y.max() + reach + 1))
    columns, rows = np.arange(left, right, dtype=np.float32), np.arange(top, bottom, dtype=np.float32)
    part = image[:, top:bottom, left:right]
    return part, columns[None, None, :] - x[:, None, None], rows[None, :, None] - y[:, None, None]


_FARTHEST = 1.6
"""Largest distance of an outline from its centre, a triangle's corner, in units of the radius: 0.8 / cos(60°)."""


def _outline(u: _Plane, v: _Plane, corners: int) -> _Plane:
    """Level function of an outline, below 1 inside: an ellipse, or the largest distance along a polygon's normals."""
    if not corners:
        return np.asarray(np.hypot(u, 1.5 * v))
    largest = u
    for k in range(1, corners):
        angle = 2 * math.pi * k / corners
        largest = np.maximum(largest, u * math.cos(angle) + v * math.sin(angle))
    return largest / 0.8


def _halves(u: _Plane, v: _Plane) -> _Plane:
    return u + 0 * v


def _dot(u: _Plane, v: _Plane) -> _Plane:
    return np.asarray(0.45 - np.hypot(u - 0.4, v))


def _bar(u: _Plane, v: _Plane) -> _Plane:
    return np.asarray(0.25 - np.abs(u - 0.15))


def _quarter(u: _Plane, v: _Plane) -> _Plane:
    return np.minimum(u, v)


_TEXTURES = (_halves, _dot, _bar, _quarter)
"""Level functions, positive where the object has its first colour; none is symmetric under rotation."""


def _paint(image: _Image, mask: _Plane, colour: NDArray[np.float32]) -> None:
    image += mask[..., None] * (colour - image)
