"""Headers full of zeros, noise and bombs are refused at once, in one line; nothing that counts hides behind pixels."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chunkvol
from chunkvol.errors import DamagedError, FormatError, GeometryError
from chunkvol.formats.dicom.headers import values
from chunkvol.formats.dicom.headers.header import read_header
from chunkvol.formats.dicom.headers.inflate import Inflater
from chunkvol.formats.dicom.pixels.native import InflatedPixels
from chunkvol.sources import Block
from tests.support.elements import DEFLATED, parse
from tests.support.series import oblique, write_series


def _file(tmp_path: Path, *elements: bytes, syntax: bytes = b"1.2.840.10008.1.2.1\0") -> Path:
    path = tmp_path / "made.dcm"
    path.write_bytes(bytes(128) + b"DICM" + _element(0x0002, 0x0010, b"UI", syntax) + b"".join(elements))
    return path


def _element(group: int, number: int, vr: bytes, value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    if vr in (b"SQ", b"OW", b"OB", b"UN"):
        return struct.pack("<HH2sHI", group, number, vr, 0, size) + value
    return struct.pack("<HH2sH", group, number, vr, size) + value


_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
_PIXELS = _element(0x7FE0, 0x0010, b"OW", b"\1\2\3\4")


# ------------------------------------------------------------------------------------------- zeros, bombs, what follows


def _sparse(path: Path, size: int = 1 << 32) -> Path:
    os.truncate(path, size)
    return path


_NO_IMAGE = _element(0x0008, 0x0060, b"CS", b"SR"), _element(0x0010, 0x0010, b"PN", b"A^B ")
_NO_IMAGE_IMPLICIT = struct.pack("<HHI", 0x0008, 0x0060, 2) + b"SR"
_BIG = b"1.2.840.10008.1.2.2\0"
_IMPLICIT = b"1.2.840.10008.1.2\0"
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_FAST = pytest.mark.timeout(20)


@_FAST
@pytest.mark.parametrize("syntax", [None, _IMPLICIT], ids=["explicit", "implicit"])
def test_gigabytes_of_zeros_after_a_file_without_image_are_padding(tmp_path: Path, syntax: bytes | None) -> None:
    path = _file(tmp_path, *_NO_IMAGE) if syntax is None else _file(tmp_path, _NO_IMAGE_IMPLICIT, syntax=syntax)
    found = read_header(_sparse(path))
    assert found is not None
    assert (found.modality, found.pixel_tag) == ("SR", 0)


@_FAST
@pytest.mark.parametrize("zeros", [8, 512, 1 << 20])
@pytest.mark.parametrize("implicit", [False, True])
def test_zeros_amid_a_header_are_damage(tmp_path: Path, zeros: int, implicit: bool) -> None:
    start = [_NO_IMAGE_IMPLICIT] if implicit else _NO_IMAGE
    path = _file(tmp_path, *start, bytes(zeros), _PIXELS, **({"syntax": _IMPLICIT} if implicit else {}))
    with pytest.raises(DamagedError, match=r"group 0000 stands in the data set at byte \d+"):
        read_header(path)


@_FAST
@pytest.mark.parametrize("syntax", [b"1.2.840.10008.1.2.1\0", _IMPLICIT], ids=["explicit", "implicit"])
def test_zeros_inside_a_sequence_without_end_are_damage(tmp_path: Path, syntax: bytes) -> None:
    head = struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF)
    sequence = _element(0x0008, 0x1140, b"SQ", b"", 0xFFFFFFFF) if syntax != _IMPLICIT else head
    with pytest.raises(DamagedError, match="group 0000 stands"):
        read_header(_sparse(_file(tmp_path, sequence + _ITEM, syntax=syntax)))


@_FAST
@pytest.mark.parametrize("first", [b"", _element(0x0008, 0x0060, b"??", b"SR")], ids=["big endian", "unknown VR"])
def test_pydicom_is_given_so_much_and_no_more(tmp_path: Path, first: bytes) -> None:
    big = struct.pack(">HH2sH", 0x0008, 0x0060, b"CS", 2) + b"SR"
    path = _file(tmp_path, first) if first else _file(tmp_path, big, syntax=_BIG)
    with pytest.raises(DamagedError, match="its header has more than 64 MiB, or very many elements"):
        read_header(_sparse(path))


def test_pydicom_jumps_over_large_elements(tmp_path: Path) -> None:
    size = 200 << 20
    path = _file(tmp_path, struct.pack(">HH2sHI", 0x0029, 0x1010, b"OB", 0, size), syntax=_BIG)
    _sparse(path, path.stat().st_size + size)
    with path.open("ab") as file:
        file.write(struct.pack(">HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 4) + b"\1\2\3\4")
    found = read_header(path)
    assert found is not None
    assert (found.length, found.offset) == (4, path.stat().st_size - 4)


def test_commands_of_a_transfer_before_the_data_set_are_passed_over(tmp_path: Path) -> None:
    command = struct.pack("<HHII", 0, 0, 4, 10) + struct.pack("<HHIH", 0, 0x100, 2, 1)
    found = read_header(_file(tmp_path, command, _element(0x0028, 0x0010, b"US", b"\5\0"), _PIXELS))
    assert found is not None
    assert (found.rows, found.length) == (5, 4)


def _deflate(*parts: bytes, end: bool = True) -> bytes:
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    data = b"".join(map(squeeze.compress, parts))
    return data + squeeze.flush(zlib.Z_FINISH if end else zlib.Z_SYNC_FLUSH)


@_FAST
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_deflate(*_NO_IMAGE, bytes(192 << 20)), "inflates to more than 64 MiB"),
        (_deflate(*_NO_IMAGE, end=False), "its deflated data set is cut short"),
        (_deflate(*_NO_IMAGE, _element(0x0029, 0x1010, b"??", bytes(60_000))), r"cannot be followed \(\(0029"),
    ],
    ids=["zeros", "no end", "unknown VR"],
)
def test_deflated_headers_that_never_end_are_damage(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(DamagedError, match=reason):
        read_header(_file(tmp_path, data, syntax=_DEFLATED))


_PADDING = _element(0xFFFC, 0xFFFC, b"OB", bytes(126))
_ROWS = _element(0x0028, 0x0010, b"US", b"\5\0")


@pytest.mark.parametrize(
    "tail",
    [b"", b"\1", b"\1" * 7, bytes(8), bytes(200_000), _PADDING, _element(0x7FE1, 0x10, b"LO", b"AB") + _PADDING,
     _element(0xFFFC, 0xFFFC, b"OW", b"\1")[:-3], b"\xff" * 30],
)  # fmt: skip
def test_padding_and_higher_tags_may_follow_the_pixels(tmp_path: Path, tail: bytes) -> None:
    found = read_header(_file(tmp_path, _ROWS, _PIXELS, tail))
    assert found is not None
    assert found.length == 4


@_FAST
def test_gigabytes_of_zeros_may_follow_the_pixels(tmp_path: Path) -> None:
    found = read_header(_sparse(_file(tmp_path, _ROWS, _PIXELS)))
    assert found is not None
    assert found.length == 4


_SLOPE = _element(0x0028, 0x1053, b"DS", b"2 ")


@pytest.mark.parametrize(
    ("tail", "reason"),
    [
        (_PIXELS, r"has pixel data \(7FE0,0010\) more than once, .*; export it again"),
        (_PIXELS[:9], r"has pixel data \(7FE0,0010\) more than once"),
        (_SLOPE, r"has \(0028,1053\) after its pixel data, .*; export it again"),
        (_element(0x7FE1, 0x10, b"LO", b"AB") + _PADDING + _SLOPE, r"has \(0028,1053\) after"),
        (bytes(64) + _SLOPE, r"has \(0000,0000\) after"),
    ],
)
def test_what_belongs_before_the_pixels_may_not_follow_them(tmp_path: Path, tail: bytes, reason: str) -> None:
    with pytest.raises(FormatError, match=rf"made\.dcm {reason}"):
        read_header(_file(tmp_path, _ROWS, _PIXELS, tail))


@pytest.mark.parametrize("syntax", [_IMPLICIT, _BIG], ids=["implicit", "big endian"])
def test_other_orders_and_encodings_are_followed_behind_the_pixels(tmp_path: Path, syntax: bytes) -> None:
    def element(group: int, number: int, value: bytes) -> bytes:
        if syntax == _IMPLICIT:
            return struct.pack("<HHI", group, number, len(value)) + value
        return struct.pack(">HH2sHI", group, number, b"OW", 0, len(value)) + value

    image = element(0x0028, 0x0106, b"\0\5"), element(0x7FE0, 0x0010, b"\1\2\3\4"), element(0xFFFC, 0xFFFC, bytes(9))
    assert read_header(_file(tmp_path, *image, syntax=syntax)) is not None
    for tail, name in ((image[1], "7FE0,0010"), (element(0x6000, 0x3000, b"ab"), "6000,3000")):
        with pytest.raises(FormatError, match=rf"\({name}\)"):
            read_header(_file(tmp_path, *image, tail, syntax=syntax))


# ---------------------------------------------------------------------------------------- the end of a deflated stream

_PLANES = np.random.default_rng(3).integers(0, 60_000, (3, 300, 251), "<u2")
_HEAD = _element(0x0028, 0x1053, b"DS", b"1 ")
_FRAMES = _element(0x7FE0, 0x0010, b"OW", _PLANES.tobytes())
_FIRST = len(_HEAD) + 12


def _planes(path: Path, stream: bytes, wanted: Sequence[int]) -> list[Block]:
    """These frames, then the end."""
    path.write_bytes(b"meta" + stream)
    out = []
    with path.open("rb") as file:
        pixels = InflatedPixels(file.fileno(), 4)
        for k in wanted:
            plane = np.empty_like(_PLANES[0])
            pixels.fill(_FIRST + k * plane.nbytes, plane)
            out.append(plane)
        pixels.finish()
    return out


@pytest.mark.parametrize("tail", [b"", b"\0", bytes(100), bytes(1 << 20), _PADDING], ids=len)
@pytest.mark.parametrize("after", [b"", b"\0", b"garbage"])
@pytest.mark.parametrize("wanted", [[0], [2], [0, 1, 2], [2, 0], []], ids=str)
def test_a_stream_that_ends_well_gives_its_frames(tmp_path: Path, tail: bytes, after: bytes, wanted: list[int]) -> None:
    found = _planes(tmp_path / "a", _deflate(_HEAD, _FRAMES, tail) + after, wanted)
    assert np.array_equal(found, _PLANES[wanted]) or not wanted


@pytest.mark.parametrize("wanted", [[0], [2], [0, 1, 2]], ids=str)
@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (_deflate(_HEAD, _FRAMES, end=False), "does not end as it should"),
        (_deflate(_HEAD, _FRAMES)[:-1], "does not end as it should|ends 1 bytes early"),
        (_deflate(_HEAD, _FRAMES, bytes((64 << 20) + 9)), "does not end as it should"),
        (_deflate(_HEAD, _FRAMES, end=False) + b"\7", r"is broken \(Error -3"),
        (_deflate(_HEAD, _FRAMES[:-6]), r"ends 6 bytes early"),
    ],
    ids=["no end", "cut", "endless", "broken", "short"],
)
def test_a_stream_that_does_not_end_well_is_damage(
    tmp_path: Path, stream: bytes, reason: str, wanted: list[int]
) -> None:
    with pytest.raises(DamagedError, match=reason):
        _planes(tmp_path / "a", stream, wanted)


@pytest.mark.parametrize("tail", [_SLOPE, _PIXELS])
def test_what_belongs_before_deflated_pixels_may_not_follow_them(tmp_path: Path, tail: bytes) -> None:
    with pytest.raises(FormatError, match=r"after its pixel data|more than once"):
        _planes(tmp_path / "a", _deflate(_HEAD, _FRAMES, tail), [0])


def test_deflated_series_without_an_end_are_not_read(tmp_path: Path) -> None:
    shape = 3, 5, 7
    paths = write_series(tmp_path, np.arange(105, dtype="u2").reshape(shape), oblique(shape), transfer_syntax=DEFLATED)
    whole = chunkvol.open_volume(tmp_path).read()
    assert np.array_equal(whole, np.arange(105).reshape(shape))
    file = parse(paths[1].read_bytes())
    assert file is not None
    body = file.data_set()
    paths[1].write_bytes(replace(file, syntax="", body=()).encoded() + _deflate(body, end=False))
    with pytest.raises(DamagedError, match=r"IM0001\.dcm \(plane 1\): its deflated data set does not end .*; copy or"):
        chunkvol.open_volume(tmp_path).read()


# ------------------------------------------------------------------------------------------------------- hostile values


@pytest.mark.parametrize("value", [b"1e30", b"-1e308 ", b"9" * 31])
@pytest.mark.parametrize(("tag", "count"), [((0x0028, 0x1053), 1), ((0x0028, 0x0030), 2), ((0x0020, 0x0032), 3)])
def test_numbers_beyond_all_sense_are_refused(tmp_path: Path, value: bytes, tag: tuple[int, int], count: int) -> None:
    numbers = b"\\".join([value] + [b"1"] * (count - 1))
    with pytest.raises((FormatError, GeometryError), match=r"made\.dcm: .* expected a number below 1e30"):
        read_header(_file(tmp_path, _element(*tag, b"DS", numbers), _PIXELS))


def test_binary_numbers_beyond_all_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="expected numbers below 1e30"):
        values.doubles(struct.pack("<2d", 1, -1e30), b"FD")
    assert values.doubles(struct.pack("<2d", 1, -9e29), b"FD") == (1, -9e29)


def test_noise_in_texts_is_one_short_line(tmp_path: Path) -> None:
    noise = "CT\n\x1b[31m\0\x7fü".encode() + b"x" * 5000
    uid = b"1.2.840.\n\xff" + b"1" * 300
    elements = _element(0x0008, 0x0008, b"CS", b"A\n\\" + noise), _element(0x0008, 0x0018, b"UI", uid)
    found = read_header(_file(tmp_path, *elements, _element(0x0008, 0x0060, b"CS", noise), _PIXELS))
    assert found is not None
    for said in (*found.image_type, found.modality, found.sop_instance):
        assert said.isprintable()
        assert 0 < len(said) <= 64
    assert found.modality.startswith("CT [31m ü")
    other = values.text(noise + b"y", b"")
    assert other != found.modality
    assert other[:50] == found.modality[:50]


def test_noise_in_numbers_is_one_short_line(tmp_path: Path) -> None:
    with pytest.raises(FormatError) as caught:
        read_header(_file(tmp_path, _element(0x0028, 0x1053, b"DS", b"1\n\x1b" * 5000), _PIXELS))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


@given(raw=st.binary(max_size=300))
def test_any_bytes_become_one_line(raw: bytes) -> None:
    for said in (values.text(raw, b""), values.uid(raw, b""), *values.words(raw, b"")):
        assert said.isprintable()
        assert len(said) <= 64


@given(raw=st.binary(max_size=40_000), sizes=st.lists(st.integers(0, 9000), max_size=20), level=st.integers(0, 9))
def test_a_stream_looked_at_forwards_shows_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes, sizes: list[int], level: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "stream"
    squeeze = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(squeeze.compress(raw) + squeeze.flush())
    with path.open("rb") as file:
        stream, at = Inflater(file.fileno(), 0), 0
        for n, size in enumerate(sizes):
            assert stream.look(at, size) == raw[at : at + size]
            at += size * (n % 3)
        stream.look(len(raw) + at, 1)
        assert stream.ended
