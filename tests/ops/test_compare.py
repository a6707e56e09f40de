"""Volumes told apart: the same voxels in any storage are the same, all else is counted, measured and placed."""

from __future__ import annotations

import itertools
import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chunkvol
from chunkvol import Geometry, Metadata, Rescale, Volume
from chunkvol.errors import BudgetError, DiskError, InputError
from chunkvol.ops import pairs, turned
from chunkvol.ops.compare import compare
from chunkvol.ops.pairs import block_for, read_pairs, readable
from chunkvol.ops.reorient import reordered
from chunkvol.progress import Silent
from chunkvol.regions import Region, region_shape, voxels
from chunkvol.segments import KEY, Segment, Segmentation
from chunkvol.sources import ArraySource, Block, Source
from tests.support.grids import GRIDS, grids, noise_volume, oblique_grid, ramp_volume
from tests.support.series import oblique, write_series

SHAPE = (9, 10, 11)
ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product([False, True], repeat=3)))
SYNTAX = "1.2.840.10008.1.2.5"
"""RLE: planes that are decoded whole."""


def changed(volume: Volume, index: tuple[int, int, int], by: Any) -> Volume:
    """The volume with another value at one voxel."""
    array = volume.read()
    array[index] += by
    return replace(volume, data=array)


def ct(shape: Any = SHAPE, grid: Geometry | None = None) -> Volume:
    """Stored integers with an intercept, as CT has them."""
    array = np.random.default_rng(5).integers(0, 4096, shape).astype("u2")
    return Volume(array, grid or oblique(shape), Metadata(Rescale(1, -1024, "HU"), modality="CT"))


def plain(a: Any, b: Any) -> tuple[int, int, float, float]:
    """Differing, not finite, largest and mean, by numpy at once."""
    x, y = (np.asarray(one, "f8") for one in (a, b))
    with np.errstate(invalid="ignore"):
        apart = np.abs(x - y)
    apart[(x == y) | (np.isnan(x) & np.isnan(y))] = 0
    finite = apart[np.isfinite(apart)]
    largest, mean = (finite.max(), finite.mean()) if finite.size else (0, 0)
    return int(np.count_nonzero(finite)), int(apart.size - finite.size), float(largest), float(mean)


# ---------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_every_storage_order_is_the_same(order: Any) -> None:
    volume = ramp_volume(oblique_grid(SHAPE))
    found = compare(volume, reordered(volume, *order))
    identity = order == ((0, 1, 2), (False, False, False))
    assert found.same
    assert found.verdict == ("identical storage" if identity else "same space, different storage")
    assert found.values is not None
    assert (found.values.voxels, found.values.differing, found.values.largest) == (voxels(SHAPE), 0, 0)


@pytest.mark.parametrize("make", GRIDS.values(), ids=GRIDS)
def test_cubes_with_equal_sides_are_told_by_where_voxels_are(make: Any) -> None:
    cube = noise_volume(replace(make((6, 6, 6)), spacing=(0.5, 0.5, 0.5)))
    for order in ORDERS[::5]:
        assert compare(cube, reordered(cube, *order)).same
        if order != ORDERS[0]:
            moved = Volume(reordered(cube, *order).read(), cube.geometry)
            assert compare(cube, moved).verdict == "same space, different values"


