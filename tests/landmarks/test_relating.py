"""Relations found out: by sizes where these leave one answer, by voxels where they tell, and never by guessing."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from chunkvol import Geometry, Volume
from chunkvol.errors import CheckError, InputError
from chunkvol.geometry.relation import parse_relation
from chunkvol.landmarks.relating import find_relation, infer_relation, verify_relation
from chunkvol.regions import Region, Shape, region_shape, voxels
from chunkvol.sources import ArraySource, Block

Array = npt.NDArray[Any]


def scene(shape: Shape, seed: int = 0) -> Array:
    """Smooth structure and some noise, as of a scan."""
    ndimage = pytest.importorskip("scipy.ndimage")
    noise = np.random.default_rng(seed).normal(size=shape)
    smooth: Array = ndimage.gaussian_filter(noise, 2)
    found: Array = 1000 + 300 * smooth / smooth.std() + 15 * noise
    return found


def volume(array: Array) -> Volume:
    return Volume(np.ascontiguousarray(array), Geometry(array.shape))


def blocks(b: Array, k: int, j: int, i: int) -> Array:
    """Means of whole blocks."""
    b = b[: len(b) // k * k, : b.shape[1] // j * j, : b.shape[2] // i * i]
    return np.asarray(b.reshape(len(b) // k, k, b.shape[1] // j, j, b.shape[2] // i, i).mean((1, 3, 5)))


def exported(a: Array) -> Array:
    """8 bits between two percentiles, cut off beyond."""
    low, high = np.percentile(a, [2, 97])
    return np.asarray(np.clip((a - low) / (high - low) * 255, 0, 255).round(), "u1")


def zoomed(b: Array, ratio: float, **how: Any) -> Array:
    return np.asarray(pytest.importorskip("scipy.ndimage").zoom(b, ratio, order=1, **how))


def smoothed(b: Array) -> Array:
    return np.asarray(pytest.importorskip("scipy.ndimage").gaussian_filter(b, 1.5))


ODD, EVEN = (41, 90, 101), (40, 88, 100)
CASES: dict[str, tuple[Shape, Any, str]] = {
    "every 2nd voxel": (EVEN, lambda b: b[::2, ::2, ::2], "stride:2,2,2"),
    "every 2nd voxel of odd sizes": (ODD, lambda b: b[::2, ::2, ::2], "stride:2,2,2"),
    "every 3rd voxel, 8 bit": (ODD, lambda b: exported(b[::3, ::3, ::3]), "stride:3,3,3"),
    "other factors from the second voxel": (EVEN, lambda b: b[1::2, :, 1::2], "stride:2,1,2@1,0,1"),
    "every 4th voxel of a smoothed one": (EVEN, lambda b: smoothed(b)[::4, ::4, ::4], "stride:4,4,4"),
    "means": (EVEN, lambda b: blocks(b, 2, 2, 2), "mean:2,2,2"),
    "means of odd sizes, 8 bit": (ODD, lambda b: exported(blocks(b, 4, 4, 4)), "mean:4,4,4"),
    "halved slices, every other one": (ODD, lambda b: exported(blocks(b[::2], 1, 2, 2)), "stride:1,1,2+mean:2,2,1"),
    "means, mirrored": (EVEN, lambda b: blocks(b, 2, 2, 2)[::-1, :, ::-1], "mean:2,2,2+flip:xz"),
    "mirrored, then means of odd sizes": (ODD, lambda b: blocks(b[:, :, ::-1], 2, 2, 2), "flip:x+mean:2,2,2"),
    "mirrored, then means along odd axes": (ODD, lambda b: blocks(b[::-1, :, ::-1], 4, 1, 2), "flip:xz+mean:2,1,4"),
    "mirrored alone": (EVEN, lambda b: b[:, ::-1], "flip:y"),
    "turned": (EVEN, lambda b: b[::2, ::2, ::2].transpose(2, 0, 1), "stride:2,2,2+axes:yzx"),
    "resized": (ODD, lambda b: zoomed(b, 0.37, grid_mode=True, mode="nearest"), "resize"),
    "zoomed by scipy": (ODD, lambda b: zoomed(b, 0.37), "zoom"),
    "the same": (ODD, lambda b: -3.0 * b.astype("f4"), "same"),
}
"""B's shape, how A is made of it, and what is to be found."""


# ------------------------------------------------------------------------------------------------------------ voxels


@pytest.mark.parametrize("name", CASES)
def test_voxels_tell_how_a_volume_was_made(name: str) -> None:
    shape, make, wanted = CASES[name]
    b = scene(shape)
    a = make(b)
    if name == "the same":
        a = -a  # a negative would be another picture
    found = find_relation(volume(a), volume(b))
    where = [parse_relation(text).mapping(a.shape, shape) for text in (found.relation.text, wanted)]
    assert np.allclose(where[0].matrix, where[1].matrix) and np.allclose(where[0].offset, where[1].offset)
    assert found.score is not None and found.score > 0.99
    assert found.runner_up is not None and found.runner_up.score < found.score
    assert f"{found.score:.5f}" in str(found) and str(found.runner_up.relation) in str(found)
    assert found.to_json()["runner_up"]["score"] == found.runner_up.score


def test_noise_is_told_as_well_as_structure() -> None:
    b = np.random.default_rng(3).integers(0, 4000, (32, 48, 64)).astype("u2")
    for make, wanted in ((lambda b: b[::4, ::4, ::4], "stride:4,4,4"), (lambda b: blocks(b, 4, 4, 4), "mean:4,4,4")):
        assert find_relation(volume(make(b)), volume(b)).relation.text == wanted


