"""Real NRRD files with answers that other programs computed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Volume
from chunkvol.errors import DamagedError, FormatError

VOLUMES = {
    **{
        f"nrrd_encodings/BallBinary30x30x30{end}": "pynrrd"
        for end in (
            ".nhdr",
            ".nrrd",
            "_byteskip_minus_one.nhdr",
            "_byteskip_minus_one_nifti.nhdr",
            "_bz2.nrrd",
            "_gz.nrrd",
            "_gz_byteskip_minus_one.nrrd",
            "_gz_lineskip.nrrd",
        )
    },
    "microct_nrrd_landmarks/A_J_.nrrd": "sitk",
    "ct_odd_size/nrrd/label.nrrd": "sitk",
}
"""File, and whose answer to believe."""


def answer_of(expected: Any, name: str) -> Any:
    folder, item = name.split("/", 1)
    return expected[folder][item][VOLUMES[name]]


def assert_values(volume: Volume, values: Any) -> None:
    found = volume.read()
    assert found.shape == (1,) * (3 - len(values["shape_kji"])) + tuple(values["shape_kji"])
    assert volume.dtype.name == values["dtype"]
    assert hashlib.sha256(found.astype("<f8").tobytes()).hexdigest() == values["sha256_f64le_C"]


@pytest.mark.parametrize("name", VOLUMES)
def test_real_files_have_the_values_and_the_place_of_the_answers(visible: Path, expected: Any, name: str) -> None:
    answer = answer_of(expected, name)
    volume = chunkvol.open_volume(visible / name)
    assert_values(volume, answer["values"])
    assert not volume.metadata.assumed
    affine = volume.geometry.affine[:, [2, 1, 0, 3]]
    if VOLUMES[name] == "sitk":
        np.testing.assert_allclose(affine, answer["affine_lps"], rtol=1e-12, atol=1e-12)
    else:
        np.testing.assert_array_equal(affine[:3, :3].T, answer["space_directions"])
        np.testing.assert_array_equal(affine[:3, 3], answer["origin"])


def test_a_real_plane_is_read_as_one(visible: Path, expected: Any) -> None:
    volume = chunkvol.open_volume(visible / "nrrd_encodings" / "test2d_ascii.nrrd")
    assert_values(volume, expected["nrrd_encodings"]["test2d_ascii.nrrd"]["sitk"]["values"])
    assert volume.geometry.spacing == (1, 2, 1.0458000000000001)
    assert volume.metadata.assumed


def test_a_real_array_of_four_axes_of_length_one_is_a_voxel(visible: Path, expected: Any) -> None:
    volume = chunkvol.open_volume(visible / "nrrd_encodings" / "test_simple4d_raw.nrrd")
    answer = expected["nrrd_encodings"]["test_simple4d_raw.nrrd"]["pynrrd"]
    assert volume.read().ravel().tolist() == pytest.approx([answer["values"]["min"]])
    assert volume.geometry.spacing == (1, 1.5, 1.5)
    np.testing.assert_array_equal(np.array(volume.geometry.direction)[:, ::-1], np.diag([-1, -1, 1]))  # RAS


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("BallBinary30x30x30_byteskip_minus_five.nhdr", FormatError, "byteskip must be an integer of at least -1"),
        ("BallBinary30x30x30_nifti.nhdr", DamagedError, "more than the 54000 bytes"),
        ("test1d_ascii.nrrd", FormatError, "dimension 1"),
        ("test_customFields.nrrd", FormatError, "dimension 1"),
    ],
)
def test_what_is_no_volume_is_refused(visible: Path, name: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        chunkvol.open_volume(visible / "nrrd_encodings" / name).read()


def test_every_real_nrrd_file_is_judged_here(visible: Path) -> None:
    folder = visible / "nrrd_encodings"
    found = {path.name for path in folder.iterdir() if path.suffix in (".nrrd", ".nhdr")}
    judged = {name.split("/")[1] for name in VOLUMES} | {"test2d_ascii.nrrd", "test_simple4d_raw.nrrd"}
    refused = {"BallBinary30x30x30_byteskip_minus_five.nhdr", "BallBinary30x30x30_nifti.nhdr"}
    assert found <= judged | refused | {"test1d_ascii.nrrd", "test_customFields.nrrd"}
