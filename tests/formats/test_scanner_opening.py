"""Opening what a scanner's file describes: raw volumes by byte range, frames, lengths that must be right."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol import Geometry, Volume
from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.scanner import opening
from chunkvol.formats.scanner.opening import is_scanner_file, open_scanner_file
from chunkvol.progress import Silent
from chunkvol.sources import RawSource
from tests.support import scanners
from tests.support.scanners import ARRAY


def opened(path: Path, **options: Any) -> Volume:
    return open_scanner_file(path, Silent(), **options)


# -------------------------------------------------------------------------------------------------- one raw file


@pytest.mark.parametrize("make", [scanners.phoenix, scanners.nikon, scanners.vgstudio])
def test_a_raw_volume_has_the_voxels_and_the_size_that_its_text_tells(tmp_path: Path, make: Any) -> None:
    text = make(tmp_path)
    raw = scanners.raw(tmp_path, text.stem + ".vol")
    for path in (text, raw):
        volume = opened(path)
        assert isinstance(volume.source, RawSource)
        np.testing.assert_array_equal(volume, ARRAY)
        np.testing.assert_array_equal(volume.read(np.s_[2:5, 1:4, 1:3]), ARRAY[2:5, 1:4, 1:3])
        wanted = (0.0102906534448266,) * 3 if make is scanners.phoenix else (0.05, 0.03, 0.02)
        assert volume.geometry == Geometry((6, 5, 4), (0, 0, 0), wanted)
        assert not volume.metadata.assumed


@pytest.mark.parametrize("stored", ["u1", "<u2", "<f4"])
def test_the_type_of_a_nikon_volume_without_a_vgi_follows_from_its_length(tmp_path: Path, stored: str) -> None:
    scanners.raw(tmp_path, "beetle.vol", ARRAY.astype(stored))
    volume = opened(scanners.nikon(tmp_path))
    assert volume.dtype == np.dtype(stored)
    np.testing.assert_array_equal(volume, ARRAY.astype(stored))
    assert f"by its size they are taken to be {np.dtype(stored).name}" in volume.metadata.problems[0]


def test_big_endian_voxels_behind_a_header_are_read(tmp_path: Path) -> None:
    (tmp_path / "bug.vol").write_bytes(b"0123456789" + ARRAY.astype(">i2").tobytes())
    volume = opened(scanners.vgstudio(tmp_path, kind="signed integer", more="SkipHeader = 10\nEndian = Big"))
    assert volume.dtype == np.dtype("int16")
    np.testing.assert_array_equal(volume, ARRAY)


def test_the_type_on_disk_is_read_where_that_in_memory_differs(tmp_path: Path) -> None:
    values = ARRAY.astype("<f4") / 7
    scanners.raw(tmp_path, "bug.vol", values)
    np.testing.assert_array_equal(opened(scanners.vgstudio(tmp_path, kind="float", bits=32)), values)


def test_facts_travel_in_the_metadata_and_name_nobody(tmp_path: Path) -> None:
    scanners.raw(tmp_path, "bird.vol")
    volume = opened(scanners.phoenix(tmp_path))
    assert volume.metadata.extra["scanner"] == {"vendor": "GE phoenix", "grey_range": [-0.0885, 3.2747]}
    assert "Jones" not in json.dumps(volume.metadata.to_json())


def test_a_source_is_picklable_and_its_fingerprint_follows_text_and_voxels(tmp_path: Path) -> None:
    raw, text = scanners.raw(tmp_path, "bird.vol"), scanners.phoenix(tmp_path)
    first = opened(text)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(first.source)).read(np.s_[0:6, 0:5, 0:4]), ARRAY)
    assert opened(raw).source.fingerprint == first.source.fingerprint
    scanners.raw(tmp_path, "bird.vol", ARRAY + 1)
    second = opened(text).source.fingerprint
    scanners.phoenix(tmp_path, size="0.02")
    assert len({first.source.fingerprint, second, opened(text).source.fingerprint}) == 3


def test_a_volume_of_terabytes_is_opened_without_reading_it(tmp_path: Path) -> None:
    text = scanners.phoenix(tmp_path)
    content = text.read_text()
    for axis, length in (("X", 5000), ("Y", 6000), ("Z", 70000)):
        content = content.replace(f"Size{axis}={scanners.ARRAY.shape['ZYX'.index(axis)]}", f"Size{axis}={length}")
    text.write_text(content)
    raw = tmp_path / "bird.vol"
    try:
        with open(raw, "wb") as file:
            os.truncate(file.fileno(), 2 * 5000 * 6000 * 70000)
    except OSError:
        pytest.skip("the file system has no sparse files of 4 TB")
    volume = opened(text)
    assert volume.shape == (70000, 6000, 5000)
    assert volume.read(np.s_[69999:70000, 5999:6000, 4999:5000]) == 0
    raw.unlink()


# ---------------------------------------------------------------------------------------------- place and frames


def test_the_caller_overrules_the_text(tmp_path: Path) -> None:
    scanners.raw(tmp_path, "beetle.vol")
    volume = opened(scanners.nikon(tmp_path), spacing=(1, 2, 3), origin=(7, 8, 9), orientation="RAS")
    assert volume.geometry.spacing == (1, 2, 3)
    np.testing.assert_allclose(volume.geometry.index_to_world([1, 1, 1]), [7 - 3, 8 - 2, 9 + 1])
    assert any("beetle.xtekct says 0.02 x 0.03 x 0.05 mm" in problem for problem in volume.metadata.problems)


def test_a_frame_places_a_raw_volume(tmp_path: Path) -> None:
    scanners.raw(tmp_path, "beetle.vol")
    grid = opened(scanners.nikon(tmp_path), frame="skyscan").geometry
    np.testing.assert_allclose(grid.index_to_world([1, 1, 1]), [0.02, -0.05, -0.03])


def test_a_frame_beside_an_origin_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--frame imagestacks says where the voxels lie"):
        opened(scanners.nikon(tmp_path), frame="imagestacks", origin=(0, 0, 0))


def test_a_size_that_no_text_states_is_assumed(tmp_path: Path) -> None:
    scanners.raw(tmp_path, "bird.vol")
    path = scanners.phoenix(tmp_path, size="")
    volume = opened(path)
    assert volume.metadata.assumed
    assert "1 mm is assumed" in volume.metadata.problems[0]
    path.with_suffix(".pca").write_text("[Geometry]\nVoxelSizeX=0.01\n")
    volume = opened(path)
    assert (volume.geometry.spacing, volume.metadata.assumed) == ((0.01, 0.01, 0.01), True)
    assert not opened(path, spacing=(0.1, 0.1, 0.1)).metadata.assumed


def test_mirrored_axes_are_told_to_who_says_nothing_of_the_axes(tmp_path: Path) -> None:
    scanners.raw(tmp_path, "bug.vol")
    path = scanners.vgstudio(tmp_path, more="Mirror = 0 0 1")
    assert "--orientation LPI" in opened(path).metadata.problems[-1]
    assert opened(path, orientation="LPI").metadata.problems == ()
    assert opened(path, frame="imagestacks").metadata.problems == ()


# --------------------------------------------------------------------------------------- which file, and its length


@pytest.mark.parametrize("change", [-1, 1, -48, 48])
def test_a_raw_file_of_another_length_is_refused_with_both_numbers(tmp_path: Path, change: int) -> None:
    (tmp_path / "bird.vol").write_bytes(bytes(240 + change))
    with pytest.raises(
        DamagedError, match=rf"bird\.vol holds {240 + change} bytes .* promises 240 \(uint16\), for 4 x"
    ):
        opened(scanners.phoenix(tmp_path))


def test_a_length_that_fits_no_type_is_refused(tmp_path: Path) -> None:
    (tmp_path / "beetle.vol").write_bytes(bytes(360))
    with pytest.raises(DamagedError, match=r"promises 120 \(uint8\) or 240 \(uint16\) or 480 \(float32\)"):
        opened(scanners.nikon(tmp_path))


def test_a_header_that_skips_more_than_there_is_is_refused(tmp_path: Path) -> None:
    scanners.raw(tmp_path, "bug.vol")
    with pytest.raises(DamagedError, match="holds 0 bytes of voxels"):
        opened(scanners.vgstudio(tmp_path, more="SkipHeader = 2000000000"))


def test_a_missing_raw_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"bird\.vol, which does not exist"):
        opened(scanners.phoenix(tmp_path))


def test_a_path_out_of_the_folder_is_followed_only_on_demand(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    raw = scanners.raw(tmp_path, "elsewhere.raw")
    path = scanners.vgstudio(folder, name=str(raw))
    with pytest.raises(InputError, match="does not exist"):
        opened(path)
    np.testing.assert_array_equal(opened(path, trust_paths=True), ARRAY)


def test_two_texts_that_disagree_on_one_raw_file_are_refused(tmp_path: Path) -> None:
    raw = scanners.raw(tmp_path, "bird.vol")
    scanners.phoenix(tmp_path)
    other = scanners.vgstudio(tmp_path, "bird.vgi", name="bird.vol")
    np.testing.assert_array_equal(opened(raw), ARRAY)
    other.write_text(other.read_text().replace("Size = 4 5 6", "Size = 4 6 5"))
    with pytest.raises(InputError, match=r"bird\.pcr and bird\.vgi say different sizes of bird\.vol"):
        opened(raw)


def test_choosing_slices_of_one_raw_file_is_refused(tmp_path: Path) -> None:
    scanners.raw(tmp_path, "bird.vol")
    with pytest.raises(InputError, match=r"bird\.vol is one raw file: --pattern, --slices and --reverse"):
        opened(scanners.phoenix(tmp_path), slices=slice(1, 3))


def test_scanner_files_are_known_by_content(tmp_path: Path) -> None:
    makers = (scanners.skyscan, scanners.nikon, scanners.vgstudio, scanners.phoenix)
    assert all(is_scanner_file(make(tmp_path)) for make in makers)
    assert is_scanner_file(scanners.skyscan(tmp_path, "broken.log", pixel="0"))
    assert is_scanner_file(scanners.raw(tmp_path, "bird.vol"))
    (tmp_path / "run.log").write_text("[12:00]\nx=1\n")
    assert not is_scanner_file(tmp_path / "run.log")
    assert not is_scanner_file(scanners.raw(tmp_path, "alone.vol"))
    assert not is_scanner_file(tmp_path / "absent.pcr")


def test_a_folder_with_one_raw_file_is_opened_by_its_text(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"")
    scanners.phoenix(tmp_path)
    assert not is_scanner_file(tmp_path)
    scanners.raw(tmp_path, "bird.vol")
    assert is_scanner_file(tmp_path)
    volume = opened(tmp_path)
    assert volume.geometry == opened(tmp_path / "bird.vol").geometry
    np.testing.assert_array_equal(volume.read(), ARRAY)
    scanners.vgstudio(tmp_path)
    scanners.raw(tmp_path, "bug.vol")
    with pytest.raises(InputError, match=r"holds 2 raw volumes: name one, such as bird\.vol"):
        opened(tmp_path)


def test_a_folder_whose_slices_belong_to_its_text_is_left_to_the_reader_of_stacks(tmp_path: Path) -> None:
    scanners.phoenix(tmp_path)
    scanners.raw(tmp_path, "bird.vol")
    for n in range(len(ARRAY)):
        (tmp_path / f"bird_{n:04d}.tif").write_bytes(b"")
    assert not is_scanner_file(tmp_path)


def test_slices_in_a_folder_below_a_text_are_named(tmp_path: Path) -> None:
    text = scanners.nikon(tmp_path)
    assert not is_scanner_file(tmp_path)
    (tmp_path / "slices").mkdir()
    (tmp_path / "slices" / "beetle_0000.tif").write_bytes(b"")
    for path in (tmp_path, text):
        assert is_scanner_file(path)
        with pytest.raises(InputError, match=r"beetle\.xtekct has no slices beside it: name their folder, as .*slices"):
            opened(path)


def test_a_log_without_a_reconstruction_is_refused_as_an_input(tmp_path: Path) -> None:
    path = scanners.skyscan(tmp_path)
    path.write_text(path.read_text().partition("[Reconstruction]")[0])
    with pytest.raises(FormatError, match=r"log of a scan without a reconstruction.*name the folder of slices"):
        opened(path)


def test_another_text_is_refused_as_an_input(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("nothing")
    with pytest.raises(FormatError, match="no file of SkyScan, Nikon, GE phoenix or VGStudio"):
        opened(tmp_path / "run.log")
    with pytest.raises(FormatError, match=r"no \.pcr, \.xtekct or \.vgi beside it"):
        opened(scanners.raw(tmp_path, "alone.vol"))


# ------------------------------------------------------------------------------------------------ slices beside it


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the reader of stacks is asked for."""
    given: dict[str, Any] = {}

    def fake(folder: Path, progress: Any, **options: Any) -> Volume:
        given.update(options, folder=folder)
        return Volume(ARRAY, Geometry(ARRAY.shape))

    monkeypatch.setattr(opening, "open_stack", fake)
    return given


