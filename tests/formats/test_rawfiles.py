"""Voxels in many raw or compressed files: read as one volume, missing and short files said by name."""

from __future__ import annotations

import gzip
import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol.errors import DamagedError, FormatError, InputError
from chunkvol.packing.packedfiles import packed_source
from chunkvol.rawfiles import FilesSource, data_sizes, fingerprint, raw_source, text_source
from chunkvol.sources import RawSource

ARRAY = np.arange(6 * 5 * 7, dtype="<u2").reshape(6, 5, 7)


def written(folder: Path, planes: int, stored: str = "<u2", before: int = 0) -> tuple[str, ...]:
    """The array in files of so many planes, with a few bytes before them that differ from file to file."""
    names = []
    for k in range(0, 6, planes):
        names.append(f"p{k}.raw")
        (folder / names[-1]).write_bytes(b"x" * (before + k) + ARRAY[k : k + planes].astype(stored).tobytes())
    return tuple(names)


def opened(folder: Path, planes: int, stored: str = "<u2") -> Any:
    names = written(folder, planes, stored, 3)
    sizes = data_sizes(folder / "h", names)
    return raw_source(folder, names, sizes, sizes * 0, ARRAY.shape, np.dtype(stored), at_end=True, identity="id")[0]


# ---------------------------------------------------------------------------------------------------------- laws


@given(data=st.data())
@pytest.mark.parametrize("stored", ["<u2", ">u2"])
@pytest.mark.parametrize("planes", [1, 2, 3, 6])
def test_any_region_of_many_files_is_that_of_the_array(
    tmp_path_factory: pytest.TempPathFactory, planes: int, stored: str, data: Any
) -> None:
    source = opened(tmp_path_factory.mktemp("f"), planes, stored)
    ends = [sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(1, n)))) for n in ARRAY.shape]
    region: Any = tuple(slice(low, max(high, low + 1)) for low, high in ends)
    assert np.array_equal(source.read(region), ARRAY[region])
    out = np.zeros(ARRAY.shape, "u2")
    source.read(region, out[region])
    assert np.array_equal(out[region], ARRAY[region])
    assert out.sum() == ARRAY[region].sum()


def test_many_files_are_a_source_like_any_other(tmp_path: Path) -> None:
    source = opened(tmp_path, 2)
    assert isinstance(source, FilesSource)
    again = pickle.loads(pickle.dumps(source))
    assert np.array_equal(again.read((slice(0, 6), slice(0, 5), slice(0, 7))), ARRAY)
    assert (source.fingerprint, source.dtype, source.stored_bytes) == ("id", np.dtype("u2"), ARRAY.nbytes)
    assert source.scratch((2, 3, 7)) == 0
    assert source.scratch((2, 3, 5)) == 3 * 7 * 2
    assert again.__dask_tokenize__() == source.__dask_tokenize__()


def test_one_file_is_a_plain_raw_source(tmp_path: Path) -> None:
    assert isinstance(opened(tmp_path, 6), RawSource)


def test_thousands_of_files_stay_small(tmp_path: Path) -> None:
    names = tuple(f"slice_{n:05d}.raw" for n in range(20_000))
    source = FilesSource(tmp_path, names, 1, np.zeros(20_000, np.int64), (20_000, 5, 7), np.dtype("u1"))
    assert len(pickle.dumps(source)) < 1 << 20


@pytest.mark.parametrize("packing", ["gzip", "zlib"])
@pytest.mark.parametrize("planes", [1, 2, 6])
def test_compressed_files_are_read_and_staged_as_one(tmp_path: Path, packing: str, planes: int) -> None:
    squeeze = gzip.compress if packing == "gzip" else zlib.compress
    names = written(tmp_path, planes)
    for n, name in enumerate(names):
        data = ARRAY[n * planes : (n + 1) * planes].tobytes()
        (tmp_path / name).write_bytes(b"ab" + squeeze(data))
    sizes = data_sizes(tmp_path / "h", names)
    source: Any = packed_source(tmp_path, names, sizes, sizes * 0 + 2, ARRAY.shape, np.dtype("<u2"), packing)
    region = (slice(1, 5), slice(1, 3), slice(2, 7))
    assert np.array_equal(source.read(region), ARRAY[region])
    assert source.staging_bytes == ARRAY.nbytes
    assert source.stored_bytes == sizes.sum() - (2 if planes == 6 else 0)
    (tmp_path / "scratch").mkdir()
    staged = source.staged(tmp_path / "scratch")
    assert np.array_equal(staged.read(region), ARRAY[region])
    assert len(list((tmp_path / "scratch").iterdir())) == 1


# ------------------------------------------------------------------------------------------------------- corners


