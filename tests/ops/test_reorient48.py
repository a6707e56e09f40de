"""All 48 orders of storage by their letters: every voxel keeps its place and value, there and back, out of core."""

from __future__ import annotations

import itertools
import pickle
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.errors import BudgetError, InputError
from chunkvol.geometry import axis_codes
from chunkvol.memory import parse_bytes
from chunkvol.ops import turned
from chunkvol.ops.reorient import ReorderedSource, reordered, reorient
from chunkvol.regions import Region, Shape, region_shape
from chunkvol.sources import Block, DerivedSource, RawSource, Source, deliver
from chunkvol.system import resident_memory
from tests.cli.commands import listing
from tests.support.grids import GRIDS, noise_volume, oblique_grid, ramp_values, ramp_volume
from tests.support.series import oblique, write_series

SHAPE = (5, 6, 7)
ORDERS = list(itertools.product(itertools.permutations(range(3)), itertools.product([False, True], repeat=3)))
CODES = ["".join(one) for three in itertools.product("RL", "AP", "IS") for one in itertools.permutations(three)]


@dataclass(frozen=True)
class Stored(Source):
    """Voxels that a file would hold, with its grain; every region that is read is noted."""

    array: Any
    grain_there: Shape
    read_there: list[Region] = field(default_factory=list, compare=False)

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        return self.array.shape  # type: ignore[no-any-return]

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def grain(self) -> Shape:
        return self.grain_there

    def read(self, region: Region, out: Block | None = None) -> Block:
        self.read_there.append(region)
        return deliver(self.array[region].copy(), out)


def plain(array: Any, axes: Any, flips: Any) -> Any:
    return array.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]


# -------------------------------------------------------------------------------------------------------- letters


@pytest.mark.parametrize("name", GRIDS)
def test_every_voxel_keeps_its_place_in_all_48_orders_and_comes_back_bit_for_bit(name: str) -> None:
    volume = ramp_volume(GRIDS[name](SHAPE))
    before = axis_codes(volume.geometry)
    for letters in CODES:
        other = reorient(volume, letters)
        assert axis_codes(other.geometry) == letters
        np.testing.assert_allclose(other.read(), ramp_values(other.geometry), atol=1e-10)
        back = reorient(other, before)
        assert not isinstance(back.source, ReorderedSource)
        np.testing.assert_array_equal(back.read().view("u8"), volume.read().view("u8"))
        assert back.geometry.is_close(volume.geometry, 1e-9)
        assert back.geometry.spacing == volume.geometry.spacing
        assert back.geometry.direction == volume.geometry.direction


@pytest.mark.parametrize("name", ["oblique", "sheared"])
def test_from_each_order_to_each_other_is_as_good_as_at_once(name: str) -> None:
    volume = noise_volume(GRIDS[name](SHAPE))
    for first, second in zip(CODES, CODES[7:] + CODES[:7], strict=True):
        twice, once = reorient(reorient(volume, first), second), reorient(volume, second)
        np.testing.assert_array_equal(twice.read(), once.read())
        assert twice.geometry.is_close(once.geometry, 1e-9)
        assert not isinstance(getattr(twice.source, "source", None), ReorderedSource)


def test_a_point_between_two_ways_is_told_the_same_in_every_order() -> None:
    volume = noise_volume(oblique_grid(SHAPE, degrees=(0, 45, 45)))
    for letters in CODES:
        back = reorient(reorient(volume, letters), axis_codes(volume.geometry))
        np.testing.assert_array_equal(back.read(), volume.read())


def test_pyramids_are_left_behind_and_the_order_is_remembered() -> None:
    volume = ramp_volume(Geometry(SHAPE))
    layered = Volume(volume.data, volume.geometry, coarser=(volume,))
    assert reorient(layered, "LPS").coarser == () and reorient(layered, "RAS").coarser == ()
    assert reorient(layered, "RAS").metadata.history == ("reorder k-j-i",)
    assert reorient(layered, "lps").metadata.history == ()


def test_letters_that_are_no_order_are_refused() -> None:
    with pytest.raises(InputError, match="'RAX' is no order of axes"):
        reorient(ramp_volume(Geometry(SHAPE)), "RAX")


# ----------------------------------------------------------------------------------------------------- out of core


