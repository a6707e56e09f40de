"""A NRRD header in front of DICOM slices: other programs see the same voxels in their place, or it is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from chunkvol import Geometry, open_volume, output
from chunkvol.errors import DamagedError, DiskError, FormatError, GeometryError, InputError, OutputError
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.front import Fronted, write_header
from tests.support.enhanced import frames_of, write_enhanced
from tests.support.grids import GRIDS
from tests.support.series import oblique, write_plane, write_series

SHAPE = (7, 6, 5)
KINDS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")


def values(kind: str = "uint16", shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind.startswith("float"):
        return rng.normal(0, 100, shape).astype(kind)
    bounds = np.iinfo(kind)
    return rng.integers(bounds.min, bounds.max, shape, kind, endpoint=True)


def longer(k: int, image: Any) -> None:
    """Headers of different lengths, and no slope."""
    image.ImageComments = "c" * (37 * k + 1)
    image.RescaleSlope, image.RescaleIntercept = "1", "0"


def fronted(folder: Path, name: str = "scan.nhdr", **more: Any) -> Fronted:
    return write_header(folder / "dicom", folder / name, **more)


def by_itk(path: Path) -> tuple[np.ndarray, Geometry]:
    sitk: Any = pytest.importorskip("SimpleITK")
    image = sitk.ReadImage(str(path))
    steps = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    array = sitk.GetArrayFromImage(image)
    return array, Geometry.from_steps(array.shape, image.GetOrigin(), steps.T[::-1])


def by_teem(path: Path, folder: Path) -> tuple[np.ndarray, Geometry]:
    if shutil.which("teem-unu") is None:
        pytest.skip("teem-unu is not installed (Debian: teem-apps)")
    out = folder / "teem.nrrd"
    subprocess.run(["teem-unu", "save", "-f", "nrrd", "-e", "raw", "-i", path, "-o", out], check=True)
    volume = open_volume(out)
    return volume.read(), volume.geometry


def agree(header: Path, scratch: Path, array: np.ndarray, geometry: Geometry) -> None:
    """ITK, Teem and chunkvol see these stored values in this place."""
    own = open_volume(header, trust_paths=True)
    for found, grid in (by_itk(header), by_teem(header, scratch), (own.read(), own.geometry)):
        assert found.dtype == array.dtype
        assert np.array_equal(found, array)
        assert grid.is_close(geometry, 1e-6)


# -------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("kind", KINDS)
def test_itk_teem_and_chunkvol_read_the_same_voxels(tmp_path: Path, kind: str) -> None:
    write_series(tmp_path / "dicom", values(kind), oblique(SHAPE), order="shuffled", edit=longer)
    done = fronted(tmp_path)
    lengths = {path.stat().st_size for path in (tmp_path / "dicom").iterdir()}
    assert len(lengths) == SHAPE[0]
    scan = open_volume(tmp_path / "dicom")
    assert (done.geometry, done.dtype) == (scan.geometry, scan.dtype)
    agree(done.path, tmp_path, scan.read(), scan.geometry)


@pytest.mark.parametrize("grid", [name for name in GRIDS if name != "sheared"])
def test_any_direction_is_kept(tmp_path: Path, grid: str) -> None:
    write_series(tmp_path / "dicom", values(), GRIDS[grid](SHAPE), edit=longer)
    scan = open_volume(tmp_path / "dicom")
    done = fronted(tmp_path)
    agree(done.path, tmp_path, scan.read(), scan.geometry)
    for k in (0, 3):
        image = pydicom.dcmread(tmp_path / done.names[k])
        assert np.array_equal(image.pixel_array, scan.read()[k])
        assert np.allclose(scan.geometry.index_to_world((k, 0, 0)), np.array(image.ImagePositionPatient, float))


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, "mixed"])
def test_implicit_files_are_read_too(tmp_path: Path, syntax: str) -> None:
    for k in range(SHAPE[0]):
        (tmp_path / "dicom").mkdir(exist_ok=True)
        one = ExplicitVRLittleEndian if syntax == "mixed" and k % 2 else ImplicitVRLittleEndian
        path = tmp_path / "dicom" / f"{k}.dcm"
        write_plane(path, values()[k], oblique(SHAPE), k, transfer_syntax=one, edit=longer)
    scan = open_volume(tmp_path / "dicom")
    agree(fronted(tmp_path).path, tmp_path, values(), scan.geometry)


@pytest.mark.parametrize("where", ["dicom/scan.nhdr", "scan.nhdr", "beside/scan.nhdr", "link/scan.nhdr"])
def test_the_header_may_lie_in_the_folder_above_it_or_beside_it(tmp_path: Path, where: str) -> None:
    write_series(tmp_path / "dicom" / "deep er", values(), oblique(SHAPE), edit=longer)
    (tmp_path / "beside").mkdir()
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "away")
    scan = open_volume(tmp_path / "dicom")
    done = fronted(tmp_path, where)
    agree(tmp_path / where, tmp_path, scan.read(), scan.geometry)
    outside = [note for note in done.notes if "--trust-paths" in note]
    assert bool(outside) == where.startswith(("beside", "link"))
    if outside:
        with pytest.raises(FormatError, match="outside its folder"):
            open_volume(tmp_path / where)


def test_a_header_can_be_moved_with_its_files(tmp_path: Path) -> None:
    write_series(tmp_path / "one" / "dicom", values(), oblique(SHAPE), edit=longer)
    fronted(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "two")
    assert np.array_equal(open_volume(tmp_path / "two" / "scan.nhdr").read(), values())


# -------------------------------------------------------------------------------------------------------- the values


def test_a_rescale_is_told_and_kept_in_keys_that_chunkvol_heeds(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom", values(), oblique(SHAPE))
    done = fronted(tmp_path)
    assert any("the real ones (HU) are 2 * stored - 1024, as the keys" in note for note in done.notes)
    lines = done.path.read_text().splitlines()
    assert {"RescaleSlope:=2.0", "RescaleIntercept:=-1024.0", "RescaleType:=HU", "byte skip: -1"} <= {*lines}
    assert lines[-SHAPE[0] - 1] == "data file: LIST"
    scan, found = open_volume(tmp_path / "dicom"), open_volume(done.path)
    assert found.metadata.rescale == scan.metadata.rescale
    assert np.array_equal(found.values.read(), scan.values.read())
    assert np.array_equal(by_itk(done.path)[0], values())
    assert np.array_equal(by_teem(done.path, tmp_path)[0], values())


def test_the_keys_of_other_programs_mean_nothing(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom", values(), oblique(SHAPE))
    done = fronted(tmp_path)
    text = done.path.read_text()
    done.path.write_text(text.replace("chunkvol_version", "other_version"))
    assert open_volume(done.path).metadata.rescale.is_identity
    done.path.write_text(text.replace("Slope:=2.0", "Slope:=nan"))
    with pytest.raises(FormatError, match="RescaleSlope and RescaleIntercept must be finite numbers"):
        open_volume(done.path)


def test_empty_bits_beside_the_values_are_told(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom", values() % 4096, oblique(SHAPE), bits_stored=12, edit=longer)
    done = fronted(tmp_path)
    assert any("values have 12 of 16 bits" in note and "in the 3 slices" in note for note in done.notes)
    agree(done.path, tmp_path, values() % 4096, done.geometry)


def test_monochrome1_is_told(tmp_path: Path) -> None:
    def edit(k: int, image: Any) -> None:
        longer(k, image)
        image.PhotometricInterpretation = "MONOCHROME1"

    write_series(tmp_path / "dicom", values(), oblique(SHAPE), edit=edit)
    assert any("MONOCHROME1" in note for note in fronted(tmp_path).notes)


def test_nothing_of_the_patient_and_no_path_is_written(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom", values(), oblique(SHAPE))
    text = fronted(tmp_path).path.read_text()
    assert "Secret" not in text
    assert str(tmp_path) not in text


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("syntax", "message"),
    [
        (RLELossless, "pixels in RLE Lossless"),
        (ExplicitVRBigEndian, "pixels in Explicit VR Big Endian"),
        (DeflatedExplicitVRLittleEndian, "pixels in Deflated Explicit VR Little Endian"),
    ],
)
def test_other_codings_are_refused(tmp_path: Path, syntax: str, message: str) -> None:
    write_series(tmp_path / "dicom", values(), oblique(SHAPE), transfer_syntax=syntax)
    with pytest.raises(FormatError, match=rf"{message}, which no header can describe; chunkvol convert copies"):
        fronted(tmp_path)
    assert not (tmp_path / "scan.nhdr").exists()


def test_padding_to_an_even_length_is_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom", values("uint8", (7, 3, 5)), oblique((7, 3, 5)))
    with pytest.raises(FormatError, match=r"dcm has 1 bytes after its pixels \(padding to an even length\)"):
        fronted(tmp_path)


def test_one_file_with_an_element_behind_its_pixels_is_refused(tmp_path: Path) -> None:
    def edit(k: int, image: Any) -> None:
        if k == 4:
            image.add_new(0xFFFCFFFC, "OB", bytes(10))

    paths = write_series(tmp_path / "dicom", values(), oblique(SHAPE), edit=edit)
    with pytest.raises(
        FormatError, match=rf"{paths[4].name} has 22 bytes after its pixels \(element \(FFFC,FFFC\) Data Set Trailing"
    ):
        fronted(tmp_path)


def test_bytes_behind_the_data_set_are_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "dicom", values(), oblique(SHAPE))
    with open(paths[6], "ab") as file:
        file.write(b"\0\0")
    with pytest.raises(FormatError, match=r"has 2 bytes after its pixels \(no element\)"):
        fronted(tmp_path)


def test_a_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "dicom", values(), oblique(SHAPE))
    os.truncate(paths[2], paths[2].stat().st_size - 4)
    with pytest.raises(DamagedError, match=paths[2].name):
        fronted(tmp_path)


def test_other_bits_are_refused(tmp_path: Path) -> None:
    def shifted(k: int, image: Any) -> None:
        image.HighBit = 13

    write_series(tmp_path / "a" / "dicom", values(), oblique(SHAPE), bits_stored=12, edit=shifted)
    with pytest.raises(FormatError, match="values in bits 2 to 13 of its pixels"):
        fronted(tmp_path / "a")
    overlaid = values() % 4096
    overlaid[3, 2, 2] |= 0x8000
    write_series(tmp_path / "b" / "dicom", overlaid, oblique(SHAPE), bits_stored=12)
    with pytest.raises(FormatError, match="other bits beside the 12 of its values"):
        fronted(tmp_path / "b")


def test_slopes_by_plane_are_refused(tmp_path: Path) -> None:
    def edit(k: int, image: Any) -> None:
        image.RescaleSlope = str(k + 1)

    write_series(tmp_path / "dicom", values(), oblique(SHAPE), edit=edit)
    with pytest.raises(FormatError, match="the slope changes from plane to plane"):
        fronted(tmp_path)


def test_frames_of_one_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dicom").mkdir()
    write_enhanced(tmp_path / "dicom" / "x.dcm", frames_of(values(), oblique(SHAPE)))
    with pytest.raises(FormatError, match=r"x\.dcm holds several frames"):
        fronted(tmp_path)


def test_colour_is_refused(tmp_path: Path) -> None:
    def edit(k: int, image: Any) -> None:
        image.SamplesPerPixel, image.PhotometricInterpretation, image.PlanarConfiguration = 3, "RGB", 0
        image.PixelData = np.repeat(values("uint8")[k].ravel(), 3).tobytes()

    write_series(tmp_path / "dicom", values("uint8"), oblique(SHAPE), edit=edit)
    with pytest.raises(FormatError, match="3 samples a pixel"):
        fronted(tmp_path)


def test_what_the_reader_of_series_refuses_is_refused(tmp_path: Path) -> None:
    paths = write_series(tmp_path / "dicom", values(), oblique(SHAPE))
    paths[3].unlink()
    with pytest.raises(GeometryError, match="missing"):
        fronted(tmp_path)
    with pytest.raises(InputError, match="computed from those of the files"):
        fronted(tmp_path, options=ReadOptions(gaps="fill"))


def test_one_of_two_images_at_a_place_can_be_chosen(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom", values(), oblique(SHAPE))

    def edit(k: int, image: Any) -> None:
        image.InstanceNumber, image.SOPInstanceUID = 1, "1.2.3"

    write_plane(tmp_path / "dicom" / "other.dcm", values(seed=1)[2], oblique(SHAPE), 2, edit=edit)
    with pytest.raises(GeometryError, match="--duplicates"):
        fronted(tmp_path)
    assert "dicom/other.dcm" in fronted(tmp_path, options=ReadOptions(duplicates="first")).names
    done = fronted(tmp_path, overwrite=True, options=ReadOptions(duplicates="last"))
    assert "dicom/other.dcm" not in done.names
    assert np.array_equal(open_volume(done.path).read(), values())


@pytest.mark.parametrize("name", ["a\nb.dcm", "a\rb.dcm", "a.dcm ", os.fsdecode(b"\xff.dcm")])
def test_names_that_no_line_holds_are_refused(tmp_path: Path, name: str) -> None:
    paths = write_series(tmp_path / "dicom", values(), oblique(SHAPE))
    try:
        paths[0].rename(paths[0].with_name(name))
    except OSError:
        pytest.skip("the file system has no such names")
    with pytest.raises(InputError, match="cannot stand in a NRRD header"):
        fronted(tmp_path)


def test_the_output_is_a_header_that_is_not_there_yet(tmp_path: Path) -> None:
    write_series(tmp_path / "dicom", values(), oblique(SHAPE))
    with pytest.raises(InputError, match=r"scan\.nrrd is to be a detached NRRD header, whose name ends in \.nhdr"):
        fronted(tmp_path, "scan.nrrd")
    first = fronted(tmp_path).path.read_bytes()
    with pytest.raises(OutputError, match="exists"):
        fronted(tmp_path)
    assert fronted(tmp_path, overwrite=True).path.read_bytes() == first
    with pytest.raises(OutputError, match="does not exist"):
        fronted(tmp_path, "nowhere/scan.nhdr")


def test_nothing_is_left_of_a_write_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path / "dicom", values(), oblique(SHAPE))

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(output, "_sync_tree", full)
    with pytest.raises(DiskError):
        fronted(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["dicom"]
