"""What every format keeps: each voxel at its place in the world, with its value, however it is stored."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Volume
from chunkvol.errors import ChunkvolError, InputError
from chunkvol.formats import FORMATS, Format, format_for_reading, format_for_writing
from chunkvol.formats.traits import is_sheared
from chunkvol.metadata import Metadata, Rescale
from tests.support.grids import GRIDS, noise_volume

SHAPE = (5, 6, 7)
WRITERS = [row for row in FORMATS.values() if row.prepare is not None and row.traits.limit != "one plane"]
KINDS = {"png-slices": "uint16", "imagej": "uint16", "seg-nrrd": "uint8", "dicom": "int16", "ome-tiff": "uint16"}
"""Of voxels that the format holds; int16 where nothing is said."""
ROUNDING = {"nifti": 1e-4, "dicom": 1e-6}
"""Of the finest spacing, by which a voxel may be off its place."""


def target_of(row: Format, folder: Path) -> Path:
    return folder / f"out{row.suffixes[0] if row.suffixes else ''}"


def opened(row: Format, path: Path) -> Volume:
    """What was written; a sheared series is not taken without a word."""
    return chunkvol.open_volume(path, **({"tilt": "keep"} if row.key == "dicom" else {}))


def written(volume: Volume, row: Format, folder: Path, **options: Any) -> Path:
    target = target_of(row, folder)
    chunkvol.write_volume(volume, target, format=row.key, **options)
    return target


def at_their_places(found: Volume, original: Volume, off: float) -> np.ndarray:
    """The values of `found` at the places of the original's voxels; each voxel must have one."""
    places = original.geometry.index_to_world(np.indices(original.shape).reshape(3, -1).T)
    index = found.geometry.world_to_index(places)
    nearest = np.rint(index).astype(int)
    distance = np.abs(found.geometry.index_to_world(nearest) - places).max()
    assert distance <= off * min(original.geometry.spacing), distance
    values = found.values.read()
    assert values.size == len(places)
    picked: np.ndarray = values[tuple(nearest.T)].reshape(original.shape)
    return picked


@pytest.mark.parametrize("name", [name for name in GRIDS if name != "sheared"])
@pytest.mark.parametrize("row", WRITERS, ids=lambda row: row.key)
def test_each_voxel_keeps_its_place_and_value(tmp_path: Path, row: Format, name: str) -> None:
    volume = noise_volume(GRIDS[name](SHAPE), KINDS.get(row.key, "int16"))
    if row.key == "seg-nrrd":
        volume = Volume(volume.read() % 5, volume.geometry)
    found = opened(row, written(volume, row, tmp_path))
    assert np.array_equal(at_their_places(found, volume, ROUNDING.get(row.key, 1e-9)), volume.read())
    assert not found.metadata.assumed


@pytest.mark.parametrize(
    "row", [row for row in WRITERS if row.key not in ("seg-nrrd", "png-slices", "imagej")], ids=lambda row: row.key
)
def test_real_values_survive_a_slope(tmp_path: Path, row: Format) -> None:
    stored = noise_volume(GRIDS["oblique"](SHAPE), "int16")
    volume = Volume(stored.read(), stored.geometry, Metadata(rescale=Rescale(1, -1024, "HU")))
    found = opened(row, written(volume, row, tmp_path))
    off = ROUNDING.get(row.key, 1e-9)
    assert np.array_equal(at_their_places(found, volume, off), volume.values.read())


@pytest.mark.parametrize("row", WRITERS, ids=lambda row: row.key)
def test_a_sheared_grid_is_kept_or_refused(tmp_path: Path, row: Format) -> None:
    volume = noise_volume(GRIDS["sheared"](SHAPE), KINDS.get(row.key, "int16"))
    assert is_sheared(volume.geometry)
    if row.traits.shear:
        found = opened(row, written(volume, row, tmp_path))
        assert np.array_equal(at_their_places(found, volume, ROUNDING.get(row.key, 1e-9)), volume.read())
        return
    with pytest.raises(ChunkvolError, match=r"perpendicular|shear"):
        written(volume, row, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("row", WRITERS, ids=lambda row: row.key)
def test_an_assumed_geometry_stays_assumed_or_is_told(tmp_path: Path, row: Format) -> None:
    noise = noise_volume(GRIDS["oblique"](SHAPE), KINDS.get(row.key, "int16"))
    volume = Volume(noise.read(), noise.geometry, Metadata(assumed=True))
    plan = chunkvol.plan_write(volume, target_of(row, tmp_path), format=row.key)
    assert any("assumed" in note for note in plan.notes)


@pytest.mark.parametrize("row", WRITERS, ids=lambda row: row.key)
def test_no_output_names_a_person_a_path_or_a_day(tmp_path: Path, row: Format) -> None:
    noise = noise_volume(GRIDS["oblique"](SHAPE), KINDS.get(row.key, "int16"))
    metadata = Metadata(extra={"patient": {"PatientName": "Moreau^Zoe"}, "study_date": "20240131"})
    if row.key in ("ome-zarr", "dicom"):  # keep what somebody asked to keep
        metadata = metadata.deidentified()
    target = written(Volume(noise.read(), noise.geometry, metadata), row, tmp_path)
    for path in (p for p in tmp_path.rglob("*") if p.is_file()):
        content = path.read_bytes()
        assert not re.search(rb"Moreau|20240131|2026[:/-]", content), path
        assert str(target.parent).encode() not in content


def test_suffixes_and_keys_are_told_apart() -> None:
    keys = [row.key for row in FORMATS.values()]
    assert len(set(keys)) == len(keys)
    for row in WRITERS:
        for suffix in row.suffixes:
            assert format_for_writing(Path(f"scan{suffix}")) is row
            assert format_for_writing(Path(f"SCAN{suffix.upper()}")) is row
        assert format_for_writing(Path("scan.xyz"), row.key) is row
    assert format_for_writing(Path("out_dicom")).key == "dicom"


def test_an_output_is_not_named_as_what_it_is_not() -> None:
    for name, key, remedy in (
        ("scan.nii", "nrrd", r"named as NIfTI, and --format nrrd makes NRRD: end its name in \.nrrd alone"),
        ("scan.seg.nrrd", "nrrd", "named as Slicer segmentation"),
        ("scan.ome.zarr", "tiff-slices", "makes image slices: give it no suffix"),
        ("scan.dcm", "dicom", "named as DICOM image"),
    ):
        with pytest.raises(InputError, match=remedy):
            format_for_writing(Path(name), key)
    for name, key in (("a.tif", "imagej"), ("a.tif", "ome-tiff"), ("a.nrrd", "seg-nrrd"), ("a.nii.gz", "nifti")):
        assert format_for_writing(Path(name), key).key == key


@pytest.mark.parametrize("row", WRITERS, ids=lambda row: row.key)
def test_what_was_written_is_recognised_by_its_content_alone(tmp_path: Path, row: Format) -> None:
    noise = noise_volume(GRIDS["oblique"](SHAPE), KINDS.get(row.key, "int16"))
    target = written(noise, row, tmp_path)
    assert format_for_reading(target).read is row.read
