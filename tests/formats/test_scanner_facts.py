"""Texts of scanners: what each vendor's says, real ones and made ones; what has no meaning is refused by name."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chunkvol.errors import FormatError, GeometryError, InputError
from chunkvol.formats.scanner.facts import ScanFacts, check_facts, facts_beside, read_facts
from tests.support import scanners

REAL = {
    "DRP_P21_3_rec.log": ("SkyScan", 0.01979772, (1428, 944, 944), "DRP_P21_3_rec"),
    # Its [Acquisition] says 26.844857: the reconstruction's own pixel size is the one that counts.
    "MML0514A_1173_scan.log": ("SkyScan", 0.02684486, (1841, 2240, 2240), "MML0514A_gg_lumbar1_al_26.8um_2k__rec"),
    "Lego_alignment_test_1.xtekct": ("Nikon", 0.02, (814, 1000, 1000), "Lego_alignment test_1"),
    "FEG230530_409.pcr": ("GE phoenix", 0.0102906534448266, (1951, 531, 456), "FEG230530_409"),
}


def facts_of(path: Path) -> ScanFacts:
    facts = read_facts(path)
    assert facts is not None
    return facts


def numbered(prefix: str, count: int, suffix: str = ".bmp") -> list[str]:
    return [f"{prefix}{n:04d}{suffix}" for n in range(count)]


# ---------------------------------------------------------------------------------------------------- real files


@pytest.mark.parametrize("name", REAL)
def test_real_files_tell_the_size_of_their_reconstruction(visible: Path, name: str) -> None:
    vendor, size, shape, prefix = REAL[name]
    facts = facts_of(visible / "microct_sidecars" / name)
    assert (facts.vendor, facts.spacing, facts.prefix) == (vendor, (size, size, size), prefix)
    assert (facts.count, facts.rows, facts.columns) == shape
    assert facts.problems == ()


def test_a_real_acquisition_file_and_a_readme_are_no_scanner_files(visible: Path) -> None:
    folder = visible / "microct_sidecars"
    assert read_facts(folder / "FEG230530_409.pca") is None
    assert read_facts(folder / "README.md") is None


def test_a_real_phoenix_file_names_its_raw_file_beside_itself(visible: Path) -> None:
    facts = facts_of(visible / "microct_sidecars" / "FEG230530_409.pcr")
    assert facts.volume == facts.path.with_name("FEG230530_409.vol")
    assert facts.stored == np.dtype("<u2")
    assert facts.record["grey_range"] == [-0.0885586217045784, 3.274684190750122]
    assert facts.record["source_kv"] == 90


@pytest.mark.parametrize("name", REAL)
def test_a_record_is_json_and_names_nobody(visible: Path, name: str) -> None:
    facts = facts_of(visible / "microct_sidecars" / name)
    told = json.dumps(facts.extra)
    assert not any(word in told for word in ("\\\\", ":\\", "2023", "Skyscan", "Freya", "Jamie", "SCAN1272"))


def test_the_real_projections_of_a_scan_are_not_taken_for_its_slices(visible: Path, tmp_path: Path) -> None:
    shutil.copy(visible / "microct_sidecars" / "Lego_alignment_test_1.xtekct", tmp_path)
    beside = facts_beside(tmp_path, numbered("Lego_alignment test_1_", 1570, ".tif"))
    assert beside is not None
    assert (beside.spacing, beside.count) == (None, None)
    assert "named as the projections of the scan" in beside.problems[0]


@pytest.mark.parametrize("make", [scanners.skyscan, scanners.nikon, scanners.vgstudio, scanners.phoenix])
@given(st.data())
def test_a_spoilt_text_is_read_or_refused_and_nothing_else(tmp_path_factory: Any, make: Any, data: Any) -> None:
    path = make(tmp_path_factory.mktemp("spoilt"))
    lines = path.read_bytes().split(b"\r\n")
    for _ in range(data.draw(st.integers(1, 3))):
        number = data.draw(st.integers(0, len(lines) - 1))
        key, equals, value = lines[number].partition(b"=")
        odd = st.sampled_from([b"", b"nan", b"-1", b"1e400", b"0 0", b"9" * 400, value[::-1], b"[", b"{x}"])
        other = data.draw(st.one_of(odd, st.binary(max_size=9)))
        lines[number] = data.draw(st.sampled_from([other, key + equals + other, lines[number] * 2]))
    path.write_bytes(b"\r\n".join(lines))
    with contextlib.suppress(FormatError):
        facts = read_facts(path)
        if facts is not None:
            assert all(n is None or n > 0 for n in (facts.count, facts.rows, facts.columns, *(facts.spacing or ())))
            assert facts.offset >= 0
            json.dumps(facts.extra, allow_nan=False)


# ------------------------------------------------------------------------------------------------------- SkyScan


def test_a_skyscan_log_tells_the_pixel_size_of_its_reconstruction_alone(tmp_path: Path) -> None:
    facts = facts_of(scanners.skyscan(tmp_path))
    assert facts.spacing == (0.02, 0.01, 0.01)
    assert (facts.count, facts.rows, facts.columns, facts.prefix) == (6, 5, 4, "mouse__rec")
    assert facts.record["attenuation_range"] == [-0.01, 0.136673]
    assert "--frame skyscan" in facts.handedness


def test_slices_lie_step_times_pixel_size_apart(tmp_path: Path) -> None:
    facts = facts_of(scanners.skyscan(tmp_path, step=5, first=3, last=28))
    assert facts.spacing == (0.05, 0.01, 0.01)
    assert facts.problems == ()


def test_an_older_log_names_slices_by_its_data_set(tmp_path: Path) -> None:
    path = scanners.skyscan(tmp_path)
    path.write_text(path.read_text().partition("[File name")[0])
    assert facts_of(path).prefix == "mouse__rec"


def test_a_log_without_a_reconstruction_tells_no_size(tmp_path: Path) -> None:
    path = scanners.skyscan(tmp_path, "mouse_.log")
    path.write_text(path.read_text().partition("[Reconstruction]")[0])
    facts = facts_of(path)
    assert (facts.spacing, facts.count, facts.rows) == (None, None, None)
    assert "log of a scan without a reconstruction" in facts.problems[0]


def test_a_decimal_comma_and_a_byte_of_latin_1_are_understood(tmp_path: Path) -> None:
    path = scanners.skyscan(tmp_path, pixel="12,3")
    path.write_bytes(path.read_bytes().replace(b"Doctor", b"\xb5m"))
    assert facts_of(path).spacing == (0.0246, 0.0123, 0.0123)


def test_sections_that_do_not_add_up_are_told(tmp_path: Path) -> None:
    facts = facts_of(scanners.skyscan(tmp_path, last=30))
    assert "says 6 sections, and first and last section make 11 in steps of 2" in facts.problems[0]


def test_a_log_of_something_else_is_none(tmp_path: Path) -> None:
    (tmp_path / "run.log").write_text("[12:00] started\nlevel=3\n")
    (tmp_path / "bytes.log").write_bytes(bytes(range(256)))
    (tmp_path / "empty.log").write_bytes(b"")
    assert [read_facts(tmp_path / name) for name in ("run.log", "bytes.log", "empty.log")] == [None] * 3
    assert read_facts(tmp_path) is None


@pytest.mark.parametrize("pixel", ["0", "-3", "nan", "inf", "1e999", "ten", "1.234,5", "1_0"])
def test_a_pixel_size_without_meaning_is_refused_by_file_and_key(tmp_path: Path, pixel: str) -> None:
    with pytest.raises(FormatError, match=r"mouse__rec\.log: Pixel Size \(um\) must be a number above 0, found "):
        read_facts(scanners.skyscan(tmp_path, pixel=pixel))


@pytest.mark.parametrize("count", ["0", "-6", "6.5", "1e30", "many"])
def test_a_count_without_meaning_is_refused(tmp_path: Path, count: str) -> None:
    with pytest.raises(FormatError, match="Sections Count must be a whole number above 0, found "):
        read_facts(scanners.skyscan(tmp_path, count=count))


def test_two_pixel_sizes_in_one_section_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"Pixel Size \(um\) is given twice, as '10' and as '20'"):
        read_facts(scanners.skyscan(tmp_path, pixel="10\nPixel Size (um)=20"))


# --------------------------------------------------------------------------------------------------------- Nikon


def test_a_nikon_file_tells_sizes_along_all_axes(tmp_path: Path) -> None:
    facts = facts_of(scanners.nikon(tmp_path))
    assert (facts.vendor, facts.spacing, facts.prefix) == ("Nikon", (0.05, 0.03, 0.02), "beetle")
    assert (facts.count, facts.rows, facts.columns, facts.volume) == (6, 5, 4, None)
    assert facts.record["offset_xyz"] == [0.0, 0.0, -0.12]
    assert "Jones" not in json.dumps(facts.extra)


@pytest.mark.parametrize(("unit", "size"), [("um", 5e-5), ("\xb5m", 5e-5), ("cm", 0.5), ("", 0.05)])
def test_other_units_become_millimetres(tmp_path: Path, unit: str, size: float) -> None:
    facts = facts_of(scanners.nikon(tmp_path, Units=unit))
    assert facts.spacing is not None
    assert facts.spacing[0] == size


def test_an_unknown_unit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"beetle\.xtekct: Units is 'furlong', which is no length"):
        read_facts(scanners.nikon(tmp_path, Units="furlong"))


def test_a_nikon_size_of_zero_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"beetle\.xtekct: VoxelSizeZ must be a number above 0, found '0\.0'"):
        read_facts(scanners.nikon(tmp_path, VoxelSizeZ="0.0"))


def test_a_nikon_volume_takes_its_type_from_the_text_beside_it(tmp_path: Path) -> None:
    scanners.raw(tmp_path, "beetle.vol")
    scanners.vgstudio(tmp_path, "beetle.vgi", kind="float", bits=32, name="beetle.vol")
    facts = facts_of(scanners.nikon(tmp_path))
    assert (facts.volume, facts.stored) == (tmp_path / "beetle.vol", np.dtype("<f4"))


# ------------------------------------------------------------------------------------------------------ VGStudio


def test_a_vgi_tells_the_type_on_disk_not_that_in_memory(tmp_path: Path) -> None:
    facts = facts_of(scanners.vgstudio(tmp_path, kind="float", bits=32))
    assert (facts.vendor, facts.spacing, facts.stored) == ("VGStudio", (0.05, 0.03, 0.02), np.dtype("<f4"))
    assert (facts.count, facts.rows, facts.columns, facts.volume) == (6, 5, 4, tmp_path / "bug.vol")


@pytest.mark.parametrize(
    ("kind", "bits", "more", "stored"),
    [
        ("unsigned integer", 8, "", "u1"),
        ("unsigned integer", 16, "Endian = little", "<u2"),
        ("signed integer", 16, "Endian = Big", ">i2"),
        ("float", 32, "SkipHeader = 16", "<f4"),
    ],
)
def test_types_and_byte_orders_of_a_vgi(tmp_path: Path, kind: str, bits: int, more: str, stored: str) -> None:
    facts = facts_of(scanners.vgstudio(tmp_path, kind=kind, bits=bits, more=more))
    assert facts.stored == np.dtype(stored)
    assert facts.offset == (16 if "Skip" in more else 0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"kind": "rgb", "bits": 24}, "Datatype 'rgb' of 24 bits is not read"),
        ({"kind": "float", "bits": 16}, "Datatype 'float' of 16 bits is not read"),
        ({"more": "SkipHeader = -8"}, "SkipHeader must be a whole number above 0, found '-8'"),
        ({"unit": "parsec"}, "unit is 'parsec', which is no length"),
        ({"more": "Size = 1 2"}, "Size is given twice, as '1 2' and as '4 5 6'"),
        ({"more": "[file2]\nSize = 4 5 6\n[file1]"}, r"\[file2\] makes one volume of several files"),
        ({"more": "FileFormat = gzip\nFileFormat = gzip"}, "FileFormat is given twice"),
    ],
)
def test_a_vgi_that_is_not_read_says_why(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read_facts(scanners.vgstudio(tmp_path, **changed))


@pytest.mark.parametrize(("size", "found"), [("0.02 0.03 0", "'0'"), ("0.02 nan 1", "'nan'")])
def test_a_resolution_without_meaning_is_refused(tmp_path: Path, size: str, found: str) -> None:
    path = scanners.vgstudio(tmp_path)
    path.write_text(path.read_text().replace("0.02 0.03 0.05", size))
    with pytest.raises(FormatError, match=f"resolution must be a number above 0, found {found}"):
        read_facts(path)


def test_a_vgi_with_decimal_commas_is_understood(tmp_path: Path) -> None:
    path = scanners.vgstudio(tmp_path)
    path.write_text(path.read_text().replace("0.02 0.03 0.05", "0,02 0,03 0,05"))
    assert facts_of(path).spacing == (0.05, 0.03, 0.02)


@pytest.mark.parametrize(
    ("mirror", "letters", "image"),
    [("0 1 1", "LAI", False), ("0 0 1", "LPI", True), ("1 1 1 0", "RAI", True)],
)
def test_axes_that_vgstudio_turns_are_told(tmp_path: Path, mirror: str, letters: str, image: bool) -> None:
    facts = facts_of(scanners.vgstudio(tmp_path, more=f"Mirror = {mirror}"))
    assert f"--orientation {letters} places it that way" in facts.handedness
    assert ("mirror image" in facts.handedness) == image
    assert facts.record["mirror_xyz"] == [digit == "1" for digit in mirror.split()[:3]]


def test_a_part_that_vgstudio_shows_and_further_volumes_are_told(tmp_path: Path) -> None:
    path = scanners.vgstudio(tmp_path)
    text = path.read_text().replace("End = 3 4 5", "End = 3 4 4") + "{volume2}\n[file1]\nSize = 1 1 1\n"
    path.write_text(text)
    several, part = facts_of(path).problems
    assert "several volumes" in several
    assert "a part of" in part


# ------------------------------------------------------------------------------------------------------- phoenix


@pytest.mark.parametrize(("code", "stored"), [(1, "u1"), (5, "<u2"), (10, "<f4")])
def test_a_phoenix_file_tells_size_and_type(tmp_path: Path, code: int, stored: str) -> None:
    facts = facts_of(scanners.phoenix(tmp_path, code=code))
    assert facts.spacing == (0.0102906534448266,) * 3
    assert (facts.count, facts.rows, facts.columns) == (6, 5, 4)
    assert (facts.stored, facts.volume) == (np.dtype(stored), tmp_path / "bird.vol")


def test_a_renamed_phoenix_pair_is_found_by_its_own_name(tmp_path: Path) -> None:
    scanners.raw(tmp_path, "wing.VOL")
    assert facts_of(scanners.phoenix(tmp_path, "wing.pcr")).volume == tmp_path / "wing.VOL"


def test_an_unknown_type_of_a_phoenix_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"Format must be one of 1 \(uint8\), 5 \(uint16\), 10 \(float32\), found 7"):
        read_facts(scanners.phoenix(tmp_path, code=7))


def test_a_missing_size_is_taken_from_the_acquisition_and_called_assumed(tmp_path: Path) -> None:
    path = scanners.phoenix(tmp_path, size="")
    assert facts_of(path).spacing is None
    path.with_suffix(".pca").write_text("[Geometry]\nVoxelSizeX=0,01029065\nVoxelSizeY=0,01029065\n")
    facts = facts_of(path)
    assert facts.spacing == (0.01029065,) * 3
    assert "voxel size of the acquisition, 0.0102907 mm in bird.pca, is assumed" in facts.guess


# ------------------------------------------------------------------------------------------- which file belongs


def test_a_log_belongs_to_slices_named_as_it_says(tmp_path: Path) -> None:
    path = scanners.skyscan(tmp_path)
    for count in (6, 3):
        found = facts_beside(tmp_path, numbered("mouse__rec", count))
        assert found == read_facts(path)


def test_a_log_belongs_to_as_many_renamed_slices_as_it_says(tmp_path: Path) -> None:
    scanners.skyscan(tmp_path)
    found = facts_beside(tmp_path, numbered("other", 6))
    assert found is not None
    assert found.count == 6


def test_a_log_of_other_slices_is_set_aside_and_said(tmp_path: Path) -> None:
    scanners.skyscan(tmp_path)
    found = facts_beside(tmp_path, numbered("other", 4))
    assert found is not None
    assert (found.spacing, found.count) == (None, None)
    assert "tells of 6 slices named mouse__rec..., which these 4 are not" in found.problems[0]


def test_projections_are_not_slices(tmp_path: Path) -> None:
    scanners.skyscan(tmp_path)
    found = facts_beside(tmp_path, numbered("mouse_", 13, ".tif"))
    assert found is not None
    assert found.spacing is None
    assert "these 13 images are named as the projections" in found.problems[0]


def test_the_log_of_the_scan_beside_that_of_the_reconstruction_does_not_count(tmp_path: Path) -> None:
    scan = scanners.skyscan(tmp_path, "mouse_.log")
    scan.write_text(scan.read_text().partition("[Reconstruction]")[0])
    scanners.skyscan(tmp_path)
    found = facts_beside(tmp_path, numbered("mouse__rec", 6))
    assert found is not None
    assert found.spacing == (0.02, 0.01, 0.01)


def test_copies_of_one_log_agree_and_logs_of_two_scans_do_not(tmp_path: Path) -> None:
    scanners.skyscan(tmp_path)
    scanners.skyscan(tmp_path, "copy.log")
    assert facts_beside(tmp_path, numbered("mouse__rec", 6)) is not None
    scanners.skyscan(tmp_path, "other.log", pixel=11)
    with pytest.raises(InputError, match=r"several scanner files .* disagree \(copy.log says 6 .*; other.log says 6"):
        facts_beside(tmp_path, numbered("mouse__rec", 6))


def test_a_file_named_for_the_slices_wins_over_one_that_only_counts_as_many(tmp_path: Path) -> None:
    scanners.skyscan(tmp_path)
    scanners.nikon(tmp_path, VoxelSizeZ="0.5")
    found = facts_beside(tmp_path, numbered("mouse__rec", 6))
    assert found is not None
    assert found.vendor == "SkyScan"


def test_a_nikon_file_above_the_slices_belongs_by_name_or_number(tmp_path: Path) -> None:
    folder = tmp_path / "slices"
    folder.mkdir()
    scanners.nikon(tmp_path)
    for names in (numbered("beetle_", 6, ".tif"), numbered("beetle", 4, ".tif"), numbered("x", 6, ".tif")):
        found = facts_beside(folder, names)
        assert found is not None
        assert found.spacing == (0.05, 0.03, 0.02)
    assert facts_beside(folder, numbered("x", 4, ".tif")) is None
    assert facts_beside(folder, numbered("beetle_", 11, ".tif")) is None


def test_a_file_in_the_folder_wins_over_one_above_where_both_only_count_as_many(tmp_path: Path) -> None:
    folder = tmp_path / "slices"
    folder.mkdir()
    scanners.nikon(tmp_path)
    scanners.phoenix(folder)
    found = facts_beside(folder, numbered("x", 6, ".tif"))
    assert found is not None
    assert found.vendor == "GE phoenix"


def test_a_log_above_the_slices_does_not_belong(tmp_path: Path) -> None:
    folder = tmp_path / "slices"
    folder.mkdir()
    scanners.skyscan(tmp_path)
    assert facts_beside(folder, numbered("mouse__rec", 6)) is None


# ------------------------------------------------------------------------------------------------ what it must fit


def test_slices_of_the_size_that_is_told_fit(tmp_path: Path) -> None:
    check_facts(facts_of(scanners.skyscan(tmp_path)), count=6, rows=5, columns=4)
    check_facts(ScanFacts(tmp_path, "SkyScan", rows=5), count=1, rows=5, columns=3)


@pytest.mark.parametrize(("count", "rows", "columns"), [(5, 5, 4), (7, 5, 4), (6, 4, 4), (6, 5, 5)])
def test_slices_of_another_size_are_refused_with_both(tmp_path: Path, count: int, rows: int, columns: int) -> None:
    facts = facts_of(scanners.skyscan(tmp_path))
    with pytest.raises(GeometryError) as caught:
        check_facts(facts, count=count, rows=rows, columns=columns)
    told = str(caught.value)
    assert "says 6 slices of 4 x 5 pixels" in told
    assert f"there are {count} slices of {columns} x {rows} pixels" in told
    assert "--pattern or --slices say which are meant, --spacing overrules the file" in told


def test_slices_along_another_axis_are_recognised(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match="they may be cut along another axis"):
        check_facts(facts_of(scanners.nikon(tmp_path)), count=4, rows=6, columns=5)