class _Counting(ArraySource):
    """An array that counts the voxels that are read of it."""

    def __init__(self, array: Array) -> None:
        super().__init__(array)
        object.__setattr__(self, "count", 0)

    def read(self, region: Region, out: Block | None = None) -> Block:
        object.__setattr__(self, "count", self.count + voxels(region_shape(region)))  # type: ignore[attr-defined]  # set above
        return super().read(region, out)


def test_only_small_parts_of_b_are_read() -> None:
    b = np.random.default_rng(1).integers(0, 255, (320, 384, 448)).astype("u1")
    source = _Counting(b)
    find_relation(volume(b[::2, ::2, ::2]), Volume(source, Geometry(b.shape)))
    assert source.count < 0.1 * b.size  # type: ignore[attr-defined]  # set by itself


def test_what_is_no_part_of_it_is_refused() -> None:
    b = scene(EVEN)
    with pytest.raises(InputError, match=r"nothing tried explains how 100 x 88 x 40 .* became 50 x 44 x 20"):
        find_relation(volume(scene((20, 44, 50), seed=9)), volume(b))
    with pytest.raises(InputError, match="if it was cropped say where"):
        find_relation(volume(b[3:30, 5:60, 2:90]), volume(b))


def test_what_voxels_cannot_tell_is_refused() -> None:
    i = np.arange(64.0)
    ramp = np.broadcast_to(i, (16, 32, 64))  # all methods make the same picture of a ramp
    with pytest.raises(InputError, match="explain the voxels about equally well, and put points up to"):
        find_relation(volume(ramp[::2, ::2, ::2]), volume(ramp))
    with pytest.raises(InputError, match="all equal where they were read: nothing to compare"):
        find_relation(volume(np.ones((4, 5, 6))), volume(ramp))


def test_what_fits_best_of_what_was_tried_is_refused_where_it_puts_voxels_elsewhere() -> None:
    b = scene(ODD)
    a = blocks(b[3:, 4:-2, 1:], 2, 2, 2)
    with pytest.raises(InputError, match=r"explains the voxels best .*, but along y they lie about 0.5. voxels else"):
        find_relation(volume(a), volume(b[3:, 5:-1, 1:]))  # of which a was not made: it begins one row earlier


def test_a_relation_that_was_said_is_verified() -> None:
    b = scene(ODD)
    part = b[3:, 4:-2, 1:]
    a = volume(blocks(part, 2, 2, 2))
    good = parse_relation("crop:1:,4:-2,3:+mean:2")
    found = verify_relation(a, volume(b), good)
    assert found.relation == good and found.score is not None and found.score > 0.999
    for wrong in ("crop:1:,4:-2,3:+stride:2", "crop:1:,5:-1,3:+mean:2"):
        with pytest.raises(
            (CheckError, InputError), match=r"was said, but voxels|nothing tried explains|best .*, but along y"
        ):
            verify_relation(a, volume(b), parse_relation(wrong))


# ------------------------------------------------------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("made", "source", "wanted"),
    [
        ((9, 8, 7), (9, 8, 7), "same"),
        ((5, 11, 51), (9, 21, 101), "stride:2,2,2"),
        ((4, 10, 50), (9, 21, 101), "mean:2,2,2"),
        ((9, 11, 51), (9, 21, 101), "stride:2,2,1"),
        ((70, 56, 63), (100, 80, 90), "resize"),
        ((200, 160, 180), (100, 80, 90), "resize"),
    ],
)
def test_sizes_tell_where_they_leave_one_answer(made: Shape, source: Shape, wanted: str) -> None:
    found = infer_relation(made, source)
    assert found.relation.text == wanted and found.score is None
    assert str(found).startswith(f"A was made from B by {wanted}: ")


@pytest.mark.parametrize(
    ("made", "source", "names"),
    [
        ((20, 44, 50), (40, 88, 100), "stride:2,2,2 or mean:2,2,2"),
        ((20, 45, 51), (40, 90, 101), "stride:2,2,2 or stride:2,1,2+mean:1,2,1"),
        ((20, 88, 100), (40, 88, 100), "stride:1,1,2 or mean:1,1,2"),
        ((50, 20, 44), (40, 88, 100), "stride:2,2,2+axes:yzx"),
        ((30, 70, 90), (40, 88, 100), "resize, or by cropping"),
        ((33, 33, 33), (100, 66, 40), "or by cropping"),
    ],
)
def test_sizes_that_leave_several_are_refused_with_their_names(made: Shape, source: Shape, names: str) -> None:
    with pytest.raises(InputError, match=re.escape(names)) as refused:
        infer_relation(made, source)
    assert "--verify-pixels" in str(refused.value) and "--relation" in str(refused.value)


def test_the_half_voxel_between_stride_and_mean_is_said() -> None:
    with pytest.raises(InputError, match=r"puts points up to 1\.5 voxels apart"):
        infer_relation((25, 25, 25), (100, 100, 100))


def test_what_sizes_tell_comes_with_what_they_cannot_tell() -> None:
    halved = str(infer_relation((42, 48, 48), (85, 97, 97)))
    assert "had it been resized, as Fiji and PIL do, points would lie up to 0.99 voxels elsewhere" in halved
    assert "--verify-pixels" in halved
    assert "mirrored" in str(infer_relation((4, 5, 6), (4, 5, 6)))
    assert "0.99" not in str(infer_relation((70, 56, 63), (100, 80, 90)))