@settings(max_examples=50)
@given(
    grid=grids(),
    order=st.sampled_from(ORDERS),
    types=st.tuples(*[st.sampled_from(["uint8", "int16", "uint16", "int32", "float32", "float64"])] * 2),
    share=st.floats(0, 1),
    seed=st.integers(0, 99),
)
def test_values_are_compared_as_numpy_compares_them(
    grid: Geometry, order: Any, types: tuple[str, str], share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    mine = rng.integers(0, 127, grid.shape).astype(types[0])
    theirs = np.where(rng.random(grid.shape) < share, rng.integers(0, 127, grid.shape), mine).astype(types[1])
    found = compare(Volume(mine, grid), reordered(Volume(theirs, grid), *order)).values
    assert found is not None
    differing, nonfinite, largest, mean = plain(mine, theirs)
    assert (found.differing, found.nonfinite, found.largest) == (differing, nonfinite, largest)
    assert found.mean == pytest.approx(mean, rel=1e-11)
    if differing:
        apart = np.abs(mine.astype("f8") - theirs)
        assert found.index == tuple(np.unravel_index(apart.argmax(), grid.shape))  # the first in C order
        assert found.point == tuple(grid.index_to_world(found.index))
        assert found.values == (mine[found.index], theirs[found.index])
    else:
        assert found.index is found.point is found.values is None


@pytest.mark.parametrize("size", [1, 100, 3000])
@pytest.mark.parametrize("order", [ORDERS[0], ORDERS[13], ORDERS[38]], ids=str)
def test_figures_never_depend_on_the_blocks(monkeypatch: Any, size: int, order: Any) -> None:
    a, b = noise_volume(oblique_grid(SHAPE), "float32", 1), noise_volume(oblique_grid(SHAPE), "float32", 2)
    whole = compare(a, reordered(b, *order))
    monkeypatch.setattr(pairs, "_BLOCK", size)
    assert compare(a, reordered(b, *order)) == whole


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.nrrd", "a.mha", "a.ome.zarr", "dicom", "a.seg.nrrd"])
def test_what_is_written_is_the_same_in_every_format(tmp_path: Path, name: str) -> None:
    grid = oblique((7, 12, 15))
    volume = noise_volume(grid, "uint8") if ".seg" in name else ct((7, 12, 15), grid)
    options = {"encoding": "gzip"} if name.endswith((".nrrd", ".mha")) else {}
    chunkvol.write_volume(volume, tmp_path / name, **options)
    opened = chunkvol.open_volume(tmp_path / name)
    for found in (compare(volume, opened), compare(opened, volume)):
        assert found.same, str(found)
        assert found.values is not None and found.values.largest == 0
    turned = reordered(volume, (2, 0, 1), (True, False, True))
    assert compare(turned, opened).verdict == compare(opened, turned).verdict == "same space, different storage"
    moved = changed(volume, (3, 4, 5), 1)
    assert compare(opened, moved).verdict == "same space, different values"


def test_all_pairs_of_formats_are_the_same(tmp_path: Path) -> None:
    volume = ct()
    names = ["a.nii.gz", "a.nrrd", "a.ome.zarr", "dicom"]
    for n, name in enumerate(names):
        chunkvol.write_volume(reordered(volume, *ORDERS[11 * n]), tmp_path / name)
    opened = [chunkvol.open_volume(tmp_path / name) for name in names]
    for a, b in itertools.permutations(opened, 2):
        assert compare(a, b).same, str(compare(a, b))


# ------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("flips", list(itertools.product([False, True], repeat=3)), ids=str)
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 0, 2)], ids=str)
def test_what_itk_flips_and_permutes_is_the_same(tmp_path: Path, axes: Any, flips: Any) -> None:
    sitk = pytest.importorskip("SimpleITK")
    chunkvol.write_volume(noise_volume(oblique_grid(SHAPE)), tmp_path / "a.nrrd")
    image = sitk.Flip(sitk.PermuteAxes(sitk.ReadImage(tmp_path / "a.nrrd"), axes), flips)
    sitk.WriteImage(image, tmp_path / "b.nrrd")
    found = compare(chunkvol.open_volume(tmp_path / "a.nrrd"), chunkvol.open_volume(tmp_path / "b.nrrd"))
    identity = axes == (0, 1, 2) and not any(flips)
    assert found.verdict == ("identical storage" if identity else "same space, different storage")
    assert found.grid.worst_voxels < 1e-9
    if not identity:
        wrong = sitk.GetImageFromArray(sitk.GetArrayFromImage(image))  # turned as an array, its place forgotten
        sitk.WriteImage(wrong, tmp_path / "b.nrrd")
        assert not compare(chunkvol.open_volume(tmp_path / "a.nrrd"), chunkvol.open_volume(tmp_path / "b.nrrd")).same


