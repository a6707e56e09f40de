"""The header walker agrees with pydicom on every file with pixels, and survives hostile ones."""

from __future__ import annotations

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

from chunkvol.errors import ChunkvolError, DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.dicom import header as header_module
from chunkvol.formats.dicom.header import FIELDS, Header, read_header
from chunkvol.formats.dicom.walker import tag_name
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
            assert _plain(getattr(found, field)) == _plain(reference.get(keyword)), (path.name, keyword)
    assert found.transfer_syntax == reference.file_meta.get("TransferSyntaxUID", found.transfer_syntax)
    _pixels_agree(path, found, reference)


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


def test_files_without_the_mark_are_not_dicom(tmp_path: Path) -> None:
    for name, data in (("empty", b""), ("short", b"DICM"), ("text", b"x" * 1000)):
        (tmp_path / name).write_bytes(data)
        assert read_header(tmp_path / name) is None


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
    elements = _element(0x0008, 0x103E, b"UN", bytes(1 << 17)), _PIXELS
    with pytest.raises(DamagedError, match=r"\(0008,103E\) claims 131072 bytes"):
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
