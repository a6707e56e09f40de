"""Pixels of any kind, frame or colour are those of other programs, or are refused: never silently different."""

from __future__ import annotations

import re
import struct
import tracemalloc
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)

from chunkvol.errors import ChunkvolError, DamagedError, FormatError
from chunkvol.formats.dicom import DicomPlanes
from chunkvol.formats.dicom.headers.header import read_header
from chunkvol.formats.dicom.multiframe.expand import expand
from chunkvol.formats.dicom.pixels import native as native_pixels
from chunkvol.formats.dicom.pixels.decoders import PYDICOM
from chunkvol.formats.dicom.pixels.frames import decode_frame
from chunkvol.formats.dicom.pixels.layout import PixelLayout, layout_of, take_grey
from chunkvol.formats.dicom.pixels.transfer import SYNTAXES, find_decoder, syntax_of
from chunkvol.phantom.packbits import packed_rows, rle_frame
from chunkvol.regions import whole
from tests.support.series import oblique, write_plane

imagecodecs = pytest.importorskip("imagecodecs", reason="tool is missing: imagecodecs")

ROWS, COLUMNS, FRAMES = 37, 53, 4
NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
LS, LOSSLESS, BASELINE = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.50"
J2K, HT = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"
LOSSLESS_CODES: dict[str, Callable[[np.ndarray, int], bytes]] = {
    RLELossless: lambda plane, bits: rle_frame(plane),
    LS: lambda plane, bits: bytes(imagecodecs.jpegls_encode(_unsigned(plane, bits))),
    LOSSLESS: lambda plane, bits: imagecodecs.jpeg8_encode(
        _unsigned(plane, bits), lossless=True, predictor=1, bitspersample=bits
    ),
    J2K: lambda plane, bits: imagecodecs.jpeg2k_encode(plane, level=0, reversible=True, codecformat="j2k"),
    HT: lambda plane, bits: imagecodecs.htj2k_encode(plane, reversible=True),
}


def _unsigned(plane: np.ndarray, bits: int) -> np.ndarray:
    return plane.view(f"u{plane.itemsize}") & ((1 << bits) - 1)


def noise(dtype: str, shape: tuple[int, ...] = (ROWS, COLUMNS), bits: int | None = None, seed: int = 3) -> np.ndarray:
    width = bits or 8 * np.dtype(dtype).itemsize
    low = -(1 << (width - 1)) if np.dtype(dtype).kind == "i" else 0
    array = np.random.default_rng(seed).integers(low, low + (1 << width), shape, dtype="int64")
    array[..., 10:20, :] = low + 1
    return array.astype(dtype)


def planes_of(path: Path | str) -> DicomPlanes:
    """All frames of one file in the order in which they are stored, whatever their geometry."""
    header = read_header(path)
    assert header is not None
    headers = expand(header)
    layout, syntax, name = layout_of(header), syntax_of(header), Path(path)
    lengths = [one.length or one.file_size - one.offset for one in headers]
    if not syntax.encapsulated:
        lengths = [layout.stored_bytes] * len(headers)
    return DicomPlanes(
        str(name.parent),
        (name.name,) * len(headers),
        np.array([one.offset for one in headers]),
        np.array(lengths),
        layout,
        "",
        None if header.deflated_at is None else np.array([header.deflated_at] * len(headers)),
        np.array([one.length is not None for one in headers]) if syntax.encapsulated else False,
    )


def everything(path: Path | str) -> np.ndarray:
    planes = planes_of(path)
    return planes.read(whole(planes.shape))


