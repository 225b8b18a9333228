"""Resizing against torch."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pvnas_bench.video._resize import to_square, weights


def by_torch(frame: np.ndarray, size: int) -> np.ndarray:
    planes = torch.from_numpy(frame).permute(2, 0, 1)[None].float()
    square = F.interpolate(planes, (size, size), mode="bilinear", antialias=True)
    return square[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("shape", [(96, 160), (48, 48), (33, 47), (200, 31), (20, 24)])
def test_squash_is_antialiased_bilinear(shape: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_allclose(to_square(frame, 40, "squash"), by_torch(frame, 40), atol=0.51)


@pytest.mark.parametrize(("shape", "part"), [((30, 51), np.s_[:, 10:40]), ((51, 30), np.s_[10:40])])
def test_crop_is_the_centre_square(shape: tuple[int, int], part: object) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_square(frame, 30, "crop"), frame[part])
    np.testing.assert_allclose(to_square(frame, 16, "crop"), by_torch(frame[part].copy(), 16), atol=0.51)


def test_a_frame_of_the_right_size_is_left_alone() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
    np.testing.assert_array_equal(to_square(frame, 24, "squash"), frame)


def test_halving_weighs_three_to_one() -> None:
    # The triangle of half-width 2 at distances 1/2 and 3/2: 3 : 1 on either side.
    np.testing.assert_allclose(weights(8, 4)[1], [0, 1 / 8, 3 / 8, 3 / 8, 1 / 8, 0, 0, 0], atol=1e-6)