@pytest.mark.parametrize("code", ["RAS", "LPI", "SAL", "PIR"])
def test_what_itk_orients_is_the_same(tmp_path: Path, code: str) -> None:
    sitk = pytest.importorskip("SimpleITK")
    chunkvol.write_volume(noise_volume(oblique_grid(SHAPE)), tmp_path / "a.mha")
    sitk.WriteImage(sitk.DICOMOrient(sitk.ReadImage(tmp_path / "a.mha"), code), tmp_path / "b.nii.gz")
    assert compare(chunkvol.open_volume(tmp_path / "a.mha"), chunkvol.open_volume(tmp_path / "b.nii.gz")).same


def test_real_files_in_eight_orientations_are_the_same(visible: Path) -> None:
    paths = sorted((visible / "nifti_orient_8").glob("*.nii.gz"))
    volumes = [chunkvol.open_volume(path) for path in paths]
    assert len(volumes) == 8
    for volume in volumes[1:]:
        assert compare(volumes[0], volume).verdict == "same space, different storage"


# ------------------------------------------------------------------------------------------------------- values


def test_nan_is_nan_and_nothing_else() -> None:
    grid = oblique_grid(SHAPE)
    mine = np.zeros(SHAPE, "f4")
    mine[0, 0, :6] = [np.nan, np.nan, np.inf, np.inf, -np.inf, 5]
    theirs = np.zeros(SHAPE, "f8")
    theirs[0, 0, :6] = [np.nan, 1, np.inf, 7, np.inf, 3]
    found = compare(Volume(mine, grid), Volume(theirs, grid), value_tolerance=100)
    assert found.values is not None and not found.same
    assert (found.values.nonfinite, found.values.differing, found.values.largest) == (3, 1, 2)
    assert found.values.mean == pytest.approx(2 / (voxels(SHAPE) - 3))
    assert "3 of 990 are NaN or infinite in one" in str(found)
    assert compare(Volume(mine, grid), Volume(mine.astype("f8"), grid)).same
    json.dumps(found.to_json(), allow_nan=False)


def test_numbers_at_the_ends_of_double_precision_are_no_trouble() -> None:
    ends = np.array([1.7e308, 1e308, 5e-324, 0]).reshape(1, 1, 4)
    found = compare(Volume(ends, Geometry((1, 1, 4))), Volume(-ends, Geometry((1, 1, 4)))).values
    assert found is not None
    assert (found.nonfinite, found.differing, found.largest) == (2, 1, 1e-323)


def test_wide_integers_are_compared_exactly() -> None:
    grid = Geometry((1, 1, 4))
    mine = np.array([2**62, 2**62, 2**63, 0], "u8").reshape(1, 1, 4)
    theirs = np.array([2**62 + 1, 2**62, 2**63, 3], "u8").reshape(1, 1, 4)
    found = compare(Volume(mine, grid), Volume(theirs, grid)).values
    assert found is not None and (found.differing, found.largest) == (2, 3)
    signed = np.array([2**62 + 1, 2**62, -1, -(2**63)], "i8").reshape(1, 1, 4)
    found = compare(Volume(mine, grid), Volume(signed, grid)).values
    assert found is not None and found.differing == 3
    assert found.largest == 2.0**63
    assert found.index == (0, 0, 2)


def test_real_values_count_and_not_stored_ones() -> None:
    volume = ct()
    real = Volume(volume.values.read(), volume.geometry)
    found = compare(volume, real)
    assert found.verdict == "same space, different storage"
    assert found.types == ("uint16 * 1 - 1024", "int32")
    assert "uint16 * 1 - 1024 in A, int32 in B" in str(found)
    other = replace(volume, metadata=Metadata(Rescale(1, -1000)))
    found = compare(volume, other)
    assert found.verdict == "same space, different values"
    assert found.values is not None and (found.values.largest, found.values.mean) == (24, 24)
    assert found.values.differing == voxels(SHAPE)


