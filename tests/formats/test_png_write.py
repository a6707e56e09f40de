"""Writing PNG slices: other programs read the same grey values, and the sidecar keeps the place."""

from __future__ import annotations

import pickle
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol.errors import BudgetError, InputError
from chunkvol.formats.png import png_bytes, prepare_png_slices
from chunkvol.formats.sidecar import read_sidecar, sidecar_of
from chunkvol.memory import MIB
from chunkvol.metadata import Metadata, Rescale
from chunkvol.volume import Volume
from tests.support.grids import GRIDS, noise_volume, oblique_grid
from tests.support.writing import planned, tree_bytes, written

SHAPE = (5, 7, 11)


def by_imagecodecs(data: bytes) -> Any:
    return pytest.importorskip("imagecodecs").png_decode(data)


def by_pillow(data: bytes) -> Any:
    import io

    image = pytest.importorskip("PIL.Image")
    with image.open(io.BytesIO(data)) as found:
        return np.asarray(found)


def by_itk(data: bytes, folder: Path) -> Any:
    itk = pytest.importorskip("SimpleITK")
    (folder / "one.png").write_bytes(data)
    return itk.GetArrayFromImage(itk.ReadImage(str(folder / "one.png")))


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a file, their checksums checked."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    found, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert int.from_bytes(data[at + 8 + length : at + 12 + length], "big") == zlib.crc32(kind + body)
        found.append((kind, body))
        at += 12 + length
    return found


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", ["uint8", "uint16"])
def test_voxels_and_the_whole_grid_are_kept(tmp_path: Path, kind: str, grid: str) -> None:
    volume = noise_volume(GRIDS[grid](SHAPE), kind)
    written(prepare_png_slices, volume, tmp_path / "scan")
    paths = sorted((tmp_path / "scan").glob("*.png"))
    assert [path.name for path in paths] == [f"scan_000{k}.png" for k in range(5)]
    for k, path in enumerate(paths):
        for read in (by_imagecodecs, by_pillow):
            found = read(path.read_bytes())
            assert found.dtype == kind
            assert np.array_equal(found, volume.data[k])
    sidecar = read_sidecar(sidecar_of(tmp_path / "scan"))
    assert sidecar is not None
    assert sidecar[0] == volume.geometry


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 17), (17, 1), (700, 1301), (3, 600_001)])
def test_images_of_any_shape_are_read(tmp_path: Path, kind: str, shape: tuple[int, int]) -> None:
    plane = noise_volume(oblique_grid((1, *shape)), kind).data[0]
    data = png_bytes(plane, (0.5, 0.3))
    assert np.array_equal(by_imagecodecs(data).reshape(shape), plane)
    if max(shape) < 10_000:
        assert np.array_equal(by_itk(data, tmp_path), plane)


def test_the_file_is_made_of_what_the_standard_asks_for() -> None:
    plane = noise_volume(oblique_grid((1, 700, 1301)), "uint16").data[0]
    chunks = chunks_of(png_bytes(plane, (0.5, 0.3)))
    kinds = [kind for kind, _ in chunks]
    assert kinds[:2] == [b"IHDR", b"pHYs"]
    assert kinds[-1] == b"IEND"
    assert set(kinds[2:-1]) == {b"IDAT"}
    assert chunks[0][1] == (1301).to_bytes(4, "big") + (700).to_bytes(4, "big") + bytes([16, 0, 0, 0, 0])
    assert chunks[1][1] == (3333).to_bytes(4, "big") + (2000).to_bytes(4, "big") + b"\1"
    raw = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    assert len(raw) == 700 * (1 + 2 * 1301)


def test_a_spacing_beyond_whole_pixels_per_metre_is_left_to_the_sidecar() -> None:
    plane = np.zeros((3, 4), "uint8")
    assert b"pHYs" not in png_bytes(plane, (1e-9, 0.3))
    assert b"pHYs" not in png_bytes(plane, (3000.0, 0.3))


def chunked(array: Any, **chunks: Any) -> Any:
    import dask.array

    make: Any = dask.array.from_array  # untyped
    return make(array, **chunks)


@pytest.mark.parametrize("shape", [(30, 130, 150), (3, 700, 1100), (1, 1, 1)])
def test_bytes_do_not_depend_on_workers_budget_or_chunks(tmp_path: Path, shape: Any) -> None:
    array = noise_volume(oblique_grid(shape)).data
    found = []
    for number, source in enumerate((array, chunked(array, chunks=(32, 40, 50)))):
        for workers, budget in ((1, 1 << 30), (3, 60 * MIB)):
            folder = tmp_path / f"{number}-{workers}"
            folder.mkdir()
            written(
                prepare_png_slices, Volume(source, oblique_grid(shape)), folder / "x", workers=workers, budget=budget
            )
            found.append(tree_bytes(folder))
    assert all(one == found[0] for one in found[1:])


def test_a_job_can_be_sent_to_other_processes() -> None:
    job = planned(prepare_png_slices, noise_volume(oblique_grid(SHAPE)), Path("x"))
    assert pickle.loads(pickle.dumps(job)).plan == job.plan


def test_real_values_are_written_and_the_type_is_said(tmp_path: Path) -> None:
    array = np.arange(385, dtype="uint16").reshape(SHAPE)
    volume = Volume(array, oblique_grid(SHAPE), Metadata(Rescale(1, 1000), stored_range=(0, 4095)))
    written(prepare_png_slices, volume, tmp_path / "x")
    assert np.array_equal(by_imagecodecs((tmp_path / "x" / "x_0003.png").read_bytes()), array[3] + 1000)
    plan = planned(prepare_png_slices, noise_volume(oblique_grid(SHAPE)), Path("x")).plan
    assert any("no origin and no direction" in note for note in plan.notes)


@pytest.mark.parametrize("kind", ["int8", "int16", "uint32", "float32"])
def test_other_types_are_refused_with_the_way_out(kind: str) -> None:
    with pytest.raises(InputError, match=f"uint8 or uint16, not {kind}: --dtype uint8 --window auto"):
        planned(prepare_png_slices, Volume(np.zeros(SHAPE, kind), oblique_grid(SHAPE)), Path("x"))


def test_a_budget_that_fits_nothing_names_the_smallest_that_does() -> None:
    array = chunked(np.zeros((1, 2000, 2000), "uint16").repeat(20, 0), chunks=(1, -1, -1))
    volume = Volume(array, oblique_grid(array.shape))
    with pytest.raises(BudgetError, match=r"smallest that fits is --memory (\d+)MiB") as error:
        planned(prepare_png_slices, volume, Path("x"), budget=20 * MIB)
    smallest = int(str(error.value).split()[-1].removesuffix("MiB")) * MIB
    planned(prepare_png_slices, volume, Path("x"), budget=smallest)