def by_pydicom(path: Path | str) -> np.ndarray:
    """All frames (n, rows, columns[, 3]), native byte order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom tells of faults in its own files
        dataset = pydicom.dcmread(path)
        array = dataset.pixel_array
    colour = dataset.SamplesPerPixel > 1
    array = array.reshape(-1, *array.shape[-3 if colour else -2 :])
    return array.astype(array.dtype.newbyteorder("="))


def write(path: Path, plane: np.ndarray, syntax: str = ExplicitVRLittleEndian, **changes: Any) -> Path:
    """One image of these pixels; `data` replaces their bytes, `vr` their VR, `frames` fill encapsulated pixel data."""
    data, vr, frames = (changes.pop(key, None) for key in ("data", "vr", "frames"))

    def edit(k: int, dataset: pydicom.Dataset) -> None:
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        if data is not None:
            dataset.PixelData = data + bytes(len(data) % 2)
        if frames is not None:
            dataset.file_meta.TransferSyntaxUID = UID(syntax)
            dataset.PixelData = frames if isinstance(frames, bytes) else encapsulate(frames)
            dataset["PixelData"].is_undefined_length = True
            dataset["PixelData"].VR = "OB"
        if vr is not None:
            dataset["PixelData"].VR = vr

    stored = ExplicitVRLittleEndian if frames is not None else syntax
    write_plane(path, plane, oblique((1, *plane.shape)), 0, transfer_syntax=UID(stored), edit=edit)
    return path


@pytest.mark.parametrize(
    ("keyword", "name"), [("FloatPixelData", "Float Pixel Data"), ("DoubleFloatPixelData", "Double Float")]
)
def test_floats_in_a_compressed_transfer_syntax_are_refused_by_name(tmp_path: Path, keyword: str, name: str) -> None:
    plane = noise("uint8")

    def move(k: int, dataset: pydicom.Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = UID(LOSSLESS)
        setattr(dataset, keyword, encapsulate([LOSSLESS_CODES[LOSSLESS](plane, 8)]))
        dataset[keyword].is_undefined_length = True
        dataset[keyword].VR = "OB"
        del dataset.PixelData

    path = tmp_path / "IM.dcm"
    write_plane(path, plane, oblique((1, *plane.shape)), 0, edit=move)
    header = read_header(path)
    assert header is not None
    with pytest.raises(
        FormatError, match=rf"{name}.* \(7FE0,000[89]\) in transfer syntax .*\.70, but floats are read uncomp"
    ):
        layout_of(header)


# ----------------------------------------------------------------------------------------- files of other programs

_FOLDER = Path(pydicom.__file__).parent / "data" / "test_files"
BUNDLED = sorted(
    str(path.relative_to(_FOLDER))
    for path in _FOLDER.rglob("*")
    if path.is_file() and path.suffix in ("", ".dcm") and "DICOMDIR" not in path.name
)
REFUSED = {
    "JPEG2000-embedded-sequence-delimiter.dcm": "its compressed frame is",
    "MR_truncated.dcm": "its pixel data ends 62 bytes early",
    "badVR.dcm": "NumberOfFrames",
    "examples_palette.dcm": "colour image .1 sample, PALETTE COLOR.",
    "liver_1frame.dcm": "BitsAllocated 1;",
    "liver_expb_1frame.dcm": "BitsAllocated 1;",
    "meta_missing_tsyntax.dcm": "BitsAllocated None",
    "nested_priv_SQ.dcm": "BitsAllocated None",
}
"""Grey or broken files that are not read."""


def _has_pixels(name: str) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            header = read_header(_FOLDER / name)
        except ChunkvolError:
            return name in REFUSED
    return header is not None and bool(header.pixel_tag)


@pytest.mark.parametrize("name", list(filter(_has_pixels, BUNDLED)))
def test_every_file_that_comes_with_pydicom_reads_as_pydicom_reads_it_or_not_at_all(name: str) -> None:
    path = _FOLDER / name
    if name in REFUSED:
        with pytest.raises(ChunkvolError, match=REFUSED[name]):
            everything(path)
        return
    if name in ("JPEG-lossy.dcm", "JPGExtended.dcm"):  # 12 bits: no plugin of pydicom's is free enough to be here
        assert everything(path)[0, 420, 140] == 244
        return
    theirs = by_pydicom(path)
    if theirs.ndim == 4 and (theirs != theirs[..., :1]).any():
        with pytest.raises(FormatError, match=rf"{re.escape(path.name)}.*is a colour image.*convert it first"):
            everything(path)
        return
    ours = everything(path)
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs if theirs.ndim == 3 else theirs[..., 0])


# -------------------------------------------------------------------------------------------------- bits and signs


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless], ids=lambda uid: uid.name)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
@pytest.mark.parametrize("fewer", [0, 1, 4])
def test_uncompressed_pixels_of_any_bits_and_sign_are_pydicoms(
    tmp_path: Path, syntax: UID, dtype: str, fewer: int
) -> None:
    plane = noise(dtype)  # bits beside the value are set
    bits = 8 * plane.itemsize - fewer
    packed = {"frames": [rle_frame(plane)]} if syntax == RLELossless else {}
    path = write(tmp_path / "a.dcm", plane, syntax, BitsStored=bits, HighBit=bits - 1, **packed)
    theirs = by_pydicom(path)
    assert fewer == 0 or (theirs != plane).any()
    assert np.array_equal(everything(path), theirs)


@pytest.mark.parametrize("code", [ExplicitVRLittleEndian, *LOSSLESS_CODES])
@pytest.mark.parametrize("dtype", ["uint16", "int16"])
@pytest.mark.parametrize(("bits", "high"), [(12, 13), (12, 15), (10, 14)])
def test_any_high_bit_is_honoured_as_the_standard_says(
    tmp_path: Path, code: str, dtype: str, bits: int, high: int
) -> None:
    """pydicom and gdcm take the lowest bits whatever HighBit says; PS3.5 section 8.1.1 does not."""
    words = noise(dtype)
    values = (words.view("u2").astype("i8") >> (high + 1 - bits)) % (1 << bits)
    if dtype == "int16":
        values = np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
    packed = {"frames": [LOSSLESS_CODES[code](words, 16)]} if code in LOSSLESS_CODES else {}
    path = write(tmp_path / "a.dcm", words, code, BitsStored=bits, HighBit=high, **packed)
    assert np.array_equal(everything(path)[0], values)


@pytest.mark.parametrize("code", [code for code in LOSSLESS_CODES if code != RLELossless])
@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint8"])
@pytest.mark.parametrize("fewer", [0, 3])
def test_compressed_pixels_of_any_bits_and_sign_are_pydicoms(tmp_path: Path, code: str, dtype: str, fewer: int) -> None:
    bits = 8 * np.dtype(dtype).itemsize - fewer
    plane = noise(dtype, bits=bits)
    frame = LOSSLESS_CODES[code](plane, bits)
    path = write(tmp_path / "a.dcm", plane, code, BitsStored=bits, HighBit=bits - 1, frames=[frame])
    assert np.array_equal(everything(path)[0], plane)
    # No plugin of pydicom's that is free enough to be here decodes lossless JPEG, and for JPEG-LS pydicom extends the
    # sign from the codestream's uppermost bit even where BitsStored is less.
    if code != LOSSLESS and not (code == LS and dtype == "int16" and fewer):
        assert np.array_equal(everything(path), by_pydicom(path))


@pytest.mark.parametrize("codestream", ["int16", "uint16"])
@pytest.mark.parametrize("sign", [0, 1])
@pytest.mark.parametrize(("code", "precision", "bits"), [(J2K, 16, 16), (J2K, 12, 12), (J2K, 12, 16), (HT, 16, 16)])
def test_a_sign_that_only_header_or_codestream_has_is_taken_as_pydicom_takes_it(
    tmp_path: Path, code: str, codestream: str, sign: int, precision: int, bits: int
) -> None:
    plane = noise(codestream, bits=precision)
    encode = imagecodecs.jpeg2k_encode if code == J2K else imagecodecs.htj2k_encode
    more = {"level": 0, "codecformat": "j2k", "bitspersample": precision} if code == J2K else {}
    frame = encode(plane, reversible=True, **more)
    path = write(
        tmp_path / "a.dcm", plane, code, BitsStored=bits, HighBit=bits - 1, PixelRepresentation=sign, frames=[frame]
    )
    ours, theirs = everything(path), by_pydicom(path)
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


# ------------------------------------------------------------------------------------------------ 8 bit big endian


@pytest.mark.parametrize("vr", ["OB", "OW"])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@pytest.mark.parametrize("columns", [53, 54])
@pytest.mark.parametrize("frames", [1, 3])
def test_8_bit_big_endian_pixels_follow_their_vr(
    tmp_path: Path, vr: str, dtype: str, columns: int, frames: int
) -> None:
    array = noise(dtype, (frames, ROWS, columns))
    data = array.tobytes() + bytes(array.size % 2)
    if vr == "OW":
        data = np.frombuffer(data, "u2").byteswap().tobytes()
    changes: dict[str, Any] = {"NumberOfFrames": frames} if frames > 1 else {}
    path = write(tmp_path / "a.dcm", array[0], ExplicitVRBigEndian, data=data, vr=vr, **changes)
    planes = planes_of(path)
    assert planes.layout.paired == (vr == "OW")
    assert np.array_equal(planes.read(whole(planes.shape)), array)
    assert np.array_equal(by_pydicom(path), array)
    for rows, cut in (
        (slice(3, 8), slice(0, columns)),
        (slice(4, 5), slice(7, 20)),
        (slice(ROWS - 1, ROWS), slice(52, 53)),
    ):
        assert np.array_equal(planes.read((slice(0, frames), rows, cut)), array[:, rows, cut])


def test_8_bit_big_endian_pixels_of_another_vr_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", noise("uint8"), ExplicitVRBigEndian, vr="UN")
    with pytest.raises(FormatError, match=r"a\.dcm has 8 bit big endian pixels of VR UN, expected OB or OW"):
        everything(path)


# --------------------------------------------------------------------------------------------------------- frames

_SLOPE = struct.pack("<HH2sH", 0x0028, 0x1053, b"DS", 2) + b"2 "
_AGAIN = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 4) + bytes(4)
_PADDING = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 4) + b"\1\2\3\4"


@pytest.mark.parametrize("frames", [1, FRAMES])
@pytest.mark.parametrize(
    ("tail", "complaint"),
    [
        (_SLOPE, r"has \(0028,1053\) after its pixel data"),
        (_AGAIN, r"has pixel data \(7FE0,0010\) more than once"),
        (_PADDING + _AGAIN, r"has pixel data \(7FE0,0010\) more than once"),
    ],
)
def test_what_counts_for_some_readers_may_not_follow_compressed_pixels(
    tmp_path: Path, frames: int, tail: bytes, complaint: str
) -> None:
    plane = noise("uint16")
    path = write(tmp_path / "a.dcm", plane, LS, NumberOfFrames=frames, frames=[LOSSLESS_CODES[LS](plane, 16)] * frames)
    path.write_bytes(path.read_bytes() + tail)
    with pytest.raises(FormatError, match=rf"a\.dcm .*{complaint}"):
        everything(path)


@pytest.mark.parametrize("frames", [1, FRAMES])
@pytest.mark.parametrize("tail", [b"\0", bytes(700), b"\xff\xff", _PADDING, _PADDING + bytes(20)])
def test_padding_may_follow_compressed_pixels(tmp_path: Path, frames: int, tail: bytes) -> None:
    plane = noise("uint16")
    path = write(tmp_path / "a.dcm", plane, LS, NumberOfFrames=frames, frames=[LOSSLESS_CODES[LS](plane, 16)] * frames)
    path.write_bytes(path.read_bytes() + tail)
    assert np.array_equal(everything(path), [plane] * frames)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda uid: uid.name)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32"])
def test_uncompressed_frames_are_planes(tmp_path: Path, syntax: UID, dtype: str) -> None:
    array = noise(dtype, (FRAMES, ROWS, COLUMNS))
    stored = array if syntax.is_little_endian else array.byteswap()
    path = write(tmp_path / "a.dcm", array[0], syntax, data=stored.tobytes(), NumberOfFrames=FRAMES)
    assert np.array_equal(by_pydicom(path), array)
    planes = planes_of(path)
    assert planes.shape == array.shape
    assert np.array_equal(planes.read(whole(planes.shape)), array)
    assert np.array_equal(planes.read((slice(1, 3), slice(2, 30), slice(5, 50))), array[1:3, 2:30, 5:50])


@pytest.mark.parametrize(
    ("code", "fragments"), [*((code, 1) for code in LOSSLESS_CODES), *((code, 3) for code in (LS, LOSSLESS, J2K))]
)
def test_compressed_frames_are_planes_however_they_are_fragmented(tmp_path: Path, code: str, fragments: int) -> None:
    array = noise("int16", (FRAMES, ROWS, COLUMNS), 12)
    frames = [LOSSLESS_CODES[code](plane, 12) for plane in array]
    path = write(
        tmp_path / "a.dcm", array[0], code, NumberOfFrames=FRAMES, BitsStored=12, HighBit=11,
        frames=encapsulate(frames, fragments_per_frame=fragments),
    )  # fmt: skip
    planes = planes_of(path)
    assert np.array_equal(planes.read(whole(planes.shape)), array)
    assert np.array_equal(planes.read((slice(2, 3), slice(2, 30), slice(5, 50))), array[2:3, 2:30, 5:50])
    assert planes.stored_bytes == sum(8 + len(part) + len(part) % 2 for part in frames) or fragments > 1


def test_a_deflated_file_is_inflated_once_a_read_whatever_the_order_of_its_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = noise("int16", (FRAMES, ROWS, COLUMNS))
    path = write(
        tmp_path / "a.dcm", array[0], DeflatedExplicitVRLittleEndian, data=array.tobytes(), NumberOfFrames=FRAMES
    )
    planes = planes_of(path)
    turned = DicomPlanes(
        planes.folder, planes.names, planes.offsets[::-1].copy(), planes.lengths, planes.layout, "", planes.deflated_at
    )
    made = []
    real = native_pixels.Inflater
    monkeypatch.setattr(native_pixels, "Inflater", lambda *given: made.append(1) or real(*given))
    assert np.array_equal(turned.read(whole(planes.shape)), array[::-1])
    assert len(made) == 1


@pytest.mark.parametrize("bits", [12, 16])
def test_deflated_frames_are_inflated_once_for_a_job_and_a_copy_read_instead(
    tmp_path: Path, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (FRAMES, 400, 251)  # a frame is more than one piece
    array = noise("uint16", shape)
    path = write(
        tmp_path / "a.dcm", array[0], DeflatedExplicitVRLittleEndian, data=array.tobytes(), NumberOfFrames=FRAMES,
        BitsStored=bits, HighBit=bits - 1,
    )  # fmt: skip
    array &= (1 << bits) - 1
    planes = planes_of(path)
    order = np.array([2, 0, 3, 1])
    turned = replace(planes, offsets=planes.offsets[order])
    made = []
    real = native_pixels.Inflater
    monkeypatch.setattr(native_pixels, "Inflater", lambda *given: made.append(1) or real(*given))
    copy = turned.staged(tmp_path)
    assert turned.staging_bytes == array.nbytes
    assert np.array_equal(copy.read(whole(shape)), array[order])
    assert np.array_equal(copy.read((slice(1, 3), slice(7, 90), slice(3, 77))), array[order][1:3, 7:90, 3:77])
    assert len(made) == 1
    assert (copy.grain, copy.dtype, copy.fingerprint) == (turned.grain, turned.dtype, turned.fingerprint)
    assert turned.scratch((1, 1, 251)) >= copy.scratch((1, 1, 251))

    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DamagedError, match=r"a\.dcm \(plane \d\): its deflated pixel data ends \d+ bytes early"):
        turned.staged(tmp_path)


def test_other_files_are_read_where_they_are(tmp_path: Path) -> None:
    array = noise("uint16")
    colour = grey_colour()
    single = write(tmp_path / "a.dcm", array, DeflatedExplicitVRLittleEndian)
    frames = write(
        tmp_path / "b.dcm", array, ExplicitVRLittleEndian, data=array.tobytes() * FRAMES, NumberOfFrames=FRAMES
    )
    rgb = write(
        tmp_path / "c.dcm", colour[..., 0], DeflatedExplicitVRLittleEndian, data=colour.tobytes() * 2, NumberOfFrames=2,
        SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0,
    )  # fmt: skip
    for planes in map(planes_of, (single, frames, rgb)):
        assert planes.staging_bytes == 0
        assert planes.staged(tmp_path) is planes


def test_frames_of_a_shared_file_that_is_cut_short_are_named(tmp_path: Path) -> None:
    array = noise("int16", (FRAMES, ROWS, COLUMNS))
    path = write(tmp_path / "a.dcm", array[0], data=array.tobytes(), NumberOfFrames=FRAMES)
    planes = planes_of(path)
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(DamagedError, match=r"a\.dcm \(plane 3\): its pixel data ends 7 bytes early"):
        planes.read(whole(planes.shape))
    code = write(tmp_path / "b.dcm", array[0], RLELossless, NumberOfFrames=FRAMES, frames=[rle_frame(p) for p in array])
    planes = planes_of(code)
    data = bytearray(code.read_bytes())
    data[planes.offsets[2]] ^= 1
    code.write_bytes(data)
    with pytest.raises(DamagedError, match=rf"b\.dcm \(plane 2\): .* is broken at byte {planes.offsets[2]}"):
        planes.read(whole(planes.shape))


# --------------------------------------------------------------------------------------------------------- colour


def rle_colour(colour: np.ndarray) -> bytes:
    """RGB (rows, columns, 3) as PS3.5 section G.2 has it: all bytes of red, then of green, then of blue."""
    size = colour.itemsize
    parts = []
    for channel in np.moveaxis(colour, -1, 0):
        pixels = np.ascontiguousarray(channel, channel.dtype.newbyteorder(">")).view("u1").reshape(*channel.shape, size)
        for byte in range(size):
            segment = packed_rows(np.ascontiguousarray(pixels[..., byte]))
            parts.append(segment + bytes(len(segment) % 2))
    starts = 64 + np.cumsum([0, *map(len, parts[:-1])])
    return struct.pack("<16I", len(parts), *starts, *[0] * (15 - len(parts))) + b"".join(parts)


COLOUR_CODES: dict[str, Callable[[np.ndarray], bytes]] = {
    RLELossless: rle_colour,
    LS: lambda colour: bytes(imagecodecs.jpegls_encode(colour)),
    LOSSLESS: lambda colour: imagecodecs.jpeg8_encode(
        colour, lossless=True, predictor=1, bitspersample=8 * colour.itemsize
    ),
    J2K: lambda colour: imagecodecs.jpeg2k_encode(colour, level=0, reversible=True, codecformat="j2k", mct=False),
}


def grey_colour(dtype: str = "uint8") -> np.ndarray:
    return np.ascontiguousarray(np.repeat(noise(dtype)[..., None], 3, axis=-1))


def write_colour(path: Path, colour: np.ndarray, syntax: str, planar: int = 0, **changes: Any) -> Path:
    stored = np.moveaxis(colour, -1, 0) if planar else colour
    if UID(syntax) == ExplicitVRBigEndian:
        stored = stored.byteswap()
    given = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": planar, **changes}
    if "frames" not in given:
        given["data"] = stored.tobytes()
    return write(path, np.ascontiguousarray(colour[..., 0]), syntax, **given)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda uid: uid.name)
@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_uncompressed_rgb_of_equal_channels_is_grey(tmp_path: Path, syntax: UID, planar: int, dtype: str) -> None:
    colour = grey_colour(dtype)
    path = write_colour(tmp_path / "a.dcm", colour, syntax, planar)
    planes = planes_of(path)
    assert np.array_equal(planes.read(whole(planes.shape))[0], colour[..., 0])
    cut = (slice(0, 1), slice(3, 20), slice(5, 41))
    assert np.array_equal(planes.read(cut)[0], colour[3:20, 5:41, 0])
    assert planes.grain == (1, ROWS, COLUMNS)
    colour[20, 30, 2] ^= 1
    write_colour(path, colour, syntax, planar)
    with pytest.raises(FormatError, match=r"a\.dcm \(plane 0\) is a colour image: its channels differ in 1 pixels"):
        planes_of(path).read(whole(planes.shape))


def test_colour_in_big_endian_words_is_turned_round(tmp_path: Path) -> None:
    colour = grey_colour()
    data = np.frombuffer(colour.tobytes() + b"\0", "u2").byteswap().tobytes()
    changes = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    path = write(tmp_path / "a.dcm", colour[..., 0].copy(), ExplicitVRBigEndian, data=data, vr="OW", **changes)
    assert np.array_equal(by_pydicom(path)[0], colour)
    assert np.array_equal(everything(path)[0], colour[..., 0])


@pytest.mark.parametrize(
    ("code", "fallback"), [*((code, False) for code in COLOUR_CODES), (RLELossless, True), (LS, True), (J2K, True)]
)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_compressed_rgb_of_equal_channels_is_grey(
    tmp_path: Path, code: str, dtype: str, fallback: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fallback and code == LS:
        pytest.importorskip("jpeg_ls", reason="tool is missing: pyjpegls")
    if fallback:
        monkeypatch.setattr("chunkvol.formats.dicom.pixels.planes.find_decoder", lambda uid, samples: PYDICOM)
    colour = grey_colour(dtype)
    path = write_colour(tmp_path / "a.dcm", colour, code, frames=[COLOUR_CODES[code](colour)])
    assert np.array_equal(everything(path)[0], colour[..., 0])
    colour[20, 30, 1] ^= 1
    write_colour(path, colour, code, frames=[COLOUR_CODES[code](colour)])
    with pytest.raises(FormatError, match="is a colour image: its channels differ in 1 pixels"):
        everything(path)


def test_values_beyond_the_bits_of_their_codestream_are_refused_unless_the_header_cuts_them(tmp_path: Path) -> None:
    plane = noise("uint16")
    frame = imagecodecs.jpeg8_encode(plane, lossless=True, predictor=1, bitspersample=12)  # differences keep 16 bits
    path = write(tmp_path / "a.dcm", plane, LOSSLESS, frames=[frame])
    with pytest.raises(DamagedError, match=rf"holds values up to {plane.max()}, more than the 12 bits that it claims"):
        everything(path)
    path = write(path, plane, LOSSLESS, frames=[frame], BitsStored=12, HighBit=11)
    assert np.array_equal(everything(path)[0], plane & 0xFFF)


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_jpeg_ls_of_any_interleaving_is_grey(mode: int) -> None:
    jpeg_ls = pytest.importorskip("jpeg_ls", reason="tool is missing: pyjpegls")
    colour = grey_colour()
    given = colour if mode else np.ascontiguousarray(np.moveaxis(colour, -1, 0))
    frame = bytes(jpeg_ls.encode_array(given, interleave_mode=mode))
    layout = PixelLayout(LS, ROWS, COLUMNS, np.dtype("u1"), 8, 7, "RGB", 3)
    for decoder in (find_decoder(LS, 3), PYDICOM):
        out = np.zeros((ROWS, COLUMNS), "u1")
        decode_frame(frame, layout, decoder, out)
        assert np.array_equal(out, colour[..., 0]), decoder.needs


def adobe(transform: int) -> bytes:
    """The marker that says how channels were transformed: 0 not at all, 1 to YCbCr."""
    return b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00" + bytes([transform])


JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


@pytest.mark.parametrize(
    ("space", "mark"),
    [("RGB", b""), ("RGB", adobe(0)), ("YCbCr", adobe(1)), ("YCbCr", JFIF), ("YCbCr", b"")],
    ids=["RGB", "RGB, Adobe", "YCbCr, Adobe", "YCbCr, JFIF", "YCbCr"],
)
def test_lossy_jpeg_is_rgb_as_its_header_says_unless_a_mark_says_other(tmp_path: Path, space: str, mark: bytes) -> None:
    smooth = np.add.outer(np.arange(ROWS), 2 * np.arange(COLUMNS)).astype("u1")
    colour = np.ascontiguousarray(np.repeat(smooth[..., None], 3, axis=-1))
    frame = imagecodecs.jpeg8_encode(colour, level=95, colorspace="RGB", outcolorspace=space)
    bare = frame.replace(adobe(0), b"").replace(JFIF, b"")
    assert b"Adobe" not in bare
    assert b"JFIF" not in bare
    path = write_colour(tmp_path / "a.dcm", colour, BASELINE, frames=[bare[:2] + mark + bare[2:]])
    theirs = by_pydicom(path)[0]
    if space == "YCbCr" and not mark:
        assert (theirs != theirs[..., :1]).any()
        with pytest.raises(FormatError, match="is a colour image"):
            everything(path)
        return
    ours = everything(path)[0]
    assert np.abs(ours.astype(int) - smooth).max() < 4
    assert np.array_equal(theirs[..., 0], ours)


@pytest.mark.parametrize("photometric", ["YBR_RCT", "RGB"])
def test_jpeg_2000_turns_its_own_colour_space_back(tmp_path: Path, photometric: str) -> None:
    colour = grey_colour()
    frame = imagecodecs.jpeg2k_encode(colour, level=0, reversible=True, codecformat="j2k", mct=True)
    path = write_colour(tmp_path / "a.dcm", colour, J2K, frames=[frame], PhotometricInterpretation=photometric)
    assert np.array_equal(everything(path)[0], colour[..., 0])
    assert np.array_equal(by_pydicom(path)[0], colour)


@pytest.mark.parametrize(
    "photometric", ["YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_PARTIAL_420", "HSV", "MONOCHROME2"]
)
def test_other_colour_is_refused_by_name_with_the_way_out(tmp_path: Path, photometric: str) -> None:
    path = write_colour(
        tmp_path / "a.dcm", grey_colour(), ExplicitVRLittleEndian, PhotometricInterpretation=photometric
    )
    with pytest.raises(
        FormatError, match=rf"a\.dcm is a colour image \(3 samples, {photometric}\); .* convert it first"
    ):
        everything(path)


def test_a_palette_and_four_channels_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.dcm", noise("uint8"), PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(FormatError, match=r"\(1 sample, PALETTE COLOR\)"):
        everything(path)
    path = write(tmp_path / "b.dcm", noise("uint8"), SamplesPerPixel=4, PhotometricInterpretation="CMYK")
    with pytest.raises(FormatError, match=r"\(4 samples, CMYK\)"):
        everything(path)
    path = write_colour(tmp_path / "c.dcm", grey_colour(), ExplicitVRLittleEndian, PlanarConfiguration=2)
    with pytest.raises(FormatError, match="PlanarConfiguration 2, expected 0 or 1"):
        everything(path)


@pytest.mark.parametrize("code", [ExplicitVRLittleEndian, RLELossless])
def test_pixels_of_no_sample_are_refused(tmp_path: Path, code: UID) -> None:
    packed = {"frames": [rle_frame(noise("uint8"))]} if code == RLELossless else {}
    path = write(tmp_path / "a.dcm", noise("uint8"), code, SamplesPerPixel=0, **packed)
    with pytest.raises(FormatError, match=r"a\.dcm has SamplesPerPixel 0, expected 1 or 3"):
        everything(path)


def test_colour_frames_are_planes(tmp_path: Path) -> None:
    array = noise("uint16", (FRAMES, ROWS, COLUMNS))
    colours = [np.ascontiguousarray(np.repeat(plane[..., None], 3, axis=-1)) for plane in array]
    path = write_colour(
        tmp_path / "a.dcm", colours[0], RLELossless, frames=[rle_colour(one) for one in colours], NumberOfFrames=FRAMES
    )
    assert np.array_equal(everything(path), array)


@pytest.mark.parametrize("by_plane", [False, True])
def test_every_single_pixel_is_compared(by_plane: bool) -> None:
    colour = grey_colour()[:5, :7]
    stored = np.ascontiguousarray(np.moveaxis(colour, -1, 0)) if by_plane else colour.copy()
    for place in np.ndindex(*stored.shape):
        changed = stored.copy()
        changed[place] ^= 1
        with pytest.raises(FormatError, match="its channels differ in 1 pixels"):
            take_grey(changed, np.empty((5, 7), "u1"), by_plane=by_plane)


# --------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless, J2K], ids=lambda uid: UID(uid).name)
@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("cut", [False, True])
def test_a_read_of_frames_or_colour_holds_no_more_than_its_promise(
    tmp_path: Path, syntax: str, samples: int, cut: bool
) -> None:
    """What numpy and Python hold; what decoders hold beyond is measured with them."""
    plane = noise("uint8", (240, 501))
    colour = np.ascontiguousarray(np.repeat(plane[..., None], 3, axis=-1)) if samples == 3 else plane
    given: dict[str, Any] = {"NumberOfFrames": 3}
    if samples == 3:
        given |= {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    if SYNTAXES[syntax].encapsulated:
        encode = rle_colour if samples == 3 else rle_frame
        if syntax == J2K:
            encode = COLOUR_CODES[J2K]
        given["frames"] = [encode(colour)] * 3
    else:
        given["data"] = colour.tobytes() * 3
        given["vr"] = "OB"
    planes = planes_of(write(tmp_path / "a.dcm", plane, syntax, **given))
    planes.preload()
    region = (slice(0, 3), slice(0, 240), slice(0, 500 if cut else 501))
    out = np.empty((3, 240, 500 if cut else 501), "u1")
    planes.read(region, out)
    tracemalloc.start()
    try:
        planes.read(region, out)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(out[1], plane[:, region[2]])
    assert held <= planes.scratch(out.shape) + (16 << 10)