def test_slopes_are_applied_in_double_precision() -> None:
    volume = replace(ct(), metadata=Metadata(Rescale(0.1, -3.7)))
    double = Volume(volume.read() * 0.1 - 3.7, volume.geometry)
    assert compare(volume, double).verdict == "same space, different storage"
    single = Volume(double.read().astype("f4"), volume.geometry)
    assert compare(volume, single).verdict == "same space, different values"
    found = compare(volume, single, value_tolerance=1e-4)
    assert found.same and found.verdict == "same space, values within tolerance"
    assert found.values is not None and 0 < found.values.largest < 1e-4


def test_the_tolerance_of_values_is_the_largest_that_is_none() -> None:
    volume = ct()
    other = changed(volume, (4, 5, 6), 3)
    assert compare(volume, other, value_tolerance=3).same
    assert not compare(volume, other, value_tolerance=2.999).same


# ------------------------------------------------------------------------------------------------------- spaces


def test_values_are_compared_in_another_space_too() -> None:
    volume = ct()
    moved = replace(volume, geometry=replace(volume.geometry, origin=(0, 0, 0)))
    found = compare(volume, reordered(moved, (1, 0, 2), (False, True, True)))
    assert found.verdict == "different space" and not found.same
    assert found.values is not None and found.values.differing == 0
    assert "all 990 are equal" in str(found) and "of B lies (31.25, -12.5, -100) mm" in str(found)


def test_other_shapes_are_said_and_their_values_left() -> None:
    volume = ct()
    found = compare(volume, volume[1:])
    assert found.verdict == "different space" and found.values is None
    assert "11 x 10 x 9 voxels (x, y, z) in A, 11 x 10 x 8 in B" in str(found)
    assert "corners   of the outer faces up to 2.5 mm apart, 5 voxels of A" in str(found)
    assert "values    not compared, since no storage order makes the sizes equal" in str(found)
    assert found.to_json()["values"] is None
    assert "88.8889% of A's field of view, 100.0000% of B's" in str(found)


def test_places_within_the_tolerance_are_the_same_and_said() -> None:
    volume = ct()
    x, y, z = volume.geometry.origin
    near = replace(volume, geometry=replace(volume.geometry, origin=(x, y, z + 0.5 * 0.9e-4)))
    found = compare(volume, near)
    assert found.verdict == "identical storage"
    assert "4.5e-05 mm apart, 9e-05 voxels of A: the same" in str(found)
    assert not compare(volume, near, tolerance=1e-5).same
    assert compare(volume, ct(), tolerance=0).same


def test_places_in_single_precision_are_explained(tmp_path: Path) -> None:
    """NIfTI keeps places as float32 (nifti1.h: srow_x and qoffset_x are floats)."""
    grid = replace(oblique_grid((3, 4, 2000), spacing=(0.01, 0.011, 0.012)), origin=(-113.7, 40.3, 90.1))
    volume = noise_volume(grid)
    chunkvol.write_volume(volume, tmp_path / "a.nii")
    assert compare(volume, chunkvol.open_volume(tmp_path / "a.nii")).same
    found = compare(volume, chunkvol.open_volume(tmp_path / "a.nii"), tolerance=1e-4)
    assert not found.same and 1e-4 < found.grid.worst_voxels < 1e-2
    assert "single precision" in " ".join(found.notes)
    assert compare(volume, chunkvol.open_volume(tmp_path / "a.nii"), tolerance=0.01).same


