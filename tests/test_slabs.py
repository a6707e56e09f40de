"""Slabs: every voxel is written once, at its place, in blocks that fit."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol import slabs, system
from chunkvol.errors import BudgetError
from chunkvol.memory import MIB
from chunkvol.regions import Region, Shape, region_shape, voxels, wide_block
from chunkvol.slabs import Cut, Fill, cut_volume, fill_unit, read_blocks, write_block
from chunkvol.sources import ArraySource, Block, Source


@dataclass(frozen=True)
class Grained(Source):
    """A source of any shape and grain, whose voxels are numbered."""

    shape: Shape
    grains: Shape
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype("uint16"))
    stored: int = 0
    prefers_deep: bool = False

    @property
    def grain(self) -> Shape:
        return self.grains

    @property
    def stored_bytes(self) -> int:
        return self.stored or super().stored_bytes

    def read(self, region: Region, out: Block | None = None) -> Block:
        k, j, i = np.ogrid[region]
        block = np.empty(region_shape(region), self.dtype) if out is None else out
        block[...] = (k * self.shape[1] + j) * self.shape[2] + i
        return block


def planes(shape: Shape) -> Grained:
    return Grained(shape, (1, 1, shape[2]))


def decoded(shape: Shape, **more: Any) -> Grained:
    return Grained(shape, (1, *shape[1:]), **more)


def filled(source: Source, path: Path, offset: int, cut: Cut) -> Block:
    path.write_bytes(bytes(offset + voxels(source.shape) * source.dtype.itemsize))
    job = Fill(source, path, offset, cut)
    units = list(cut.units(source.shape))
    assert sum(fill_unit(job, unit) for unit in reversed(units)) == job.total
    little = source.dtype.newbyteorder("<")
    return np.frombuffer(path.read_bytes()[offset:], little).reshape(source.shape)


@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    block=st.tuples(st.integers(1, 10), st.integers(1, 10)),
    repeat=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    offset=st.sampled_from([0, 7]),
)
@settings(max_examples=40)
def test_any_cut_fills_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, shape: Shape, block: Any, repeat: Any, offset: int
) -> None:
    source = planes(shape)
    cut = Cut(block, (block[0] * repeat[0], block[1] * repeat[1]))
    found = filled(source, tmp_path_factory.mktemp("fill") / "x.raw", offset, cut)
    assert np.array_equal(found, np.arange(voxels(shape)).reshape(shape))
    assert cut.count(shape) == len(list(cut.units(shape)))


@pytest.mark.parametrize("region", [(slice(1, 3), slice(0, 4), slice(0, 5)), (slice(1, 3), slice(1, 3), slice(0, 5))])
@pytest.mark.parametrize("columns", [slice(0, 5), slice(2, 4)])
def test_a_block_lands_at_its_place_whatever_it_covers(tmp_path: Path, region: Region, columns: slice) -> None:
    shape = (4, 4, 5)
    region = (region[0], region[1], columns)
    want = np.zeros(shape, "int32")
    want[region] = np.arange(voxels(region_shape(region))).reshape(region_shape(region)) + 1
    path = tmp_path / "x.raw"
    path.write_bytes(bytes(3 + want.nbytes))
    with system.opened(path, write=True) as fd:
        write_block(fd, np.asfortranarray(want[region]), region, shape, 3)
    assert path.read_bytes() == bytes(3) + want.tobytes()


def test_blocks_of_a_unit_share_their_memory() -> None:
    source = planes((5, 4, 3))
    blocks = read_blocks(source, Cut((2, 4), (5, 4)), (slice(0, 5), slice(0, 4)))
    addresses = {block.ctypes.data for _, block in blocks}
    assert len(addresses) == 1


def test_a_user_array_of_any_byte_order_is_written_little_endian_and_left_alone(tmp_path: Path) -> None:
    array = np.arange(24, dtype=">u2").reshape(2, 3, 4)
    before = array.copy()
    found = filled(ArraySource(array), tmp_path / "x.raw", 0, Cut((1, 3), (2, 3)))
    assert np.array_equal(found, before)
    assert np.array_equal(array, before)


# ---------------------------------------------------------------------------------------------------- cutting


def cuts() -> list[tuple[Source, int]]:
    shapes: list[Shape] = [(1, 1, 1), (3, 5, 7), (1, 4000, 4000), (300, 512, 512), (50, 2000, 2000), (4000, 20, 30)]
    sources: list[Source] = [planes(shape) for shape in shapes]
    sources += [decoded(shape) for shape in shapes]
    sources += [Grained(shape, tuple(min(n, 64) for n in shape)) for shape in shapes]  # type: ignore[arg-type]  # three
    sources += [Grained(shape, (1, 1, shape[2]), prefers_deep=True, stored=64 * voxels(shape)) for shape in shapes]
    return list(itertools.product(sources, (1, 4)))


@pytest.mark.parametrize(("source", "workers"), cuts(), ids=str)
def test_units_are_whole_blocks_and_blocks_are_whole_cells(source: Source, workers: int) -> None:
    planes_, rows, columns = source.shape
    for room in (1 << 40, 60 * MIB):
        count, held, cut = cut_volume(source, workers=workers, room=room)
        assert 1 <= count <= workers
        assert count * held <= room
        assert held >= cut.block[0] * cut.block[1] * columns * 2
        for unit, block, length in zip(cut.unit, cut.block, (planes_, rows), strict=True):
            assert unit == length or unit % block == 0
            assert 1 <= block <= length
        if source.whole_planes:
            assert cut.block[1] == rows


@pytest.mark.parametrize("cell", [(1, 5), (4, 20)])
def test_blocks_hold_whole_cells_at_any_budget(cell: tuple[int, int]) -> None:
    source = Grained((130, 20, 30), (64, 8, 10))
    for room in (1 << 30, 100_000, 20_000, 5_000):
        _, _, cut = cut_volume(source, workers=1, room=room, cell=cell)
        for length, whole, step in zip(cut.block, source.shape, cell, strict=False):
            assert length == whole or length % step == 0


def test_blocks_are_about_four_mebibytes_of_planes_read_in_rows() -> None:
    _, _, cut = cut_volume(planes((300, 512, 512)), workers=2, room=1 << 30)
    assert cut.block == (8, 512)
    _, _, cut = cut_volume(planes((300, 4000, 4000)), workers=2, room=1 << 30)
    assert cut.block == (1, 524)


def test_planes_that_are_decoded_whole_are_never_cut_into_bands() -> None:
    source = decoded((300, 4000, 4000))
    _, held, cut = cut_volume(source, workers=2, room=40_000_000)
    assert cut.block == (1, 4000)
    assert held == 32_000_000
    with pytest.raises(BudgetError):
        cut_volume(source, workers=2, room=31_000_000)


def test_chunks_are_read_whole_until_nothing_else_fits() -> None:
    source = Grained((640, 2000, 2000), (64, 64, 64))
    _, _, cut = cut_volume(source, workers=1, room=1 << 30)
    assert cut.block == (64, 64)
    _, _, cut = cut_volume(source, workers=1, room=MIB)
    assert cut.block[0] == 64
    assert cut.block[1] < 64


def test_a_small_budget_costs_block_size_before_workers() -> None:
    count, held, cut = cut_volume(planes((300, 512, 512)), workers=4, room=2 * MIB)
    assert count == 4
    assert held == MIB // 2
    assert cut.block == (1, 512)


def test_large_volumes_have_several_units_a_worker_and_never_too_many() -> None:
    for shape in ((100, 500, 500), (5000, 3000, 3000), (100_000, 20_000, 20_000)):
        source = planes(shape)
        _, _, cut = cut_volume(source, workers=8, room=1 << 30)
        assert 32 <= cut.count(shape) <= 2 * slabs.MOST_UNITS


def test_units_of_a_reduction_are_measured_by_what_they_read() -> None:
    source = Grained((250, 250, 250), (1, 1, 250), stored=16 << 30)
    _, _, cut = cut_volume(source, workers=2, room=1 << 30)
    assert cut.count(source.shape) >= 200


def test_sources_that_read_a_rim_get_deep_blocks() -> None:
    flat = Grained((1000, 2000, 2000), (1, 1, 2000), stored=512 << 30)
    deep = Grained((1000, 2000, 2000), (1, 1, 2000), stored=512 << 30, prefers_deep=True)
    assert cut_volume(flat, workers=2, room=1 << 30)[2].block[0] == 1
    assert cut_volume(deep, workers=2, room=1 << 30)[2].block[0] >= 8


def test_wide_blocks_repeat_least_of_what_lies_around_them() -> None:
    for rim, size in (((101, 101), 128 << 20), ((10, 90), 8 << 20), ((3, 3), 1 << 20), ((200, 20), 64 << 20)):
        step, most, row = (8, 16), (500, 700), 3200
        planes, rows = wide_block(rim, step, most, row, size)
        tried = [
            (1 + rim[0] / p) * (1 + rim[1] / r)
            for p in range(8, 501, 8)
            for r in range(16, 701, 16)
            if p * r * row <= size
        ]
        assert planes * rows * row <= size
        assert (1 + rim[0] / planes) * (1 + rim[1] / rows) <= min(tried) + 1e-12


def test_a_wide_block_is_at_least_one_step() -> None:
    assert wide_block((9, 9), (4, 8), (3, 5), 1 << 20, 1) == (3, 5)
