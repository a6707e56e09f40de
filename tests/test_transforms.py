"""Transform files: what ITK does with every point, and which way plain matrices lead."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chunkvol.errors import InputError
from chunkvol.transforms import read_transform

sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is not installed")

CENTRE = (11.5, -7.25, 30.0)
SHIFT = (1.5, -2.25, 40.0)
MATRIX = (0.9, 0.2, -0.1, -0.3, 1.1, 0.05, 0.15, -0.25, 0.8)
VERSOR = (0.1, -0.2, 0.3, math.sqrt(0.86))
POINTS = ((0.0, 0.0, 0.0), (1.0, 2.0, 3.0), (-40.5, 12.25, 99.0))
PULL = np.array([[0.9, 0.2, -0.1, 5], [-0.3, 1.1, 0.05, -6], [0.15, -0.25, 0.8, 7], [0, 0, 0, 1]])


def zyx() -> Any:
    transform = sitk.Euler3DTransform(CENTRE, 0.3, -0.5, 1.1, SHIFT)
    transform.SetComputeZYX(True)
    return transform


def composite() -> Any:
    return sitk.CompositeTransform(
        [
            sitk.TranslationTransform(3, SHIFT),
            sitk.Euler3DTransform(CENTRE, 0.3, -0.5, 1.1, SHIFT),
            sitk.AffineTransform(MATRIX, SHIFT, CENTRE),
        ]
    )


TRANSFORMS = {
    "affine": lambda: sitk.AffineTransform(MATRIX, SHIFT, CENTRE),
    "translation": lambda: sitk.TranslationTransform(3, SHIFT),
    "identity": lambda: sitk.Transform(3, sitk.sitkIdentity),
    "scale": lambda: sitk.ScaleTransform(3, (0.5, 1.5, 2.5)),
    "Euler": lambda: sitk.Euler3DTransform(CENTRE, 0.3, -0.5, 1.1, SHIFT),
    "Euler ZYX": zyx,
    "versor": lambda: sitk.VersorTransform(VERSOR, CENTRE),
    "rigid": lambda: sitk.VersorRigid3DTransform(VERSOR, SHIFT, CENTRE),
    "similarity": lambda: sitk.Similarity3DTransform(1.7, VERSOR, SHIFT, CENTRE),
    "scale versor": lambda: sitk.ScaleVersor3DTransform((0.5, 1.5, 2.5), VERSOR, SHIFT, CENTRE),
    "scale skew versor": lambda: sitk.ScaleSkewVersor3DTransform(
        (0.5, 1.5, 2.5), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6), VERSOR, SHIFT, CENTRE
    ),
    "composed": lambda: sitk.ComposeScaleSkewVersor3DTransform((0.5, 1.5, 2.5), (0.1, 0.2, 0.3), VERSOR, SHIFT, CENTRE),
    "composite": composite,
}


def assert_like(matrix: Any, transform: Any) -> None:
    for point in POINTS:
        found = matrix @ [*point, 1]
        np.testing.assert_allclose(found[:3], transform.TransformPoint(point), rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_points_go_where_itk_takes_them(name: str, tmp_path: Path) -> None:
    for suffix in (".tfm", ".txt"):
        sitk.WriteTransform(TRANSFORMS[name](), str(tmp_path / f"a{suffix}"))
        assert_like(read_transform(tmp_path / f"a{suffix}"), TRANSFORMS[name]())
        assert_like(read_transform(tmp_path / f"a{suffix}", "output-to-input"), TRANSFORMS[name]())


@pytest.mark.parametrize(
    ("kind", "parameters", "fixed"),
    [
        ("MatrixOffsetTransformBase_double_3_3", (*MATRIX, *SHIFT), CENTRE),
        ("MatrixOffsetTransformBase_float_3_3", (*MATRIX, *SHIFT), CENTRE),
        ("QuaternionRigidTransform_double_3_3", (0.1, 0.2, 0.3, math.sqrt(0.86), *SHIFT), CENTRE),
        ("Euler3DTransform_double_3_3", (0.3, -0.5, 1.1, *SHIFT), CENTRE),
        ("ScaleTransform_double_3_3", (0.5, 1.5, 2.5), CENTRE),
    ],
)
def test_what_other_programs_write_is_read_as_itk_reads_it(
    tmp_path: Path, kind: str, parameters: Any, fixed: Any
) -> None:
    path = tmp_path / "a.tfm"
    path.write_text(itk_text(kind, parameters, fixed))
    transform = sitk.ReadTransform(str(path))
    np.testing.assert_allclose(
        [(read_transform(path) @ [*point, 1])[:3] for point in POINTS],
        [transform.TransformPoint(point) for point in POINTS],
        rtol=1e-6,
        atol=1e-6,
    )


def test_kinds_that_only_itk_itself_writes_are_the_affine_with_that_centre(tmp_path: Path) -> None:
    same = tmp_path / "same.tfm"
    same.write_text(itk_text("AffineTransform_double_3_3", (*MATRIX, *SHIFT), CENTRE))
    for kind, parameters, fixed in (
        ("CenteredAffineTransform", (*MATRIX, *CENTRE, *SHIFT), ()),
        ("ScalableAffineTransform", (*MATRIX, *SHIFT), CENTRE),
        ("Rigid3DTransform", (*MATRIX, *SHIFT), CENTRE),
    ):
        path = tmp_path / f"{kind}.tfm"
        path.write_text(itk_text(f"{kind}_double_3_3", parameters, fixed))
        np.testing.assert_array_equal(read_transform(path), read_transform(same))


def itk_text(kind: str, parameters: Any, fixed: Any) -> str:
    lines = ("#Insight Transform File V1.0", "#Transform 0", f"Transform: {kind}")
    numbers = (
        f"{key}: {' '.join(map(repr, values))}"
        for key, values in (("Parameters", parameters), ("FixedParameters", fixed))
    )
    return "\n".join([*lines, *numbers]) + "\n"


def test_the_pull_is_what_resampling_in_itk_uses(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(np.arange(1000.0).reshape(10, 10, 10))
    transform = sitk.TranslationTransform(3, (2, 1, 0))
    sitk.WriteTransform(transform, str(tmp_path / "a.tfm"))
    moved = sitk.GetArrayFromImage(sitk.Resample(image, transform))
    x, y, z, _ = read_transform(tmp_path / "a.tfm") @ [3, 4, 5, 1]
    assert moved[5, 4, 3] == sitk.GetArrayFromImage(image)[int(z), int(y), int(x)]


# ----------------------------------------------------------------------------------------------------- 16 numbers


TEXTS = {
    "rows": "\n".join(" ".join(map(repr, row)) for row in PULL.tolist()),
    "commas": ",".join(map(repr, PULL.ravel().tolist())),
    "printed": str(PULL.tolist()),
    "commented": "# from registration\n"
    + "\n".join("\t".join(f"{v:+.17e}" for v in row) for row in PULL)
    + "\n# end\n",
    "semicolons": "; ".join(", ".join(map(repr, row)) for row in PULL.tolist()) + "\r\n",
    "marked": "\ufeff" + " ".join(map(repr, PULL.ravel().tolist())),
}


@pytest.mark.parametrize("name", TEXTS)
def test_sixteen_numbers_are_a_matrix_row_by_row(name: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(TEXTS[name], encoding="utf-8")
    np.testing.assert_array_equal(read_transform(path, "output-to-input"), PULL)
    np.testing.assert_allclose(read_transform(path, "input-to-output") @ PULL, np.eye(4), atol=1e-14)


def test_an_array_of_numpy_is_a_matrix(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, PULL)
    np.testing.assert_array_equal(read_transform(path, "output-to-input"), PULL)
    np.save(path, np.diag([2, 3, 4, 1]))
    assert read_transform(path, "input-to-output")[0, 0] == 0.5
    np.save(path, PULL[:3])
    with pytest.raises(InputError, match=r"a 4 x 4 matrix of numbers, .*a\.npy holds \(3, 4\) of float64"):
        read_transform(path, "output-to-input")
    np.save(path, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"a\.npy is no array that numpy reads"):
        read_transform(path, "output-to-input")
    path.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(InputError, match=r"a\.npy is no array that numpy reads"):
        read_transform(path, "output-to-input")


# ------------------------------------------------------------------------------------------------------- messages


GOOD = itk_text("AffineTransform_double_3_3", (*MATRIX, *SHIFT), CENTRE)
BAD = {
    "direction": (TEXTS["rows"], None, "does not say which way it leads: say that it maps output-to-input or"),
    "word": (GOOD, "sideways", "maps output-to-input or input-to-output, not 'sideways'"),
    "turned": (GOOD, "input-to-output", "an ITK transform, which always maps output-to-input: leave the direction"),
    "twelve": (" ".join(["1"] * 12), "output-to-input", "holds 12 numbers; a transform is a 4 x 4 matrix of 16"),
    "empty": ("", "output-to-input", "holds 0 numbers"),
    "prose": ("one two", "output-to-input", "is no transform: 'one' is no number"),
    "singular": ("1 0 0 0 2 0 0 0 0 0 1 0 0 0 0 1", "output-to-input", "is singular: it flattens space"),
    "zero": (" ".join(["0"] * 15) + " 1", "output-to-input", "is singular"),
    "nan": ("nan" + " 1" * 15, "output-to-input", "numbers that are not finite"),
    "transposed": ("1 0 0 0 0 1 0 0 0 0 1 0 5 6 7 1", "output-to-input", "must be 0 0 0 1, found 5 6 7 1: is it"),
    "no transform": ("#Insight Transform File V1.0\n", None, "without a transform"),
    "cut short": (GOOD.split("Parameters")[0], None, "cut short: AffineTransform has no parameters"),
    "few": (GOOD.replace("Parameters: 0.9", "Parameters:", 1), None, "has 12 parameters, found 11"),
    "2D": (GOOD.replace("_3_3", "_2_2"), None, "a transform of 2 dimensions; volumes have 3"),
    "field": (GOOD.replace("Affine", "DisplacementField"), None, "DisplacementFieldTransform, which is not affine"),
    "spline": (GOOD.replace("Affine", "BSpline"), None, "BSplineTransform, which is not affine"),
    "several": (GOOD + GOOD, None, "holds 2 transforms that are not one composite"),
    "unknown": (GOOD.replace("AffineTransform_double_3_3", "Affine"), None, "'Affine' is no transform of ITK"),
    "loose": ("#Insight Transform File V1.0\nParameters: 1\n", None, "'Parameters' stands before any transform"),
    "no number": (GOOD.replace("0.9", "x9"), None, "'x9' is no number"),
    "infinite": (GOOD.replace("0.9", "inf"), None, "numbers that are not finite"),
    "flat": (itk_text("ScaleTransform_double_3_3", (1, 0, 1), CENTRE), None, "is singular"),
    "versor": (itk_text("VersorTransform_double_3_3", (1, 1, 1), CENTRE), None, "is longer than 1"),
    "quaternion": (itk_text("QuaternionRigidTransform_double_3_3", (0,) * 7, CENTRE), None, "is 0"),
    "centre": (itk_text("AffineTransform_double_3_3", (*MATRIX, *SHIFT), (1, 2)), None, "a centre of 3 numbers"),
}  # fmt: skip  # a row a case


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_affine_transform_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    text, maps, said = BAD[name]
    path = tmp_path / "bad.tfm"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as stop:
        read_transform(path, maps)
    assert "\n" not in str(stop.value)
    assert name == "word" or "bad.tfm" in str(stop.value)


def test_binary_transforms_are_refused_with_the_way_out(tmp_path: Path) -> None:
    sitk.WriteTransform(sitk.AffineTransform(3), str(tmp_path / "a.mat"))
    for name in ("a.mat", "a.h5", "b.HDF5"):
        with pytest.raises(InputError, match=r"which is not read: save it as \.tfm"):
            read_transform(tmp_path / name)
    (tmp_path / "renamed.txt").write_bytes((tmp_path / "a.mat").read_bytes())
    with pytest.raises(InputError, match=r"renamed\.txt is no (text|transform)"):
        read_transform(tmp_path / "renamed.txt", "output-to-input")


def test_transforms_that_simpleitk_cannot_read_name_the_program_that_can(tmp_path: Path) -> None:
    (tmp_path / "a.lta").write_text("type = 1\n")
    with pytest.raises(InputError, match=r"a\.lta is a FreeSurfer transform, .*lta_convert --inlta"):
        read_transform(tmp_path / "a.lta")
    (tmp_path / "a.mat").write_text("1  0  0  1e-3\n0 1 0 -2\n0 0 1 3.5\n0 0 0 1\n")
    with pytest.raises(InputError, match=r"a\.mat is a matrix of FSL, .*c3d_affine_tool"):
        read_transform(tmp_path / "a.mat", "output-to-input")


def test_a_last_number_that_single_precision_rounded_is_1(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("1 0 0 10\n0 1 0 20\n0 0 1 30\n0.00000000 0.00000000 0.00000000 1.00000012\n")
    assert read_transform(path, "output-to-input").tolist() == [
        [1, 0, 0, 10],
        [0, 1, 0, 20],
        [0, 0, 1, 30],
        [0, 0, 0, 1],
    ]
    path.write_text("1 0 0 10\n0 1 0 20\n0 0 1 30\n0 0 0 1.00001\n")
    with pytest.raises(InputError, match=r"must be 0 0 0 1, found 0 0 0 1\.00001"):
        read_transform(path, "output-to-input")


def test_files_that_are_not_there_or_far_too_large_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tfm cannot be read: No such file"):
        read_transform(tmp_path / "none.tfm")
    with pytest.raises(InputError, match="cannot be read"):
        read_transform(tmp_path)
    (tmp_path / "large.tfm").write_bytes(b" " * (1 << 21))
    with pytest.raises(InputError, match="more than 1048576 bytes, too many for an affine transform"):
        read_transform(tmp_path / "large.tfm")