def test_left_handed_storage_and_mirror_images_differ() -> None:
    volume = noise_volume(oblique_grid(SHAPE, mirrored=True))
    assert compare(volume, reordered(volume, (0, 1, 2), (False, False, True))).same
    image = replace(volume, geometry=oblique_grid(SHAPE))
    found = compare(volume, image)
    assert found.verdict == "different space"
    assert "of A are left-handed, those of B right-handed" in str(found)


def test_one_voxel_is_compared() -> None:
    voxel = noise_volume(oblique_grid((1, 1, 1)))
    thick = replace(voxel, geometry=replace(voxel.geometry, spacing=(5, 0.5, 0.3)))
    assert compare(voxel, voxel).verdict == "identical storage"
    found = compare(voxel, thick)
    assert found.verdict == "identical storage"
    assert any("single voxel" in note for note in found.notes)


def test_spacing_within_the_tolerance_is_nobodys_thickness() -> None:
    a = Volume(np.zeros((4, 3, 2), np.uint8), Geometry((4, 3, 2)))
    b = Volume(np.zeros((4, 3, 2), np.uint8), Geometry((4, 3, 2), spacing=(1.00001, 1, 1)))
    found = compare(a, b)
    assert found.grid.same_space
    assert not found.notes


def test_geometry_alone_reads_no_voxel(tmp_path: Path) -> None:
    chunkvol.write_volume(ct(), tmp_path / "a.nrrd")
    opened = chunkvol.open_volume(tmp_path / "a.nrrd")
    (tmp_path / "a.nrrd").unlink()
    found = compare(ct(), opened, geometry_only=True)
    assert found.same and found.verdict == "same space, values not compared"
    assert not compare(ct(), opened[1:], geometry_only=True).same


# -------------------------------------------------------------------------------------------------------- notes


def segments(*names: str, tags: str = "", layers: int = 1) -> Metadata:
    table = tuple(Segment(f"S{n}", name, n, 0, tags=tags) for n, name in enumerate(names, 1))
    counts = (len(names) + 1, *[2] * (layers - 1)) if layers > 1 else (0,)
    return Metadata(extra={KEY: Segmentation(table, counts).to_json()})


@pytest.mark.parametrize(
    ("mine", "theirs", "note"),
    [
        (Metadata(frame_of_reference="1.2"), Metadata(frame_of_reference="1.3"), "frames of reference differ"),
        (Metadata(assumed=True), Metadata(), "grid of A is assumed"),
        (Metadata(assumed=True), Metadata(assumed=True), "grid of A and B is assumed"),
        (Metadata(Rescale(unit="HU")), Metadata(Rescale(unit="mm")), "A are in HU, those of B in mm"),
        (segments("bone"), Metadata(), "A names its segments, B does not"),
        (Metadata(), segments("bone"), "B names its segments, A does not"),
        (segments("bone", "fat"), segments("bone", "air"), "label 2 is 'fat' in A and 'air' in B"),
        (segments("bone"), segments("bone", "air"), "label 2 is nothing in A and 'air' in B"),
        (segments("bone"), segments("bone", tags="x"), "ids, colours or tags"),
        (segments("bone", layers=2), segments("bone", "fat", layers=2), "the same labels may have other numbers"),
        (segments(*"abcdefgh"), segments(*"ABCDEFGH"), "3 more labels are other segments"),
    ],
)
def test_what_does_not_change_the_answer_is_a_note(mine: Metadata, theirs: Metadata, note: str) -> None:
    array = np.zeros(SHAPE, "u1")
    found = compare(Volume(array, oblique_grid(SHAPE), mine), Volume(array, oblique_grid(SHAPE), theirs))
    assert found.same
    assert note in " ".join(found.notes)
    assert f"note      {found.notes[0]}" in str(found)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (Metadata(frame_of_reference="1.2"), Metadata()),
        (Metadata(Rescale(unit="HU")), Metadata()),
        (segments("bone"), segments("bone")),
        (segments("bone"), Metadata.from_json(json.loads(json.dumps(segments("bone").to_json())))),
        (Metadata(extra={KEY: {"segments": 3}}), Metadata()),
    ],
)
def test_what_one_does_not_say_is_no_difference(mine: Metadata, theirs: Metadata) -> None:
    array = np.zeros(SHAPE, "u1")
    assert not compare(Volume(array, oblique_grid(SHAPE), mine), Volume(array, oblique_grid(SHAPE), theirs)).notes