@pytest.mark.parametrize("grain", [(1, 1, 7), (1, 6, 7), (2, 6, 7), (2, 3, 7), (2, 3, 4), (5, 6, 1)])
@pytest.mark.parametrize("slab", [1, 100, 10_000])
def test_a_copy_is_the_same_voxels_and_reads_each_plane_once(
    grain: Shape, slab: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turned, "_SLAB_BYTES", slab)
    monkeypatch.setattr(turned, "_PIECE_BYTES", max(1, slab // 3))
    array = np.random.default_rng(1).integers(0, 60_000, SHAPE).astype("u2")
    for n, (axes, flips) in enumerate(ORDERS):
        stored = Stored(array, grain)
        source = ReorderedSource(stored, axes, flips)  # type: ignore[arg-type]
        folder = tmp_path / str(n)
        folder.mkdir()
        staged = source.staged(folder)
        files = list(folder.iterdir())
        assert bool(files) == (source.staging_bytes > 0)
        if files:
            assert files[0].stat().st_size == source.staging_bytes == array.nbytes
            planes = [k for region in stored.read_there for k in range(region[0].start, region[0].stop)]
            assert sorted(planes) == list(range(SHAPE[0]))
            assert all(region[1:] == (slice(0, 6), slice(0, 7)) for region in stored.read_there)
        wanted = plain(array, axes, flips)
        whole = tuple(slice(0, s) for s in wanted.shape)
        np.testing.assert_array_equal(staged.read(whole), wanted)  # type: ignore[arg-type]
        part = (slice(1, 4), slice(2, 5), slice(1, 5))
        np.testing.assert_array_equal(staged.read(part), wanted[part])
        out = np.zeros((3, 3, 9), "u2")
        staged.read(part, out[:, :, 2:6])
        np.testing.assert_array_equal(out[:, :, 2:6], wanted[part])
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(staged)).read(part), wanted[part])


def test_only_orders_that_would_touch_everything_for_each_plane_are_copied() -> None:
    array = np.zeros(SHAPE, "u2")
    for (axes, flips), (grain, copied) in itertools.product(
        ORDERS,
        [
            ((1, 1, 7), {(2, 0, 1), (2, 1, 0)}),  # rows that are had whole
            ((1, 6, 7), {(1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)}),  # planes that are decoded whole
            ((2, 3, 4), set()),  # chunks
        ],
    ):
        source = ReorderedSource(Stored(array, grain), axes, flips)  # type: ignore[arg-type]
        assert (source.staging_bytes > 0) == (axes in copied)
        in_memory = ReorderedSource(Volume(array, Geometry(SHAPE)).source, axes, flips)  # type: ignore[arg-type]
        assert in_memory.staging_bytes == 0


def test_a_plane_whose_columns_were_rows_is_had_whole() -> None:
    rows = ReorderedSource(Stored(np.zeros(SHAPE, "u2"), (1, 1, 7)), (0, 2, 1), (False, False, False))
    assert rows.grain == (1, 7, 6) and rows.whole_planes
    chunks = ReorderedSource(Stored(np.zeros(SHAPE, "u2"), (2, 3, 4)), (0, 2, 1), (False, False, False))
    assert chunks.grain == (2, 4, 3)


@dataclass(frozen=True)
class Passed(DerivedSource):
    """Another source, so that two orders are not made one."""

    source: Source

    @property
    def shape(self) -> Shape:  # type: ignore[override]
        return self.source.shape

    @property
    def dtype(self) -> Any:
        return self.source.dtype

    @property
    def grain(self) -> Shape:
        return self.source.grain

    def read(self, region: Region, out: Block | None = None) -> Block:
        return self.source.read(region, out)


