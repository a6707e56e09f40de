"""The header walker agrees with pydicom on every file with pixels, and survives hostile ones."""

from __future__ import annotations

import math
import struct
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from chunkvol.errors import ChunkvolError, DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.dicom.headers import header as header_module
from chunkvol.formats.dicom.headers.fields import FIELDS
from chunkvol.formats.dicom.headers.header import Header, is_dicom, read_header
from chunkvol.formats.dicom.headers.walker import tag_name
from tests.support.series import oblique, write_series

_PYDICOM = Path(pydicom.__file__).parent / "data"
_NOT_A_NUMBER = {"badVR.dcm"}  # its NumberOfFrames is "1A": pydicom warns, we refuse


def _wheel_files() -> list[Path]:
    return sorted(path for path in _PYDICOM.rglob("*") if path.is_file() and path.name not in _NOT_A_NUMBER)


def _has_pixels(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return False
    return any(keyword in _reference(path) for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))


def _reference(path: Path) -> pydicom.Dataset:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pydicom.dcmread(path)


def _agree(path: Path) -> None:
    found = read_header(path)
    assert found is not None
    reference = _reference(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for field, _, keyword, _ in FIELDS:
            assert _plain(getattr(found, field)) == _wanted(reference, keyword), (path.name, keyword)
    assert found.transfer_syntax == reference.file_meta.get("TransferSyntaxUID", found.transfer_syntax)
    _pixels_agree(path, found, reference)


_STAND_INS = {
    "ImagerPixelSpacing": 0x00182010,
    "DiffusionBValue": 0x0019100C,
    "DiffusionGradientOrientation": 0x0019100E,
}


def _wanted(reference: pydicom.Dataset, keyword: str) -> Any:
    value = reference.get(keyword)
    if keyword == "ModalityLUTSequence":
        return float(bool(value))
    stand_in = _STAND_INS.get(keyword, 0)
    siemens = 0x00190010 in reference and reference[0x00190010].value == "SIEMENS MR HEADER"
    if value is None and stand_in in reference and (siemens or not stand_in >> 16 & 1):
        value = reference[stand_in].value
    plain = _plain(value)
    return plain[0] if keyword == "EchoNumbers" and isinstance(plain, list) else plain


def _pixels_agree(path: Path, found: Header, reference: pydicom.Dataset) -> None:
    element = reference[found.pixel_tag]
    if found.deflated_at is not None:
        assert found.length == len(element.value)
    elif found.length is None:
        assert path.read_bytes()[found.offset :].startswith(element.value[:64])
    else:
        kept = path.read_bytes()[found.offset : found.offset + found.length]
        assert kept == element.value[: len(kept)]
        assert len(element.value) <= found.length


def _plain(value: Any) -> Any:
    """Values of both readers in one shape: numbers as floats, several as a list, absent as None."""
    if value is None or value in ("", ()):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value.strip() or None
    parts = [_plain(part) for part in value]
    return parts[0] if len(parts) == 1 else parts


@pytest.mark.parametrize("path", [p for p in _wheel_files() if _has_pixels(p)], ids=lambda p: p.name)
def test_the_walker_agrees_with_pydicom_on_its_own_test_files(path: Path) -> None:
    _agree(path)


def test_the_walker_agrees_with_pydicom_on_real_series(visible: Path) -> None:
    paths = [path for path in sorted(visible.rglob("*.dcm")) if _has_pixels(path)]
    assert len(paths) > 200
    for path in paths:
        _agree(path)


def test_ordinary_files_never_need_pydicom(visible: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, size: int) -> Header:
        raise AssertionError(name)

    monkeypatch.setattr(header_module, "_read_with_pydicom", refuse)
    for path in sorted(visible.rglob("*.dcm")):
        read_header(path)


_OTHERS = {
    "empty": b"",
    "short": b"DICM",
    "text": b"x" * 1000,
    "png": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "tiff": b"II*\0\x08\0\0\0" + bytes(100),
    "json": b'{"Rows": 5, "Columns": 7}' * 9,
    "nrrd": b"NRRD0005\ntype: short\ndimension: 3\n\n" + bytes(100),
    "words": struct.pack("<500H", *range(8, 508)),
    "few": struct.pack("<500H", *([8, 0] * 250)),
    "eight": b"\x08\0" + bytes(1 << 20),
    "two": b"\x02\0\0\0UL\x04\0" + bytes(1 << 12),
}


@pytest.mark.parametrize("data", _OTHERS.values(), ids=_OTHERS)
def test_other_files_are_not_dicom(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    assert read_header(path) is None
    assert not is_dicom(path)


@settings(max_examples=200)
@given(data=st.binary(max_size=400), group=st.sampled_from([b"", b"\x02\0", b"\x08\0", b"\x08\0\x05\0CS\x02\0ab"]))
def test_noise_is_not_dicom(tmp_path_factory: pytest.TempPathFactory, data: bytes, group: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "noise"
    path.write_bytes(group + data)
    assert read_header(path) is None


# ---------------------------------------------------------------------------------- data sets without preamble and mark


@pytest.fixture(params=["explicit", "implicit", "meta"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A slice that starts at byte 0."""
    syntax = ImplicitVRLittleEndian if request.param == "implicit" else ExplicitVRLittleEndian
    shape = (1, 5, 7)
    path = write_series(tmp_path, np.zeros(shape, "u2"), oblique(shape), transfer_syntax=syntax)[0]
    data = path.read_bytes()
    start = 132 if request.param == "meta" else 144 + pydicom.filereader.read_file_meta_info(path)[0x00020000].value
    path.write_bytes(data[start:])
    return path


def test_a_data_set_that_starts_the_file_is_read_as_pydicom_reads_it(bare: Path) -> None:
    assert is_dicom(bare)
    found = read_header(bare)
    reference = pydicom.dcmread(bare, force=True)
    assert found is not None
    for field, _, keyword, _ in FIELDS:
        assert _plain(getattr(found, field)) == _wanted(reference, keyword), keyword
    assert found.rows == 5
    assert bare.read_bytes()[found.offset :] == reference.PixelData
    assert found.length == len(reference.PixelData)


def test_bare_data_sets_never_need_pydicom(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header_module, "_read_with_pydicom", None)
    assert read_header(bare) is not None


def test_a_bare_data_set_cut_short_is_damage(bare: Path) -> None:
    bare.write_bytes(bare.read_bytes()[:600])
    with pytest.raises(DamagedError, match=r"IM0000\.dcm is damaged"):
        read_header(bare)


def test_images_older_than_dicom_are_read(tmp_path: Path) -> None:
    path = tmp_path / "acr"
    elements = [
        (0x0008, 0x0000, struct.pack("<I", 40)),
        (0x0008, 0x0001, struct.pack("<I", 4000)),
        (0x0009, 0x1010, bytes(9000)),
        (0x0028, 0x0000, struct.pack("<I", 20)),
        (0x0028, 0x0010, struct.pack("<H", 3)),
        (0x0028, 0x0011, struct.pack("<H", 2)),
        (0x7FE0, 0x0010, bytes(12)),
    ]
    path.write_bytes(b"".join(struct.pack("<HHI", group, n, len(value)) + value for group, n, value in elements))
    found = read_header(path)
    assert found is not None
    assert (found.rows, found.columns, found.length) == (3, 2, 12)


def _file(tmp_path: Path, *elements: bytes, syntax: bytes = b"1.2.840.10008.1.2.1\0") -> Path:
    path = tmp_path / "made.dcm"
    meta = _element(0x0002, 0x0010, b"UI", syntax)
    path.write_bytes(bytes(128) + b"DICM" + meta + b"".join(elements))
    return path


def _element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    if vr in (b"SQ", b"OW", b"OB", b"UN"):
        return struct.pack("<HH2sHI", group, number, vr, 0, size) + value
    return struct.pack("<HH2sH", group, number, vr, size) + value


_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
_ITEM_END = struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
_SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
_PIXELS = _element(0x7FE0, 0x0010, b"OW", b"\1\2\3\4")


def _nested(depth: int) -> bytes:
    inner = _element(0x0028, 0x0010, b"US", b"\x09\x00")  # Rows of something else
    for _ in range(depth):
        inner = _element(0x0008, 0x1140, b"SQ", b"", 0xFFFFFFFF) + _ITEM + inner + _ITEM_END + _SEQUENCE_END
    return inner


@pytest.mark.parametrize("depth", [1, 2, 60])
def test_elements_inside_sequences_do_not_count(tmp_path: Path, depth: int) -> None:
    rows = _element(0x0028, 0x0010, b"US", b"\x05\x00")
    found = read_header(_file(tmp_path, _nested(depth), rows, _PIXELS))
    assert found is not None
    assert (found.rows, found.length) == (5, 4)


@pytest.mark.parametrize("before", [7000, 8192, 100_003, 1 << 20])
def test_long_private_elements_before_the_pixels_are_jumped_over(tmp_path: Path, before: int) -> None:
    private = _element(0x0029, 0x1010, b"OB", bytes(before))
    rows = _element(0x0029 + 1, 0x0010, b"US", b"\x05\x00")
    found = read_header(_file(tmp_path, private, rows, _PIXELS))
    assert found is not None
    assert found.offset == found.file_size - 4


def test_sequences_nested_too_deep_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match=r"made\.dcm is damaged: sequences are nested more than 64 deep"):
        read_header(_file(tmp_path, _nested(3000), _PIXELS))


def test_a_length_beyond_the_file_is_damage(tmp_path: Path) -> None:
    with pytest.raises(DamagedError, match=r"\(0029,1010\) at byte \d+ claims 4294967280 bytes, 16 are left"):
        read_header(_file(tmp_path, _element(0x0029, 0x1010, b"OB", b"", 0xFFFFFFF0), _PIXELS))


def test_a_wanted_element_of_absurd_length_is_damage(tmp_path: Path) -> None:
    elements = _element(0x0008, 0x0060, b"UN", bytes(1 << 17)), _PIXELS
    with pytest.raises(DamagedError, match=r"\(0008,0060\) claims 131072 bytes"):
        read_header(_file(tmp_path, *elements))


@pytest.mark.parametrize(
    ("value", "reason"),
    [(b"abc ", "'abc', expected a finite"), (b"nan ", "'nan'"), (b"1e999\\1 ", "'1e999'"), (b"1_0 ", "'1_0'")],
)
def test_bad_numbers_are_named_by_their_tag(tmp_path: Path, value: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=rf"made\.dcm: RescaleSlope \(0028,1053\) is {reason}"):
        read_header(_file(tmp_path, _element(0x0028, 0x1053, b"DS", value), _PIXELS))


@pytest.mark.parametrize("value", [b"1\\0\\0\\0\\1 ", b"1\\0\\0\\0\\1\\inf "])
def test_a_bad_orientation_is_an_error_of_geometry(tmp_path: Path, value: bytes) -> None:
    with pytest.raises(GeometryError, match=r"ImageOrientationPatient \(0020,0037\)"):
        read_header(_file(tmp_path, _element(0x0020, 0x0037, b"DS", value), _PIXELS))


@pytest.mark.parametrize(
    ("element", "field"),
    [
        (_element(0x0018, 0x0081, b"DS", b"abc "), "echo_time"),
        (_element(0x0018, 0x0081, b"DS", b"1\\2 "), "echo_time"),
        (_element(0x0018, 0x0086, b"IS", b"one "), "echo_number"),
        (_element(0x0018, 0x1060, b"DS", b"inf "), "trigger_time"),
        (_element(0x0018, 0x9087, b"FD", struct.pack("<d", math.nan)), "b_value"),
        (_element(0x0018, 0x9087, b"FD", bytes(6)), "b_value"),
        (_element(0x0018, 0x9089, b"FD", bytes(16)), "gradient"),
        (_element(0x0020, 0x0011, b"IS", b"1.5 "), "series_number"),
        (_element(0x0020, 0x0012, b"IS", b"- "), "acquisition_number"),
        (_element(0x0020, 0x0100, b"IS", b"? "), "temporal_position"),
        (_element(0x0028, 0x0006, b"US", b"\0\0\0"), "planar"),
        (_element(0x0028, 0x0121, b"OW", bytes(70000)), "padding_limit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nonsense_where_nothing_depends_on_it_is_nothing(tmp_path: Path, element: bytes, field: str) -> None:
    rows = _element(0x0028, 0x0010, b"US", b"\x05\x00")
    found = read_header(_file(tmp_path, element, rows, _PIXELS))
    assert found is not None
    assert getattr(found, field) is None
    assert found.rows == 5


@pytest.mark.parametrize(
    ("group", "number", "value", "kind"),
    [
        (0x0020, 0x0032, b"1\\2\\3 ", GeometryError),
        (0x0028, 0x0004, b"MONOCHROME2 ", FormatError),
        (0x0028, 0x0010, b"\x05\x00", FormatError),
    ],
)
def test_a_sequence_in_the_place_of_a_value_is_an_error(
    tmp_path: Path, group: int, number: int, value: bytes, kind: type[Exception]
) -> None:
    with pytest.raises(kind, match=rf"\({group:04X},{number:04X}\) is a sequence, expected a value"):
        read_header(_file(tmp_path, _element(group, number, b"SQ", value), _PIXELS))


@pytest.mark.parametrize("implicit", [False, True])  # whose data set pydicom is asked to follow
def test_a_damaged_transfer_syntax_does_not_pass_for_the_sound_one(tmp_path: Path, implicit: bool) -> None:
    rows = struct.pack("<HHIH", 0x0028, 0x0010, 2, 5) if implicit else _element(0x0028, 0x0010, b"US", b"\5\0")
    sound, damaged = (b"1.2.840.10008.1.2 ", b"1.2.840.10008.1.2\1")
    if not implicit:
        sound, damaged = (b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1\1")
    found = [read_header(_file(tmp_path, rows, syntax=one)) for one in (sound, damaged)]
    assert [header and header.rows for header in found] == [5, 5]
    assert [header and header.transfer_syntax for header in found] == [
        sound[:-1].decode(), f"'{sound[:-1].decode()}\\x01'"
    ]  # fmt: skip  # a pair


@pytest.mark.parametrize("tag", [0x1164, 0x2010])
def test_nonsense_in_the_spacing_of_a_detector_is_an_error(tmp_path: Path, tag: int) -> None:
    with pytest.raises(GeometryError, match=r"PixelSpacing \(0018,.*has 1 values, expected 2"):
        read_header(_file(tmp_path, _element(0x0018, tag, b"DS", b"1 "), _PIXELS))


_SIEMENS = _element(0x0019, 0x0010, b"LO", b"SIEMENS MR HEADER ")
_B_VALUE = _element(0x0019, 0x100C, b"IS", b"700 ")
_DIRECTION = _element(0x0019, 0x100E, b"FD", struct.pack("<3d", 0.6, -0.8, 0))


def test_the_diffusion_of_siemens_is_read_from_its_private_elements(tmp_path: Path) -> None:
    found = read_header(_file(tmp_path, _SIEMENS, _B_VALUE, _DIRECTION, _PIXELS))
    assert found is not None
    assert (found.b_value, found.gradient) == (700.0, (0.6, -0.8, 0.0))


def test_the_standard_b_value_comes_before_a_private_one(tmp_path: Path) -> None:
    standard = _element(0x0018, 0x9087, b"FD", struct.pack("<d", 800))
    found = read_header(_file(tmp_path, standard, _SIEMENS, _B_VALUE, _PIXELS))
    assert found is not None
    assert found.b_value == 800


@pytest.mark.parametrize(
    "private",
    [
        _B_VALUE,
        _element(0x0019, 0x0010, b"LO", b"ANOTHER MAKER ") + _B_VALUE,
        _element(0x0019, 0x100C, b"OB", bytes(100_000)),
        _element(0x0019, 0x100C, b"SQ", b"", 0xFFFFFFFF) + _ITEM + _ITEM_END + _SEQUENCE_END,
    ],
    ids=["no creator", "another creator", "long", "sequence"],
)
def test_private_elements_of_others_say_nothing(tmp_path: Path, private: bytes) -> None:
    found = read_header(_file(tmp_path, private, _PIXELS))
    assert found is not None
    assert found.b_value is None
    assert found.length == 4


_LUT_ITEM = _ITEM + _element(0x0028, 0x3006, b"OW", bytes(131072)) + _ITEM_END


@pytest.mark.parametrize(
    ("sequence", "there"),
    [
        (_element(0x0028, 0x3000, b"SQ", _LUT_ITEM + _SEQUENCE_END, 0xFFFFFFFF), True),
        (_element(0x0028, 0x3000, b"SQ", _LUT_ITEM), True),
        (_element(0x0028, 0x3000, b"SQ", _ITEM + _ITEM_END), True),
        (_element(0x0028, 0x3000, b"SQ", b""), False),
        (b"", False),
    ],
    ids=["undefined length", "long", "short", "empty", "absent"],
)
def test_a_lookup_table_is_noticed_and_jumped_over(
    tmp_path: Path, sequence: bytes, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(header_module, "_read_with_pydicom", None)
    found = read_header(_file(tmp_path, sequence, _PIXELS))
    assert found is not None
    assert (found.has_modality_lut, found.length) == (there, 4)


def test_a_range_of_padding_is_signed_as_the_pixels_are(tmp_path: Path) -> None:
    shape = (1, 5, 7)

    def edit(_: int, dataset: pydicom.Dataset) -> None:
        dataset.PixelPaddingValue, dataset.PixelPaddingRangeLimit = -2000, -1900

    path = write_series(
        tmp_path, np.zeros(shape, "i2"), oblique(shape), transfer_syntax=ImplicitVRLittleEndian, edit=edit
    )[0]
    found = read_header(path)
    assert found is not None
    assert (found.padding, found.padding_limit) == (-2000, -1900)


def test_a_deflated_bomb_is_not_inflated(tmp_path: Path) -> None:
    import zlib

    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = _element(0x0029, 0x1010, b"OB", b"", 200 << 20)
    data = squeeze.compress(bomb) + squeeze.compress(bytes(200 << 20)) + squeeze.flush()
    with pytest.raises(DamagedError, match="inflates to more than 64 MiB"):
        read_header(_file(tmp_path, data, syntax=b"1.2.840.10008.1.2.1.99"))


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.dcm cannot be read: No such file"):
        read_header(tmp_path / "absent.dcm")


def test_tags_are_written_as_in_the_standard() -> None:
    assert tag_name(0x7FE00010) == "(7FE0,0010)"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bytes]:
    folder = tmp_path_factory.mktemp("healthy")
    shape = (1, 5, 7)
    yield write_series(folder, np.zeros(shape, "u2"), oblique(shape))[0].read_bytes()


@settings(max_examples=300)
@given(position=st.integers(132, 1200), value=st.integers(0, 255), cut=st.integers(0, 1300))
def test_damaged_headers_give_a_header_or_one_of_our_errors(
    healthy: bytes, tmp_path_factory: pytest.TempPathFactory, position: int, value: int, cut: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutant.dcm"
    mutant = bytearray(healthy)
    mutant[position % len(mutant)] = value
    path.write_bytes(mutant[: len(mutant) - cut % 40 if cut % 3 == 0 else None])
    try:
        read_header(path)
    except ChunkvolError as error:
        assert "mutant.dcm" in str(error)