def test_a_log_opens_the_slices_that_it_names(tmp_path: Path, asked: dict[str, Any]) -> None:
    for n in range(6):
        (tmp_path / f"Mouse__rec{n:04d}.bmp").touch()
    (tmp_path / "Mouse__rec_spr.bmp").touch()
    path = scanners.skyscan(tmp_path)
    opened(path, reverse=True, spacing=(1, 1, 1))
    assert (asked["folder"], asked["facts"].path, asked["reverse"]) == (tmp_path, path, True)
    assert (asked["pattern"], asked["spacing"]) == ("Mouse__rec[0-9]*", (1, 1, 1))
    opened(path, pattern="*.tif")
    assert asked["pattern"] == "*.tif"


def test_a_log_that_does_not_count_its_slices_opens_them(tmp_path: Path, asked: dict[str, Any]) -> None:
    for n in range(3):
        (tmp_path / f"mouse__rec{n:04d}.bmp").touch()
    (tmp_path / "mouse__rec_spr.bmp").touch()
    path = scanners.skyscan(tmp_path)
    lines = [line for line in path.read_text().splitlines() if not line.startswith(("Sections Count", "Section to"))]
    path.write_text("\n".join(lines))
    opened(path)
    assert asked["pattern"] == "mouse__rec[0-9]*"
    assert (asked["facts"].count, asked["facts"].spacing) == (None, (0.01, 0.01, 0.01))


