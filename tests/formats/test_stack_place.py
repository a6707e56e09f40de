"""Where stacks lie: sidecars, scanner files, tags in all their units, and what is only assumed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol.errors import GeometryError, InputError
from chunkvol.formats.scanner.facts import ScanFacts
from chunkvol.formats.sidecar import sidecar_json
from chunkvol.formats.stack import open_stack
from chunkvol.formats.stack.frames import framed
from chunkvol.metadata import Metadata, Rescale
from chunkvol.progress import Silent
from tests.support.grids import GRIDS, ramp_values
from tests.support.images import grey_stack, write_slices, write_tiff

tifffile = pytest.importorskip("tifffile")

IDENTITY = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def test_nothing_stated_is_assumed_and_said(tmp_path: Path) -> None:
    volume = chunkvol.open_volume(write_slices(tmp_path / "s", grey_stack()))
    assert volume.geometry == chunkvol.Geometry((5, 11, 13))
    assert volume.geometry.direction == IDENTITY
    assert volume.metadata.assumed
    assert volume.metadata.problems == ("nothing states the spacing: 1 mm is assumed; --spacing says what it is",)


def test_the_caller_says_spacing_origin_and_orientation(tmp_path: Path) -> None:
    folder = write_slices(tmp_path / "s", grey_stack())
    volume = chunkvol.open_volume(folder, spacing=(0.7, 0.5, 0.3), origin=(1, -2, 3), orientation="RAS")
    assert volume.geometry.spacing == (0.7, 0.5, 0.3)
    assert volume.geometry.origin == (1, -2, 3)
    np.testing.assert_array_equal(np.array(volume.geometry.direction)[:, ::-1], np.diag([-1, -1, 1]))
    assert not volume.metadata.assumed
    assert not volume.metadata.problems


# -------------------------------------------------------------------------------------------------- sidecars


@pytest.mark.parametrize("grid", GRIDS)
def test_a_folder_with_our_sidecar_lies_where_it_says(tmp_path: Path, grid: str) -> None:
    geometry = GRIDS[grid]((5, 4, 3))
    metadata = Metadata(rescale=Rescale(unit="HU"), source="abc", history=("crop",), modality="CT")
    folder = write_slices(tmp_path / "s", ramp_values(geometry))
    (folder / "geometry.json").write_bytes(sidecar_json(geometry, metadata))
    volume = chunkvol.open_volume(folder)
    assert volume.geometry == geometry
    assert volume.metadata == metadata
    np.testing.assert_allclose(np.asarray(volume), ramp_values(volume.geometry))


def test_a_file_has_its_sidecar_beside_it_and_the_caller_overrules_parts_of_it(tmp_path: Path) -> None:
    geometry = GRIDS["oblique"]((5, 4, 3))
    write_tiff(tmp_path / "s.tif", ramp_values(geometry))
    (tmp_path / "s.tif.json").write_bytes(sidecar_json(geometry, Metadata(assumed=True)))
    assert chunkvol.open_volume(tmp_path / "s.tif").geometry == geometry
    assert chunkvol.open_volume(tmp_path / "s.tif").metadata.assumed
    other = chunkvol.open_volume(tmp_path / "s.tif", spacing=(3, 2, 1))
    assert other.geometry.spacing == pytest.approx((3, 2, 1))
    assert other.geometry.origin == geometry.origin
    np.testing.assert_allclose(other.geometry.direction, geometry.direction)
    assert not other.metadata.assumed
    assert "s.tif.json says 0.3 x 0.5 x 0.7 mm" in other.metadata.problems[0]


def test_a_sidecar_of_another_shape_is_refused_naming_both(tmp_path: Path) -> None:
    folder = write_slices(tmp_path / "s", grey_stack(shape=(6, 4, 3)))
    (folder / "geometry.json").write_bytes(sidecar_json(GRIDS["turned"]((7, 4, 3)), Metadata()))
    with pytest.raises(GeometryError, match=r"geometry\.json speaks of 3 x 4 x 7 .*the slices are 3 x 4 x 6"):
        chunkvol.open_volume(folder)
    part = chunkvol.open_volume(folder, pattern="s_000[0-3].tif")
    assert part.shape == (4, 4, 3)
    assert part.metadata.assumed
    assert "since a pattern chose them: it is not used" in part.metadata.problems[0]


# ---------------------------------------------------------------------------------------------- scanner files


def facts(path: Path, **more: Any) -> ScanFacts:
    return ScanFacts(path / "scan.log", "SkyScan", spacing=(0.02, 0.02, 0.02), **more)


def test_the_scanner_file_gives_the_spacing_and_what_it_records(tmp_path: Path) -> None:
    folder = write_slices(tmp_path / "s", grey_stack())
    told = facts(tmp_path, count=5, rows=11, columns=13, record={"voltage_kv": 70}, problems=("a note",))
    volume = open_stack(folder, Silent(), facts=told)
    assert volume.geometry.spacing == (0.02, 0.02, 0.02)
    assert not volume.metadata.assumed
    assert volume.metadata.problems == ("a note",)
    assert volume.metadata.extra == {"scanner": {"vendor": "SkyScan", "voltage_kv": 70}}


def test_a_scanner_file_of_other_slices_is_refused_unless_the_spacing_is_given(tmp_path: Path) -> None:
    folder = write_slices(tmp_path / "s", grey_stack())
    told = facts(tmp_path, count=6, rows=11, columns=13)
    with pytest.raises(GeometryError, match=r"6 slices .* 5 slices"):
        open_stack(folder, Silent(), facts=told)
    volume = open_stack(folder, Silent(), facts=told, spacing=(1.0, 2.0, 3.0))
    assert volume.geometry.spacing == (1, 2, 3)
    assert "--spacing is used" in volume.metadata.problems[0]
    assert open_stack(folder, Silent(), facts=told, pattern="s_000[0-2].tif").shape == (3, 11, 13)
    assert open_stack(folder, Silent(), facts=facts(tmp_path, count=5), slices=slice(1, 3)).shape == (2, 11, 13)


def test_a_frame_puts_the_whole_stack_where_the_other_program_does(tmp_path: Path) -> None:
    folder = write_slices(tmp_path / "s", grey_stack())
    whole = chunkvol.open_volume(folder, spacing=(0.7, 0.5, 0.3))
    volume = chunkvol.open_volume(folder, spacing=(0.7, 0.5, 0.3), frame="skyscan", slices=slice(2, 4))
    assert volume.geometry == framed(whole.geometry, "skyscan").cropped((slice(2, 4), slice(0, 11), slice(0, 13)))
    with pytest.raises(InputError, match="no frame 'other'"):
        chunkvol.open_volume(folder, frame="other")


# ------------------------------------------------------------------------------------------------------- tags


def imagej(path: Path, unit: str, *, spacing: float | None = 0.7, per: tuple[float, float] = (4.0, 2.0)) -> Path:
    between = "" if spacing is None else f"spacing={spacing}\n"
    text = f"ImageJ=1.54f\nimages=5\nslices=5\n{'unit=' + unit if unit else ''}\n{between}loop=false\n"
    write_tiff(path, grey_stack(), description=text, resolution=per, resolutionunit="none")
    return path


@pytest.mark.parametrize(
    ("unit", "mm"),
    [
        ("mm", 1),
        ("micron", 1e-3),
        ("microns", 1e-3),
        ("um", 1e-3),
        ("\\u00B5m", 1e-3),
        ("cm", 10),
        ("inch", 25.4),
        ("nm", 1e-6),
    ],
)
def test_imagej_tags_count_in_their_unit(tmp_path: Path, unit: str, mm: float) -> None:
    volume = chunkvol.open_volume(imagej(tmp_path / "s.tif", unit))
    assert volume.geometry.spacing == pytest.approx((0.7 * mm, 0.5 * mm, 0.25 * mm), rel=1e-12)
    assert not volume.metadata.assumed
    assert not volume.metadata.problems


@pytest.mark.parametrize("unit", ["", "pixel", "sec"])
def test_imagej_tags_without_a_length_say_nothing(tmp_path: Path, unit: str) -> None:
    volume = chunkvol.open_volume(imagej(tmp_path / "s.tif", unit))
    assert volume.geometry.spacing == (1, 1, 1)
    assert volume.metadata.assumed


def test_imagej_tags_without_the_spacing_of_planes_are_completed_aloud(tmp_path: Path) -> None:
    volume = chunkvol.open_volume(imagej(tmp_path / "s.tif", "mm", spacing=None))
    assert volume.geometry.spacing == (1, 0.5, 0.25)
    assert volume.metadata.assumed
    assert volume.metadata.problems[0].startswith("the ImageJ tags state no spacing between planes: 1 mm, as ImageJ")


def test_imagej_tags_of_one_plane_take_the_spacing_of_the_columns(tmp_path: Path) -> None:
    folder = write_slices(
        tmp_path / "s",
        grey_stack(),
        lambda path, plane: write_tiff(
            path, plane, description="ImageJ=1.54f\nunit=mm\n", resolution=(4.0, 2.0), resolutionunit="none"
        ),
    )
    volume = chunkvol.open_volume(folder)
    assert volume.geometry.spacing == (0.25, 0.5, 0.25)
    assert "that of the columns, 0.25 mm, is assumed" in volume.metadata.problems[0]


def test_imagej_axes_may_count_in_units_of_their_own(tmp_path: Path) -> None:
    volume = chunkvol.open_volume(imagej(tmp_path / "s.tif", "micron\nyunit=mm\nzunit=cm"))
    assert volume.geometry.spacing == pytest.approx((7, 0.5, 0.25e-3), rel=1e-12)


def test_a_companion_file_that_is_not_read_is_said(tmp_path: Path) -> None:
    text = '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><BinaryOnly MetadataFile="c.ome"/></OME>'
    write_tiff(tmp_path / "s.ome.tif", grey_stack(), description=text, metadata=None)
    volume = chunkvol.open_volume(tmp_path / "s.ome.tif")
    assert volume.metadata.assumed
    assert "companion file of OME-XML, which is not read" in volume.metadata.problems[0]


# ----------------------------------------------------------------------------- what is said twice about the place


@pytest.mark.parametrize("sidecar", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("part", [False, True])
def test_a_template_places_planes_alike_with_and_without_a_sidecar(
    tmp_path: Path, sidecar: bool, reverse: bool, part: bool
) -> None:
    grid = GRIDS["oblique"]((5, 6, 4))
    folder = write_slices(tmp_path / "s", grey_stack(shape=(5, 6, 4)))
    if sidecar:
        (folder / "geometry.json").write_bytes(sidecar_json(GRIDS["sheared"]((5, 6, 4)), Metadata()))
    # Counted from the end where the last slice is the first plane.
    wanted = grid.cropped((slice(3, 5) if reverse else slice(0, 2), slice(0, 6), slice(0, 4)))
    volume = chunkvol.open_volume(folder, geometry=wanted if part else grid, slices=slice(0, 2), reverse=reverse)
    assert volume.geometry.is_close(wanted, 1e-9)
    assert not volume.metadata.assumed


def test_a_template_overrules_a_sidecar_of_another_shape_aloud(tmp_path: Path) -> None:
    grid = GRIDS["oblique"]((5, 6, 4))
    folder = write_slices(tmp_path / "s", grey_stack(shape=(5, 6, 4)))
    (folder / "geometry.json").write_bytes(sidecar_json(GRIDS["sheared"]((7, 6, 4)), Metadata()))
    volume = chunkvol.open_volume(folder, geometry=grid)
    assert volume.geometry == grid
    assert "and the slices are 4 x 6 x 5: --geometry is used" in volume.metadata.problems[0]


def test_a_template_that_nobody_stated_is_assumed_here_too(tmp_path: Path) -> None:
    guessed = write_slices(tmp_path / "guessed", grey_stack(shape=(5, 6, 4)))
    volume = chunkvol.open_volume(write_slices(tmp_path / "s", grey_stack(shape=(5, 6, 4))), geometry=guessed)
    assert volume.metadata.assumed
    assert "nobody stated the grid of --geometry" in volume.metadata.problems[-1]


def test_what_a_sidecar_says_is_overruled_aloud(tmp_path: Path) -> None:
    folder = write_slices(tmp_path / "s", grey_stack(shape=(5, 6, 4)))
    grid = GRIDS["oblique"]((5, 6, 4))
    (folder / "geometry.json").write_bytes(sidecar_json(grid, Metadata()))
    x, y, z = grid.origin
    other = chunkvol.open_volume(folder, origin=(x + 1, y, z), orientation="LPS")
    assert [problem.split(": ")[1] for problem in other.metadata.problems] == [
        "--origin is used",
        "--orientation is used",
    ]
    moved = chunkvol.Geometry(grid.shape, (x + 1, y, z), grid.spacing, grid.direction)
    (problem,) = chunkvol.open_volume(folder, geometry=moved).metadata.problems
    assert problem == "geometry.json says where the voxels lie: --geometry is used"
    assert not chunkvol.open_volume(folder, geometry=grid).metadata.problems


def test_reversed_slices_of_a_sidecar_are_placed_by_origin_and_orientation_together(tmp_path: Path) -> None:
    stack = grey_stack(shape=(5, 6, 4))
    folder = write_slices(tmp_path / "s", stack)
    (folder / "geometry.json").write_bytes(sidecar_json(GRIDS["oblique"]((5, 6, 4)), Metadata()))
    said: list[dict[str, Any]] = [{"origin": (1, 2, 3)}, {"orientation": "RAS"}]
    for one in said:
        with pytest.raises(InputError, match=r"geometry\.json says where each slice lies, and --reverse leaves them"):
            chunkvol.open_volume(folder, reverse=True, **one)
    volume = chunkvol.open_volume(folder, reverse=True, **said[0], **said[1])
    assert volume.geometry.origin == (1, 2, 3)
    np.testing.assert_array_equal(np.array(volume.geometry.direction)[:, ::-1], np.diag([-1, -1, 1]))
    np.testing.assert_array_equal(np.asarray(volume), stack[::-1])


@pytest.mark.parametrize("reverse", [False, True])
def test_a_frame_beside_a_sidecar_is_used_aloud_and_for_the_first_plane(tmp_path: Path, reverse: bool) -> None:
    folder = write_slices(tmp_path / "s", grey_stack(shape=(5, 6, 4)))
    (folder / "geometry.json").write_bytes(sidecar_json(GRIDS["oblique"]((5, 6, 4)), Metadata()))
    volume = chunkvol.open_volume(folder, frame="skyscan", reverse=reverse)
    assert volume.geometry.origin == (0, 0, 0)
    assert volume.geometry.direction == ((0, 0, 1), (-1, 0, 0), (0, -1, 0))
    assert volume.metadata.problems == ("geometry.json says where the voxels lie: --frame skyscan is used",)


def test_numbers_that_leap_are_said_where_tags_state_the_spacing(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    folder.mkdir()
    text = "ImageJ=1.54f\nunit=mm\nspacing=0.7\n"
    for n, plane in enumerate(grey_stack()):
        write_tiff(folder / f"s{3 * n}.tif", plane, description=text, resolution=(4.0, 2.0), resolutionunit="none")
    assert "numbers of the slices grow by 3" in chunkvol.open_volume(folder).metadata.problems[0]
    assert not chunkvol.open_volume(folder, spacing=(0.7, 0.5, 0.25)).metadata.problems
    with pytest.raises(GeometryError, match=r"--pattern takes every second slice .* --slices ::2"):
        chunkvol.open_volume(folder, pattern="s[!39]*")


@pytest.mark.parametrize(
    ("unit", "mm"), [("mm", 1), ("µm", 1e-3), ("nm", 1e-6), ("cm", 10), ("Å", 1e-7), (None, 1e-3), ("m", 1000)]
)
def test_ome_tags_count_in_their_unit(tmp_path: Path, unit: str | None, mm: float) -> None:
    sizes: dict[str, Any] = {f"PhysicalSize{axis}": size for axis, size in zip("XYZ", (0.3, 0.5, 0.7), strict=True)}
    units = {} if unit is None else {f"PhysicalSize{axis}Unit": unit for axis in "XYZ"}
    tifffile.imwrite(tmp_path / "s.ome.tif", grey_stack(), ome=True, metadata={"axes": "ZYX", **sizes, **units})
    volume = chunkvol.open_volume(tmp_path / "s.ome.tif")
    assert volume.geometry.spacing == pytest.approx((0.7 * mm, 0.5 * mm, 0.3 * mm), rel=1e-12)
    assert not volume.metadata.assumed


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(("unit", "mm"), [("inch", 25.4), ("centimeter", 10.0)])
def test_resolution_gives_the_pixels_and_the_planes_are_assumed(
    tmp_path: Path, unit: str, mm: float, compressed: bool
) -> None:
    options = {"compression": "zlib"} if compressed else {}
    folder = write_slices(
        tmp_path / "s",
        grey_stack(),
        lambda path, plane: write_tiff(path, plane, resolution=(500, 250), resolutionunit=unit, **options),
    )
    volume = chunkvol.open_volume(folder)
    assert volume.geometry.spacing == pytest.approx((mm / 500, mm / 250, mm / 500))
    assert volume.metadata.assumed
    assert "the TIFF tags state no spacing between planes" in volume.metadata.problems[0]
    given = chunkvol.open_volume(folder, spacing=(1, 1, 1))
    assert not given.metadata.assumed
    assert "the TIFF tags says" in given.metadata.problems[0]


@pytest.mark.parametrize("dots", [72, 96, 300, 1])
def test_the_usual_resolutions_mean_nothing(tmp_path: Path, dots: float) -> None:
    for n, (unit, length) in enumerate((("inch", 1.0), ("centimeter", 2.54))):
        per = (dots / length,) * 2 if dots > 1 else (1, 1)
        write_tiff(tmp_path / f"{n}.tif", grey_stack(), resolution=per, resolutionunit=unit)
        assert chunkvol.open_volume(tmp_path / f"{n}.tif").geometry.spacing == (1, 1, 1)


def test_itk_takes_the_same_pixels_from_resolution(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    write_tiff(tmp_path / "s.tif", grey_stack()[0], resolution=(500, 250), resolutionunit="centimeter")
    found = sitk.ReadImage(str(tmp_path / "s.tif")).GetSpacing()
    assert chunkvol.open_volume(tmp_path / "s.tif").geometry.spacing[:0:-1] == pytest.approx(found[:2])


# -------------------------------------------------------------------------------------------------- real data


def test_the_visible_micro_ct_slices_are_read(visible: Path, expected: Any) -> None:
    folder = visible / "microct_tiff_100" / "tiff"
    answer = expected["microct_tiff_100"]["tiff"]["values"]
    volume = chunkvol.open_volume(folder, spacing=(0.0195,) * 3)
    array = np.asarray(volume)
    assert list(volume.shape) == answer["shape_kji"]
    assert volume.dtype == answer["dtype"]
    assert (array.min(), array.max(), array.sum(dtype="u8")) == (answer["min"], answer["max"], answer["sum"])
    assert hashlib.sha256(array.astype("<f8").tobytes()).hexdigest() == answer["sha256_f64le_C"]
    assert volume.geometry.spacing == (0.0195,) * 3
    assert not volume.metadata.assumed
