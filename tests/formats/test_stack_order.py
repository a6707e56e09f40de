"""Which files are slices and in which order: names, numbers, gaps, odd ones out, and parts of a stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol.errors import ChunkvolError, FormatError, GeometryError, InputError
from chunkvol.formats.sidecar import sidecar_json
from chunkvol.formats.stack.listing import listed
from chunkvol.formats.stack.sequence import along
from chunkvol.metadata import Metadata
from tests.support.grids import GRIDS, ramp_values
from tests.support.images import bmp_bytes, grey_stack, write_slices, write_tiff

pytest.importorskip("tifffile")

MM = (0.7, 0.5, 0.3)


def named(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def flat_stack(folder: Path, *names: str, shape: tuple[int, int] = (5, 7)) -> Path:
    """Slices whose voxels are all the number of the slice in the order given."""
    folder.mkdir(exist_ok=True)
    for k, name in enumerate(names):
        write_tiff(folder / name, np.full(shape, k, np.uint8))
    return folder


def order(folder: Path, **options: Any) -> list[int]:
    return np.asarray(chunkvol.open_volume(folder, spacing=MM, **options))[:, 0, 0].tolist()


# ------------------------------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    "names",
    [
        ("s1.tif", "s2.tif", "s10.tif", "s11.tif")[:2] + tuple(f"s{n}.tif" for n in range(3, 12)),
        ("3155_D_4_bc_0000.tif", "3155_D_4_bc_0001.tif", "3155_D_4_bc_0002.tif"),
        ("z0007_8bit.tif", "z0008_8bit.tif", "z0009_8bit.tif"),
        ("a_10.tif", "a_20.tif", "a_30.tif"),
        ("d1_008.tif", "d1_009.tif", "d2_010.tif", "d2_011.tif"),
        ("bottom.tif", "middle.tif", "top.tif"),
        ("s_0001_100.tif", "s_0002_103.tif", "s_0003_104.tif", "s_0004_119.tif"),
        ("Slice 001.TIF", "slice 002.tif", "slice 003.TIFF"),
    ],
)
def test_names_are_sorted_as_people_count(tmp_path: Path, names: tuple[str, ...]) -> None:
    assert listed(named(tmp_path / "s", *reversed(names))).names == names


def test_the_most_frequent_kind_is_the_stack_and_the_others_are_named(tmp_path: Path) -> None:
    folder = named(tmp_path / "s", "a1.bmp", "a2.bmp", "a1.png", "notes.log", ".a3.bmp", "a_spr.bmp", "~a2.bmp")
    found = listed(folder)
    assert found.names == ("a1.bmp", "a2.bmp")
    assert found.problems == (
        "1 PNG file skipped beside 4 BMP (a1.png)",
        "a_spr.bmp and 1 more skipped: no slice by its name",
    )


def test_a_pattern_says_which_are_the_slices(tmp_path: Path) -> None:
    names = [f"{part}_{n:03d}.tif" for part in ("bone", "mask") for n in range(4)]
    folder = named(tmp_path / "s", *names)
    assert listed(folder, "mask_*.tif").names == tuple(names[4:])
    assert listed(folder, "bone_*[13].tif").numbers == (1, 3)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("s1.tif", "s01.tif", "s2.tif"), "s01.tif and s1.tif, which are the same number"),
        (("S1.tif", "s1.tif", "s2.tif"), "S1.tif and s1.tif, which are the same number"),
        (("s1.tif", "s1.tiff", "s2.tif"), "s1.tif and s1.tiff, which are the same number"),
        (("a1.tif", "b1.png"), "1 TIFF and 1 PNG files: --pattern says"),
        (("bone1_1.tif", "bone1_2.tif", "bone2_1.tif"), "more than one stack: bone1_1.tif and bone2_1.tif have"),
        (("s_0001_235959.tif", "s_0002_000000.tif"), "do not say which of s_0002_000000.tif and s_0001_235959.tif"),
        (("a1_0.5mm.tif", "a2_1.0mm.tif"), "do not say which of a2_1.0mm.tif and a1_0.5mm.tif comes first"),
        (tuple(f"{a}{n}.tif" for a in "xyz" for n in range(3)), "of different names .*--pattern"),
        (("~1.tif", "~2.tif", "a.txt"), ""),
    ],
)
def test_what_is_not_clear_is_asked(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    folder = named(tmp_path / "s", *names)
    if not words:
        assert listed(folder).names == names[:2]
        return
    with pytest.raises(InputError, match=words):
        listed(folder)


def test_a_pattern_that_fits_nothing_says_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no image in .* is named like 'x\*': it holds 2, such as a1.tif"):
        listed(named(tmp_path / "s", "a1.tif", "a2.tif"), "x*")


# ------------------------------------------------------------------------------------------------------- gaps


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((6, 7, 9, 10), "slice 8 is missing between s7.tif and s9.tif"),
        ((0, 2, 4, 8), "slice 6 is missing between s4.tif and s8.tif"),
        ((1, 2, 6, 7), "slices 3, 4, 5 are missing"),
        ((1, 2, 3, 103), r"slices 4 to 102 \(99\) are missing"),
        ((1, 2, 4, 5, 7), "slice 3 is missing .*; and 1 more such place"),
        ((0, 3, 6, 10, 13), "go from 6 to 10 where others go on by 3"),
    ],
)
def test_a_missing_slice_is_refused_by_name(tmp_path: Path, numbers: tuple[int, ...], words: str) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s{n}.tif" for n in numbers))
    with pytest.raises(GeometryError, match=words) as caught:
        order(folder)
    assert "--pattern or --slices says" in str(caught.value)


def test_slices_on_one_side_of_a_gap_are_a_stack_and_know_their_place(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s{n}.tif" for n in (3, 4, 5, 8, 9)))
    assert order(folder, slices=slice(0, 3)) == [0, 1, 2]
    behind = chunkvol.open_volume(folder, spacing=MM, slices=slice(3, None))
    assert behind.geometry.origin == pytest.approx((0, 0, 5 * 0.7))


def test_numbers_of_a_constant_step_are_fine(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", "s0.tif", "s5.tif", "s10.tif")
    volume = chunkvol.open_volume(folder, spacing=MM)
    assert volume.geometry.spacing == MM
    assert not volume.metadata.problems


# ----------------------------------------------------------------------------------------------- odd ones out


def test_a_scale_bar_of_another_size_is_skipped_and_named(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s{n}.tif" for n in range(4)))
    write_tiff(folder / "scalebar.tif", np.zeros((3, 3), "u1"))
    volume = chunkvol.open_volume(folder, spacing=MM)
    assert volume.shape == (4, 5, 7)
    assert volume.metadata.problems == ("scalebar.tif skipped: of another size or type, and not named like s0.tif",)


def test_an_image_like_the_slices_but_not_named_so_is_asked_about(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s{n}.tif" for n in range(4)), "mask.tif")
    with pytest.raises(InputError, match=r"mask\.tif is an image as the slices are, but not named like s0\.tif"):
        order(folder)
    assert order(folder, pattern="s*.tif") == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        (np.zeros((5, 8), "u1"), r"s2\.tif is 8 x 5 uint8 .columns x rows. where other slices are 7 x 5 uint8"),
        (np.zeros((5, 7), "u2"), r"s2\.tif is 7 x 5 uint16 .* where other slices are 7 x 5 uint8"),
    ],
)
def test_a_slice_of_another_size_or_type_is_refused(tmp_path: Path, odd: Any, words: str) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s{n}.tif" for n in range(5)))
    write_tiff(folder / "s2.tif", odd)
    with pytest.raises(FormatError, match=words):
        order(folder)
    assert order(folder, slices=slice(3, 5)) == [3, 4]


def test_a_slice_that_is_no_image_is_refused_unless_it_is_left_out(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s{n}.tif" for n in range(5)))
    (folder / "s4.tif").write_bytes(b"")
    with pytest.raises(FormatError, match=r"s4\.tif is named like an image but is empty"):
        order(folder)
    (folder / "s4.tif").write_bytes(b"<html>not found</html>")
    with pytest.raises(FormatError, match=r"s4\.tif is named like an image but starts with 3c 68 74 6d"):
        order(folder)
    assert order(folder, slices=slice(0, 4)) == [0, 1, 2, 3]


def test_a_link_to_nowhere_is_told_of_and_not_left_out(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s{n}.tif" for n in range(4)))
    (folder / "s4.tif").symlink_to(tmp_path / "nowhere.tif")
    with pytest.raises(InputError, match=r"s4\.tif cannot be read: No such file"):
        order(folder)


def test_the_number_that_goes_up_evenly_counts_where_several_go_up(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s_{n:04d}_{n * n}.tif" for n in range(1, 6)))
    assert order(folder) == [0, 1, 2, 3, 4]
    (folder / "s_0003_9.tif").unlink()
    with pytest.raises(GeometryError, match=r"between s_0002_4\.tif and s_0004_16\.tif"):
        order(folder)


def test_a_pattern_is_for_folders(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", "s0.tif", "s1.tif")
    with pytest.raises(InputError, match="is one file, and --pattern chooses among the files of a folder"):
        order(folder / "s0.tif", pattern="s*")


def test_slices_beyond_the_last_one_are_said(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", "s0.tif", "s1.tif", "s2.tif")
    volume = chunkvol.open_volume(folder, spacing=MM, slices=slice(1, 9))
    assert volume.shape[0] == 2
    assert volume.metadata.problems == ("--slices asks for 8 and there are 3, which count from 0: up to the last",)


def test_a_file_is_read_by_what_it_holds_not_by_its_name(tmp_path: Path) -> None:
    plane = grey_stack("uint8")[0]
    (tmp_path / "s.tif").write_bytes(bmp_bytes(plane))
    np.testing.assert_array_equal(np.asarray(chunkvol.open_volume(tmp_path))[0], plane)


def test_one_slice_alone_says_so(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s{n}.tif" for n in range(3)))
    volume = chunkvol.open_volume(folder / "s1.tif", spacing=MM)
    assert volume.shape == (1, 5, 7)
    assert volume.metadata.problems == ("s1.tif is one plane: name its folder to read a stack",)


# ------------------------------------------------------------------------------------------- parts of a stack


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "part", [slice(None), slice(2, 6), slice(None, None, 2), slice(1, 8, 3), slice(4, 5), slice(-3, None)]
)
@pytest.mark.parametrize("grid", GRIDS)
def test_kept_slices_stay_where_they_are_and_know_it(tmp_path: Path, grid: str, part: slice, reverse: bool) -> None:
    geometry = GRIDS[grid]((9, 4, 5))
    values = ramp_values(geometry)
    folder = write_slices(tmp_path / "s", values)
    (folder / "geometry.json").write_bytes(sidecar_json(geometry, Metadata()))
    volume = chunkvol.open_volume(folder, slices=part, reverse=reverse)
    wanted = values[part][:: -1 if reverse else 1]
    np.testing.assert_array_equal(np.asarray(volume), wanted)
    np.testing.assert_allclose(ramp_values(volume.geometry), wanted, atol=1e-9)
    assert volume.geometry.shape == wanted.shape


@pytest.mark.parametrize("step", [-1, -2])
def test_a_negative_step_turns_the_axis_round_and_keeps_the_place(tmp_path: Path, step: int) -> None:
    geometry = GRIDS["oblique"]((7, 4, 5))
    folder = write_slices(tmp_path / "s", ramp_values(geometry))
    volume = chunkvol.open_volume(folder, geometry=geometry, slices=slice(None, None, step))
    np.testing.assert_allclose(np.asarray(volume), ramp_values(volume.geometry), atol=1e-9)


def test_reversing_a_stack_of_unknown_place_puts_the_last_slice_first(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s{n}.tif" for n in range(6)))
    volume = chunkvol.open_volume(folder, spacing=MM, reverse=True)
    assert np.asarray(volume)[:, 0, 0].tolist() == [5, 4, 3, 2, 1, 0]
    assert volume.geometry == chunkvol.open_volume(folder, spacing=MM).geometry
    part = chunkvol.open_volume(folder, spacing=MM, reverse=True, slices=slice(1, 4))
    assert np.asarray(part)[:, 0, 0].tolist() == [3, 2, 1]
    assert part.geometry == volume[2:5].geometry


def test_a_template_may_be_the_grid_of_the_part_or_of_the_whole(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s{n}.tif" for n in range(6)))
    whole = GRIDS["left-handed"]((6, 5, 7))
    part = whole.cropped((slice(2, 5), slice(0, 5), slice(0, 7)))
    for given in (whole, part):
        volume = chunkvol.open_volume(folder, geometry=given, slices=slice(2, 5))
        assert volume.geometry.is_close(part, 1e-9)
    with pytest.raises(GeometryError, match="the grid of --geometry has 7 x 5 x 4"):
        chunkvol.open_volume(folder, geometry=GRIDS["oblique"]((4, 5, 7)))


def test_slices_that_select_nothing_are_refused(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", *(f"s{n}.tif" for n in range(3)))
    with pytest.raises(InputError, match=r"--slices 5:9 selects none of the 3 slices"):
        order(folder, slices=slice(5, 9))
    with pytest.raises(InputError, match="step 0"):
        order(folder, slices=slice(0, 3, 0))


def test_along_of_all_planes_is_the_grid_itself() -> None:
    grid = GRIDS["sheared"]((5, 3, 2))
    assert along(grid, np.arange(5)) == grid


def test_every_refusal_is_one_line(tmp_path: Path) -> None:
    folder = flat_stack(tmp_path / "s", "s1.tif", "s2.tif", "s4.tif")
    with pytest.raises(ChunkvolError) as caught:
        order(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