def test_a_name_with_a_separator_and_brackets_becomes_a_pattern(tmp_path: Path, asked: dict[str, Any]) -> None:
    for n in range(6):
        (tmp_path / f"[a]_{n:04d}.tif").touch()
    (tmp_path / "overview.tif").touch()
    opened(scanners.nikon(tmp_path, OutputName="[a]"))
    assert asked["pattern"] == "[[]a]_[0-9]*"


def test_slices_that_are_picked_from_others_are_counted(tmp_path: Path, asked: dict[str, Any]) -> None:
    for n in range(5):
        (tmp_path / f"mouse__rec{n:04d}.bmp").touch()
        (tmp_path / f"rat__rec{n:04d}.bmp").touch()
    path = scanners.skyscan(tmp_path)
    with pytest.raises(GeometryError, match="says 6 slices of 4 x 5 pixels and there are 5 slices of 4 x 5 pixels"):
        opened(path)
    opened(path, spacing=(1, 1, 1))
    assert asked["pattern"] == "mouse__rec[0-9]*"


def test_slices_of_any_name_are_left_to_the_reader_of_stacks(tmp_path: Path, asked: dict[str, Any]) -> None:
    for n in range(6):
        (tmp_path / f"renamed{n}.png").touch()
    opened(scanners.phoenix(tmp_path))
    assert asked["pattern"] is None


def test_a_text_without_slices_beside_it_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no slices beside it: name their folder"):
        opened(scanners.skyscan(tmp_path))


def test_projections_beside_a_text_are_refused(tmp_path: Path) -> None:
    for n in range(11):
        (tmp_path / f"beetle_{n:04d}.tif").touch()
    with pytest.raises(GeometryError, match=r"the 11 images beside .* are the projections of its scan, not slices"):
        opened(scanners.nikon(tmp_path))