def test_coarser_levels_are_said_to_be_left_out(tmp_path: Path) -> None:
    chunkvol.write_volume(noise_volume(oblique_grid((40, 50, 600))), tmp_path / "a.ome.zarr")
    opened = chunkvol.open_volume(tmp_path / "a.ome.zarr")
    assert len(opened.levels) > 1
    assert any("coarser" in note for note in compare(opened, opened).notes)
    assert compare(opened, opened.levels[0]).notes == ()


# ------------------------------------------------------------------------------------------------ bounded memory


@dataclass(frozen=True)
class Counted(ArraySource):
    """Planes that are decoded whole, each of which is counted; or chunks."""

    decoded: Any = None
    cut: Any = None

    @property
    def grain(self) -> Any:
        return self.cut or (1, *self.shape[1:])

    @property
    def stored_bytes(self) -> int:
        return voxels(self.shape)

    def read(self, region: Region, out: Block | None = None) -> Block:
        for k in range(region[0].start, region[0].stop):
            self.decoded.append(k)
        return super().read(region, out)


@dataclass(frozen=True)
class Grained(Source):
    """Voxels that nobody reads, cut like this."""

    shape: Any
    dtype: Any
    cut: Any

    @property
    def grain(self) -> Any:
        return self.cut

    def read(self, region: Region, out: Block | None = None) -> Block:
        raise AssertionError


class Told(Silent):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.done = 0

    def stage(self, name: str, total: int, unit: str = "B") -> None:
        self.stages.append((name, total))

    def advance(self, amount: int) -> None:
        self.done += amount


def counted(volume: Volume, cut: Any = None) -> tuple[Volume, list[int]]:
    decoded: list[int] = []
    return replace(volume, data=Counted(volume.read(), decoded, cut)), decoded