def test_copies_of_copies_do_not_meet_in_one_file(tmp_path: Path) -> None:
    array = np.random.default_rng(2).integers(0, 60_000, (6, 6, 6)).astype("u2")
    order = (2, 0, 1), (True, False, False)
    twice = ReorderedSource(Passed(ReorderedSource(Stored(array, (1, 1, 6)), *order)), *order)
    assert twice.staging_bytes == 2 * array.nbytes
    staged = twice.staged(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    np.testing.assert_array_equal(staged.read((slice(0, 6),) * 3), plain(plain(array, *order), *order))


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5"])
@pytest.mark.parametrize("name", ["a.nrrd", "a.ome.zarr"])
def test_files_are_written_in_every_slowest_axis_with_bytes_independent_of_budget_and_workers(
    syntax: str, name: str, tmp_path: Path
) -> None:
    array = np.random.default_rng(0).integers(0, 4096, (9, 10, 11), dtype="u2")
    write_series(tmp_path / "dicom", array, oblique((9, 10, 11)), transfer_syntax=syntax)
    volume = chunkvol.open_volume(tmp_path / "dicom")
    for axes in itertools.permutations(range(3)):
        other = reordered(volume, axes, (True, False, True))
        bytes_of = []
        for workers, budget in ((1, resident_memory() + (300 << 20)), (2, "8GiB")):
            done = chunkvol.write_volume(other, tmp_path / name, overwrite=True, workers=workers, budget=budget)
            again = chunkvol.open_volume(tmp_path / name)
            np.testing.assert_array_equal(again.values.read(), plain(volume.values.read(), axes, (True, False, True)))
            assert again.geometry.is_close(other.geometry)
            bytes_of.append(listing(tmp_path))
        assert bytes_of[0] == bytes_of[1]
        assert (done.plan.phases[0].name == "unpack") == (other.source.staging_bytes > 0)


def test_a_copy_that_does_not_fit_the_budget_is_refused_before_it_is_made(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.touch()
    shape = (3, 20_000, 10_000)
    source = ReorderedSource(Large(RawSource(path, shape, np.dtype("u2"))), (2, 0, 1), (False, False, False))
    volume = Volume(source, Geometry((10_000, 3, 20_000)))
    assert source.staging_scratch >= 400_000_000
    with pytest.raises(BudgetError, match=r"too small for this work; the smallest that fits is --memory [0-9]+MiB"):
        chunkvol.plan_write(volume, tmp_path / "a.nrrd", budget="500MiB")
    with pytest.raises(BudgetError) as stop:
        chunkvol.plan_write(volume, tmp_path / "a.nrrd", budget=1)
    named = str(stop.value).rpartition(" ")[2]
    assert chunkvol.plan_write(volume, tmp_path / "a.nrrd", budget=named).peak_bytes <= parse_bytes(named)
    plan = chunkvol.plan_write(volume, tmp_path / "a.nrrd", budget="8GiB")
    assert plan.peak_bytes >= source.staging_scratch and plan.scratch >= source.staging_bytes == 1_200_000_000


class Large(Passed):
    """Planes that are decoded whole."""

    @property
    def grain(self) -> Shape:
        return (1, *self.shape[1:])


def test_scratch_bounds_what_reading_holds(tmp_path: Path) -> None:
    import tracemalloc

    array = np.random.default_rng(3).integers(0, 60_000, (60, 70, 80)).astype("u2")
    path = tmp_path / "a.raw"
    path.write_bytes(array.tobytes())
    raw = RawSource(path, array.shape, array.dtype)
    for axes, region in itertools.product(
        itertools.permutations(range(3)),
        [(slice(3, 23), slice(0, 60), slice(0, 60)), (slice(5, 6), slice(1, 50), slice(7, 9))],
    ):
        source = ReorderedSource(raw, axes, (True, False, True))  # type: ignore[arg-type]
        for one in (source, source.staged(_new(tmp_path / "".join(map(str, axes))))):
            one.read(region)
            tracemalloc.start()
            block = one.read(region)
            held = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            assert held <= block.nbytes + one.scratch(region_shape(region)) + 20_000
            assert one.scratch(region_shape(region)) <= source.scratch(region_shape(region)) + 2_000_000


def _new(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def test_a_copy_holds_no_more_than_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tracemalloc

    monkeypatch.setattr(turned, "_SLAB_BYTES", 100_000)
    monkeypatch.setattr(turned, "_PIECE_BYTES", 20_000)
    array = np.random.default_rng(3).integers(0, 60_000, (60, 70, 80)).astype("u2")
    source = ReorderedSource(Stored(array, (1, 70, 80)), (2, 1, 0), (True, False, True))
    _new(tmp_path / "first")
    source.staged(tmp_path / "first")
    tracemalloc.start()
    source.staged(_new(tmp_path / "second"))
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # `Stored` copies the block once more than a file would.
    assert held <= source.staging_scratch + 100_000 + 200_000
    assert replace(source).staging_scratch == source.staging_scratch