def test_files_must_hold_the_planes_of_the_shape(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="4 files of 2 planes with 3 offsets do not make 8 planes"):
        FilesSource(tmp_path, ("a", "b", "c", "d"), 2, np.zeros(3, np.int64), (8, 5, 7), np.dtype("u1"))


def test_the_file_that_is_short_is_named(tmp_path: Path) -> None:
    names = written(tmp_path, 2)
    (tmp_path / "p4.raw").write_bytes(bytes(100))
    sizes = data_sizes(tmp_path / "h", names)
    with pytest.raises(DamagedError, match=r"p4\.raw holds 100 bytes .* promises 140 \(sizes 7 x 5 x 2, uint16\)"):
        raw_source(tmp_path, names, sizes, sizes * 0, ARRAY.shape, np.dtype("<u2"))
    with pytest.raises(DamagedError, match=r"p4\.raw holds at most 0 bytes"):
        packed_source(tmp_path, names, sizes, sizes * 0 + 100, ARRAY.shape, np.dtype("<u2"), "gzip")


def test_a_file_that_is_cut_after_opening_is_named(tmp_path: Path) -> None:
    source = opened(tmp_path, 2)
    (tmp_path / "p2.raw").write_bytes(b"x")
    with pytest.raises(DamagedError, match=r"p2\.raw ends"):
        source.read((slice(0, 6), slice(0, 5), slice(0, 7)))


def test_surplus_bytes_are_said_once(tmp_path: Path) -> None:
    names = written(tmp_path, 2)
    sizes = data_sizes(tmp_path / "h", names)
    _, noted = raw_source(tmp_path, names, sizes, sizes * 0, ARRAY.shape, np.dtype("<u2"))
    assert noted == ["p2.raw has 2 bytes more than its header says (and so have 1 other files): they are not used"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    names = written(tmp_path, 1)
    (tmp_path / "p3.raw").unlink()
    with pytest.raises(InputError, match=r"h needs the data file .*p3\.raw, which does not exist"):
        data_sizes(tmp_path / "h", names)
    with pytest.raises(InputError, match="needs the data file"):
        data_sizes(tmp_path / "h", ["nowhere/a.raw"])


@pytest.mark.parametrize("name", ["", "a\0b", "a\0b/c"])
def test_what_cannot_be_a_name_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FormatError, match="cannot be a name"):
        data_sizes(tmp_path / "h", [name])


@pytest.mark.parametrize("name", ["../out.raw", "{out}", "link.raw", "folder/out.raw", "sub/../../out.raw"])
def test_files_outside_the_folder_need_trust(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "in"
    (inside / "sub").mkdir(parents=True)
    (tmp_path / "out.raw").write_bytes(b"12345")
    (inside / "link.raw").symlink_to(tmp_path / "out.raw")
    (inside / "folder").symlink_to(tmp_path)
    names = [name.format(out=tmp_path / "out.raw")]
    with pytest.raises(FormatError, match=r"outside its folder .*--trust-paths"):
        data_sizes(inside / "h", names)
    assert data_sizes(inside / "h", names, trust_paths=True).tolist() == [5]


def test_a_folder_reached_through_a_link_is_its_own(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.raw").write_bytes(b"123")
    (tmp_path / "real" / "b.raw").symlink_to("a.raw")
    (tmp_path / "there").symlink_to("real")
    assert data_sizes(tmp_path / "there" / "h", ["a.raw", "b.raw", "./a.raw"]).tolist() == [3, 3, 3]


def test_the_fingerprint_follows_header_sizes_and_ends(tmp_path: Path) -> None:
    names = written(tmp_path, 1)

    def print_of(header: bytes) -> str:
        return fingerprint(header, tmp_path, names, data_sizes(tmp_path / "h", names))

    first = print_of(b"a")
    assert print_of(b"a") == first != print_of(b"b")
    (tmp_path / "p4.raw").write_bytes((tmp_path / "p4.raw").read_bytes()[:-1] + b"z")
    assert print_of(b"a") != first


def test_text_is_read_as_numbers(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("head 1 2,3\n4 5 6\n7")
    source = text_source(tmp_path / "t", 5, (1, 2, 3), np.dtype("i2"), "id")
    assert source.read((slice(0, 1), slice(0, 2), slice(0, 3))).tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert source.fingerprint == "id"
    with pytest.raises(DamagedError, match="holds 7 numbers where its header promises 8"):
        text_source(tmp_path / "t", 5, (2, 2, 2), np.dtype("i2"))
    with pytest.raises(FormatError, match="no int16"):
        text_source(tmp_path / "t", 0, (2, 2, 2), np.dtype("i2"))