@pytest.mark.parametrize("order", ORDERS[::3], ids=str)
@pytest.mark.parametrize("planes", [1, 3, 100])
def test_planes_are_decoded_once_however_few_can_be_held(
    tmp_path: Path, monkeypatch: Any, order: Any, planes: int
) -> None:
    """Even where the planes of one run across those of the other."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(turned, "_SLAB_BYTES", 1)
    monkeypatch.setattr(turned, "_PIECE_BYTES", 1)
    (a, mine), (b, theirs) = counted(ct()), counted(reordered(ct(), *order))
    other = reordered(b, *compare(a, b, geometry_only=True).grid.order)
    assert_read_alike((a.source, other.source), planes * 110 * 2 * 4)
    assert sorted(mine) == list(range(a.shape[0])) and sorted(theirs) == list(range(b.shape[0]))
    assert not list(tmp_path.iterdir())


def test_planes_beside_deep_chunks_are_decoded_once_too(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(pairs, "_OFTEN", 2)
    (a, mine), (b, _) = counted(ct()), counted(ct(), (8, 4, 4))
    for pair in ((a.source, b.source), (b.source, a.source)):
        mine.clear()
        assert_read_alike(pair, 3 * 110 * 2 * 2)
        assert mine == list(range(a.shape[0]))
    assert not list(tmp_path.iterdir())


def assert_read_alike(pair: Any, room: int) -> None:
    with readable(pair, room, 0, Silent()) as sources:
        block = block_for(sources, room, 0)
        for region, one, other in read_pairs(sources, block):
            assert one.shape == region_shape(region)
            np.testing.assert_array_equal(one, other)


@given(
    shape=st.tuples(*[st.integers(1, 5000)] * 3),
    grains=st.tuples(*[st.tuples(*[st.sampled_from([1, 64, 100, 128, 5000])] * 3)] * 2),
    room=st.integers(40_000_000, 500_000_000),
)
def test_blocks_fit_their_room_and_are_made_of_grains_where_these_do(shape: Any, grains: Any, room: int) -> None:
    one, other = (Grained(shape, np.dtype("u2"), tuple(map(min, shape, grain))) for grain in grains)
    try:
        block = block_for((one, other), room, 1000)
    except BudgetError:
        assert 2 * 2 * shape[1] * shape[2] + 1000 > room and (one.whole_planes or other.whole_planes)
        return
    assert 4 * voxels(block) + 1000 <= room
    assert all(1 <= part <= n for part, n in zip(block, shape, strict=True))
    both = [min(n, -(-max(g, h) // g) * g) for n, g, h in zip(shape, one.grain, other.grain, strict=True)]
    if 4 * voxels(both) + 1000 <= room:
        assert all(part == n or part % whole == 0 for part, n, whole in zip(block, shape, both, strict=True))


def test_compressed_series_across_each_other_are_compared(tmp_path: Path, monkeypatch: Any) -> None:
    volume = ct()
    for n, order in enumerate([ORDERS[0], ORDERS[38]]):
        turned = reordered(volume, *order)
        write_series(tmp_path / str(n), turned.read(), turned.geometry, transfer_syntax=SYNTAX)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = compare(chunkvol.open_volume(tmp_path / "0"), chunkvol.open_volume(tmp_path / "1"))
    assert found.verdict == "same space, different storage"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_progress_is_told_and_complete(tmp_path: Path) -> None:
    chunkvol.write_volume(ct(), tmp_path / "a.nrrd", encoding="gzip")
    told = Told()
    opened = chunkvol.open_volume(tmp_path / "a.nrrd")
    compare(opened, ct(), progress=told)
    size = opened.dtype.itemsize * voxels(SHAPE)
    assert told.stages == [("unpacking", size), ("comparing", size + 2 * voxels(SHAPE))]
    assert told.done == sum(total for _, total in told.stages)


# ------------------------------------------------------------------------------------------------------- messages


def test_a_budget_that_nothing_fits_is_refused() -> None:
    with pytest.raises(BudgetError, match=r"budget of 1000 B is too small.*smallest that fits is --memory \d+MiB"):
        compare(ct(), ct(), budget=1000)


def test_a_temporary_folder_without_room_is_refused(tmp_path: Path, monkeypatch: Any) -> None:
    chunkvol.write_volume(ct(), tmp_path / "a.nrrd", encoding="gzip")
    opened = chunkvol.open_volume(tmp_path / "a.nrrd")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(pairs.system, "free_disk", lambda path: 5)
    with pytest.raises(DiskError, match=r"3\.9 KiB have to be unpacked into .*5 B free; set TMPDIR"):
        compare(opened, ct())
    assert [path.name for path in tmp_path.iterdir()] == ["a.nrrd"]


def test_a_damaged_input_leaves_nothing_behind(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "a.nrrd"
    chunkvol.write_volume(ct(), path, encoding="gzip")
    opened = chunkvol.open_volume(path)
    path.write_bytes(path.read_bytes()[:-100])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InputError, match=r"a\.nrrd"):
        compare(ct(), opened)
    assert [path.name for path in tmp_path.iterdir()] == ["a.nrrd"]


@pytest.mark.parametrize("bad", [-1, np.nan, np.inf])
def test_tolerances_that_are_none_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="tolerance of values is a number, 0 or more"):
        compare(ct(), ct(), value_tolerance=bad)
    with pytest.raises(InputError, match="tolerance is a number of voxels, 0 or more"):
        compare(ct(), ct(), tolerance=bad)


def test_only_volumes_are_compared() -> None:
    array: Any = ct().read()
    with pytest.raises(InputError, match=r"volumes are compared, not ndarray.*Volume\(array, geometry\)"):
        compare(ct(), array)
