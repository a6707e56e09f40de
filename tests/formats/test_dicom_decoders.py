"""Each decoder gives the pixels that were encoded, into the caller's memory, and takes no frame at its word."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from chunkvol.errors import DamagedError
from chunkvol.formats.dicom import open_dicom
from chunkvol.formats.dicom.pixels import decoders, shortfall
from chunkvol.formats.dicom.pixels.decoders import PYDICOM, Decoder
from chunkvol.formats.dicom.pixels.frames import decode_frame
from chunkvol.formats.dicom.pixels.layout import PixelLayout
from chunkvol.formats.dicom.pixels.segments import filled_tables
from chunkvol.formats.dicom.pixels.shortfall import with_noise
from chunkvol.formats.dicom.pixels.transfer import SYNTAXES, find_decoder
from chunkvol.phantom.packbits import rle_frame
from chunkvol.regions import whole
from tests.support.series import oblique, write_series

imagecodecs = pytest.importorskip("imagecodecs", reason="tool is missing: imagecodecs")

Encode = Callable[[np.ndarray, int], bytes]
ROWS, COLUMNS = 37, 53
RLE_UID, LS_UID, LOSSLESS_UID = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.70"
J2K_UID, HT_UID = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.201"


def _unsigned(plane: np.ndarray, bits: int) -> np.ndarray:
    """What a codestream without a sign holds of a plane."""
    return plane.view(f"u{plane.itemsize}") & ((1 << bits) - 1)


ENCODERS: dict[str, Encode] = {
    RLE_UID: lambda plane, bits: rle_frame(plane),
    LS_UID: lambda plane, bits: bytes(imagecodecs.jpegls_encode(_unsigned(plane, bits))),
    LOSSLESS_UID: lambda plane, bits: imagecodecs.jpeg8_encode(
        _unsigned(plane, bits), lossless=True, predictor=1, bitspersample=bits
    ),
    J2K_UID: lambda plane, bits: imagecodecs.jpeg2k_encode(plane, level=0, reversible=True, codecformat="j2k"),
    HT_UID: lambda plane, bits: imagecodecs.htj2k_encode(plane, reversible=True),
}
KINDS = (("uint8", 8), ("uint16", 16), ("uint16", 12), ("int16", 16), ("int16", 12))


def _plane(dtype: str, bits: int, seed: int = 3) -> np.ndarray:
    low = -(1 << (bits - 1)) if np.dtype(dtype).kind == "i" else 0
    rng = np.random.default_rng(seed)
    noise = rng.integers(low, low + (1 << bits), (ROWS, COLUMNS))
    noise[10:20] = low + 1  # runs, which noise alone has none of
    return noise.astype(dtype)


def _layout(uid: str, plane: np.ndarray, bits: int) -> PixelLayout:
    return PixelLayout(uid, *plane.shape, plane.dtype, bits, bits - 1, "MONOCHROME2")


def _decoded(frame: bytes, layout: PixelLayout, decoder: Decoder | None = None) -> np.ndarray:
    out = np.full((layout.rows, layout.columns), 77, layout.dtype)
    decode_frame(frame, layout, decoder or find_decoder(layout.transfer_syntax), out)
    return out


def _every_decoder() -> list[tuple[str, Decoder]]:
    return [(uid, decoder) for uid in ENCODERS for decoder in (*SYNTAXES[uid].decoders, PYDICOM)]


@pytest.mark.parametrize(("dtype", "bits"), KINDS)
@pytest.mark.parametrize(("uid", "decoder"), _every_decoder(), ids=lambda one: getattr(one, "needs", one))
def test_every_decoder_gives_what_was_encoded(uid: str, decoder: Decoder, dtype: str, bits: int) -> None:
    if not decoder.installed or (decoder is PYDICOM and not get_decoder(UID(uid)).is_available):
        pytest.skip("a fallback that is not installed")
    plane = _plane(dtype, bits)
    frame = ENCODERS[uid](plane, bits)
    assert np.array_equal(_decoded(frame, _layout(uid, plane, bits), decoder), plane)


@pytest.mark.parametrize("uid", [uid for uid, row in SYNTAXES.items() if row.encapsulated])
def test_imagecodecs_is_the_first_choice_of_every_compressed_syntax(uid: str) -> None:
    assert find_decoder(uid).needs.startswith("imagecodecs:")


@pytest.mark.parametrize("dtype", ["uint32", "int32"])
def test_pixels_of_32_bits_come_from_run_lengths(dtype: str) -> None:
    plane = _plane(dtype, 32)
    assert np.array_equal(_decoded(rle_frame(plane), _layout(RLE_UID, plane, 32)), plane)


@pytest.mark.parametrize("predictor", range(1, 8))
@pytest.mark.parametrize("bits", range(2, 17))
def test_lossless_jpeg_of_any_predictor_and_precision(predictor: int, bits: int) -> None:
    plane = _plane("uint16" if bits > 8 else "uint8", bits)
    frame = imagecodecs.jpeg8_encode(plane, lossless=True, predictor=predictor, bitspersample=bits)
    assert np.array_equal(_decoded(frame, _layout(LOSSLESS_UID, plane, bits)), plane)


@pytest.mark.parametrize("uid", [LS_UID, LOSSLESS_UID, J2K_UID, HT_UID])
def test_a_frame_of_8_bits_fills_pixels_of_16(uid: str) -> None:
    small = _plane("uint8", 8)
    plane = small.astype("uint16")
    assert np.array_equal(_decoded(ENCODERS[uid](small, 8), _layout(uid, plane, 12)), plane)


def test_the_file_format_around_a_jpeg_2000_codestream_is_ignored() -> None:
    plane = _plane("uint16", 16)
    frame = imagecodecs.jpeg2k_encode(plane, level=0, reversible=True, codecformat="jp2")
    assert frame[4:8] == b"jP  "
    assert np.array_equal(_decoded(frame, _layout(J2K_UID, plane, 16)), plane)


@pytest.mark.parametrize("uid", [LS_UID, LOSSLESS_UID, J2K_UID, HT_UID])
@pytest.mark.parametrize("padding", [b"\0", b"\xff", b"\xbb", b"\0\xd3\x0c\x99\xfa", b"\xff\xf6\x57\xfe"])
def test_padding_after_the_end_mark_is_ignored_whatever_it_holds(uid: str, padding: bytes) -> None:
    plane = _plane("uint16", 16)
    frame = ENCODERS[uid](plane, 16) + padding
    assert np.array_equal(_decoded(frame, _layout(uid, plane, 16)), plane)


@pytest.mark.parametrize("uid", [LS_UID, LOSSLESS_UID, J2K_UID, HT_UID])
def test_an_end_mark_far_from_the_end_or_none_is_damage(uid: str) -> None:
    plane = _plane("uint16", 16)
    frame = ENCODERS[uid](plane, 16)
    for broken in (frame[:-1], frame[:-2], frame + bytes(range(1, 16))):
        with pytest.raises(DamagedError, match="cut short: the end mark is missing"):
            _decoded(broken, _layout(uid, plane, 16))


# pydicom's own files of one sample. The reference is what another of its plugins decodes.
BUNDLED = (
    "693_J2KI.dcm",
    "J2K_pixelrep_mismatch.dcm",
    "JPEG2000.dcm",
    "JPEGLSNearLossless_08.dcm",
    "JPEGLSNearLossless_16.dcm",
    "MR_small_RLE.dcm",
    "MR_small_jp2klossless.dcm",
    "MR_small_jpeg_ls_lossless.dcm",
    "rtdose_rle_1frame.dcm",
)


def _bundled(name: str) -> tuple[pydicom.Dataset, np.ndarray]:
    dataset = pydicom.dcmread(get_testdata_file(name, download=False))
    dtype = np.dtype(f"{'i' if dataset.PixelRepresentation else 'u'}{dataset.BitsAllocated // 8}")
    uid, size = str(dataset.file_meta.TransferSyntaxUID), (dataset.Rows, dataset.Columns)
    layout = PixelLayout(uid, *size, dtype, dataset.BitsStored, dataset.HighBit, dataset.PhotometricInterpretation)
    frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
    return dataset, _decoded(frame, layout)


@pytest.mark.parametrize("name", BUNDLED)
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom tells of faults in its own files
def test_the_files_of_pydicom_decode_as_pydicom_decodes_them(name: str) -> None:
    dataset, plane = _bundled(name)
    if not get_decoder(dataset.file_meta.TransferSyntaxUID).is_available:
        pytest.skip("tool is missing: a decoder of pydicom's")
    assert np.array_equal(plane, dataset.pixel_array)


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
@pytest.mark.filterwarnings("ignore::UserWarning")  # as above
def test_lossy_jpeg_of_12_bits_is_decoded(name: str) -> None:
    _, plane = _bundled(name)
    assert (plane[420, 140], plane[230, 120]) == (244, 95)  # as pydicom's tests have it


def test_lossy_jpeg_of_8_bits_decodes_like_pillow() -> None:
    uid = "1.2.840.10008.1.2.4.50"
    smooth = np.add.outer(np.arange(ROWS), 2 * np.arange(COLUMNS)).astype("uint8")
    frame = imagecodecs.jpeg8_encode(smooth, level=80)
    layout = _layout(uid, smooth, 8)
    plane = _decoded(frame, layout)
    assert np.abs(plane.astype(int) - smooth).max() < 12
    if get_decoder(UID(uid)).is_available:
        assert np.array_equal(plane, _decoded(frame, layout, PYDICOM))


def test_compressed_series_of_one_scan_agree(visible: Path) -> None:
    names = [f"compressed_{code}_001" for code in ("j2k", "jpeg", "jpegls", "rle")]
    scans = [open_dicom(visible / "mr_transfer_syntaxes" / name)[0] for name in names]
    volumes = [planes.read(whole(planes.shape)) for planes in scans]
    assert int(volumes[0].sum(dtype="int64")) == 33304746
    assert all(np.array_equal(volumes[0], other) for other in volumes[1:])


def test_a_whole_plane_is_decoded_into_the_memory_of_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    real = imagecodecs.dicomrle_decode

    def spy(*args: object, out: memoryview) -> object:
        given.append(np.frombuffer(out, np.uint8))
        return real(*args, out=out)

    monkeypatch.setattr(imagecodecs, "dicomrle_decode", spy)
    volume = np.stack([_plane("uint16", 16, seed) for seed in range(3)])
    write_series(tmp_path, volume, oblique(volume.shape), transfer_syntax=UID(RLE_UID))
    planes, _, _ = open_dicom(tmp_path)
    out = np.zeros_like(volume)
    planes.read(whole(planes.shape), out)
    assert np.array_equal(out, volume)
    assert [np.shares_memory(one, out[k]) for k, one in enumerate(given)] == [True] * 3
    cut = planes.read((slice(0, 1), slice(3, 20), slice(0, COLUMNS)))
    assert np.array_equal(cut[0], volume[0, 3:20])


@pytest.mark.parametrize("uid", ENCODERS)
def test_threads_that_decode_at_once_do_not_disturb_each_other(uid: str) -> None:
    planes = [_plane("uint16", 16, seed) for seed in range(8)]
    frames = [ENCODERS[uid](plane, 16) for plane in planes]
    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(lambda frame: _decoded(frame, _layout(uid, planes[0], 16)), frames * 5))
    assert all(np.array_equal(found, planes[n % 8]) for n, found in enumerate(decoded))


def test_the_next_decoder_takes_over_where_one_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    real = decoders.importlib.util.find_spec
    hidden = {"imagecodecs"}
    monkeypatch.setattr(decoders.importlib.util, "find_spec", lambda name: None if name in hidden else real(name))
    if real("rle") is not None:
        assert find_decoder(RLE_UID).needs == "rle"
    hidden.add("rle")
    assert find_decoder(RLE_UID) is PYDICOM


def test_a_codec_that_was_not_built_counts_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagecodecs, "DICOMRLE", type("Stub", (), {"available": False}))
    assert not find_decoder(RLE_UID).needs.startswith("imagecodecs")


def test_preload_loads_the_codec_and_no_other() -> None:
    code = (
        "import sys\n"
        "from chunkvol.formats.dicom.pixels.transfer import find_decoder\n"
        f"assert 'imagecodecs' not in sys.modules\nfind_decoder('{LS_UID}').preload()\n"
        "print(sorted({'imagecodecs._jpegls', 'imagecodecs._jpeg2k', 'pydicom'} & set(sys.modules)))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "['imagecodecs._jpegls']"


@pytest.mark.parametrize(
    ("header", "complaint"),
    [
        ((2, 64, 1 << 30), "2 segments that end at"),
        ((2, 64, 64), "2 segments that end at"),
        ((2, 0, 900), "2 segments that end at"),
        ((1, 64), "expected 2 in ascending order"),
        ((4_000_000_000, 64), "expected 2"),
    ],
)
def test_segments_outside_the_frame_are_refused_before_decoding(header: tuple[int, ...], complaint: str) -> None:
    plane = _plane("uint16", 16)
    frame = struct.pack("<16I", *header, *[0] * (16 - len(header))) + rle_frame(plane)[64:]
    with pytest.raises(DamagedError, match=complaint):
        _decoded(frame, _layout(RLE_UID, plane, 16))
    with pytest.raises(DamagedError, match="no readable header"):
        _decoded(frame[:63], _layout(RLE_UID, plane, 16))


@pytest.mark.parametrize(("extra", "fault"), [(-1, "decodes to 3921 bytes, expected 3922"), (1, "cannot be decoded")])
def test_a_segment_too_short_or_too_long_is_damage(extra: int, fault: str) -> None:
    plane = np.zeros((ROWS, COLUMNS), "uint16")
    parts = [_segment(ROWS * COLUMNS), _segment(ROWS * COLUMNS + extra)]
    frame = struct.pack("<16I", 2, 64, 64 + len(parts[0]), *[0] * 13) + b"".join(parts)
    with pytest.raises(DamagedError, match=fault):
        _decoded(frame, _layout(RLE_UID, plane, 16))


def _segment(count: int) -> bytes:
    """`count` zeros, literally."""
    runs = [min(128, count - start) for start in range(0, count, 128)]
    return b"".join(bytes([run - 1]) + bytes(run) for run in runs)


@pytest.mark.parametrize("uid", [LS_UID, J2K_UID, HT_UID])
def test_a_frame_that_lacks_its_second_half_is_damage_in_spite_of_its_end_mark(uid: str) -> None:
    plane = _plane("uint16", 16)
    frame = ENCODERS[uid](plane, 16)
    with pytest.raises(DamagedError, match="cannot be decoded"):
        _decoded(frame[: len(frame) // 2] + b"\xff\xd9", _layout(uid, plane, 16))


def _jpeg_frames() -> dict[str, tuple[str, np.ndarray, int, bytes]]:
    """Transfer syntax, plane, bits and frame: each process, several scans, restarts."""
    smooth = np.add.outer(np.arange(ROWS), 2 * np.arange(COLUMNS)) + np.random.default_rng(4).integers(
        0, 40, (ROWS, COLUMNS)
    )
    small, large = smooth.astype("uint8"), (smooth * 19).astype("uint16")
    base, extended, any_predictor = (f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 57))
    encode = imagecodecs.jpeg8_encode
    return {
        "baseline": (base, small, 8, encode(small, level=92)),
        "progressive": (base, small, 8, _by_pillow(small, progressive=True)),
        "restarts": (base, small, 8, _by_pillow(small, restart_marker_blocks=3)),
        "extended": (extended, large, 12, encode(large, level=92, bitspersample=12)),
        "predictor": (any_predictor, large, 16, encode(large, lossless=True, predictor=4, bitspersample=16)),
        "lossless": (LOSSLESS_UID, large, 16, encode(large, lossless=True, predictor=1, bitspersample=16)),
        "lossless of bytes": (LOSSLESS_UID, small, 8, encode(small, lossless=True, predictor=1)),
    }


def _by_pillow(plane: np.ndarray, **options: object) -> bytes:
    image = pytest.importorskip("PIL.Image", reason="tool is missing: Pillow")
    file = io.BytesIO()
    image.fromarray(plane).save(file, "jpeg", quality=92, **options)
    return file.getvalue()


JPEG_KINDS = ("baseline", "progressive", "restarts", "extended", "predictor", "lossless", "lossless of bytes")


@pytest.mark.parametrize("kind", [kind for kind in JPEG_KINDS if kind != "progressive"])  # whose scans only refine
def test_a_jpeg_frame_cut_anywhere_is_damage_in_spite_of_its_end_mark(kind: str) -> None:
    uid, plane, bits, frame = _jpeg_frames()[kind]
    layout = _layout(uid, plane, bits)
    sound = _decoded(frame, layout)
    np.testing.assert_array_equal(sound, imagecodecs.jpeg8_decode(frame))
    start = frame.find(b"\xff\xda") + 12
    for cut in range(start, len(frame) - 2, 1 + len(frame) // 150):
        try:
            decoded = _decoded(frame[:cut] + b"\xff\xd9", layout)
        except DamagedError:
            continue
        np.testing.assert_array_equal(decoded, sound)  # nothing but padding was cut off


@pytest.mark.parametrize(
    ("kind", "decoder"),
    [
        *((kind, decoder) for kind in JPEG_KINDS for decoder in SYNTAXES[LOSSLESS_UID].decoders),
        *((kind, PYDICOM) for kind in JPEG_KINDS if kind != "extended"),  # no decoder of pydicom's takes 12 bits
    ],
    ids=lambda one: one if isinstance(one, str) else one.needs,
)
def test_a_jpeg_frame_that_lacks_some_is_told_whatever_decodes_it(kind: str, decoder: Decoder) -> None:
    uid, plane, bits, frame = _jpeg_frames()[kind]
    layout = _layout(uid, plane, bits)
    _decoded(frame, layout, decoder)
    with pytest.raises(DamagedError, match=r"cut short or broken: its coded pixels end before|cannot be decoded"):
        _decoded(frame[: len(frame) * 4 // 5] + b"\xff\xd9", layout, decoder)


@pytest.mark.parametrize("lost", [1, 2, 5, 9])
def test_a_jpeg_frame_that_lacks_what_lies_between_two_restarts_is_damage(lost: int) -> None:
    uid, plane, bits, frame = _jpeg_frames()["restarts"]
    marks = [match.start() for match in re.finditer(rb"\xff[\xd0-\xd7]", frame)]
    assert len(marks) == 11
    with pytest.raises(DamagedError, match="cut short or broken: its coded pixels end before the plane is full"):
        _decoded(frame[: marks[1]] + frame[marks[1 + lost] :], _layout(uid, plane, bits))


@pytest.mark.parametrize("kind", JPEG_KINDS)
def test_noise_goes_before_every_marker_that_ends_coded_pixels(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shortfall, "filled_tables", bytes)  # which is all else that changes
    frame = _jpeg_frames()[kind][-1]
    noise = with_noise(b"\xff\xd8\xff\xda\0\2\7\xff\xd9")[7:-2]
    assert len(noise) == 64 and not set(noise) & {0, 0xFF}
    noisy = with_noise(frame)
    if kind == "restarts":
        assert noisy.endswith(noise + b"\xff\xd3" + noise + b"\xff\xd9")
        noisy = noisy.replace(noise + b"\xff\xd3" + noise, noise)
    marks = {"progressive": frame.count(b"\xff\xda"), "restarts": 12}
    assert noisy.count(noise) == marks.get(kind, 1)
    assert noisy.replace(noise, b"") == frame
    filled = frame[:-2] + b"\xff\xff\xff\xd9"
    assert with_noise(filled).endswith(noise + b"\xff\xff\xff\xd9")


def test_noise_stays_small_however_many_scans_there_are() -> None:
    scans = b"\xff\xd8" + b"\xff\xda\0\2\7" * 9000 + b"\xff\xd9"
    noisy = with_noise(scans)
    assert len(scans) < len(noisy) < len(scans) + 34_000
    assert noisy[-66:-2] == with_noise(scans[:2] + scans[-7:])[-66:-2]


@pytest.mark.parametrize(
    "frame", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xda", b"\xff\xd8\xff\xda\xff\xff\1", b"\xff" * 50]
)
def test_markers_that_lead_to_no_end_are_damage(frame: bytes) -> None:
    with pytest.raises(DamagedError, match="cut short: the end mark is missing"):
        with_noise(frame)


@pytest.mark.parametrize("kind", ["baseline", "lossless"])
def test_an_end_mark_within_the_head_of_a_scan_is_none(kind: str) -> None:
    uid, plane, bits, frame = _jpeg_frames()[kind]
    scan = frame.find(b"\xff\xda")
    with pytest.raises(DamagedError, match="cut short: the end mark is missing"):
        _decoded(frame[: scan + 7] + b"\xff\xd9\0", _layout(uid, plane, bits))


@pytest.mark.parametrize("kind", ["baseline", "extended", "lossless", "lossless of bytes"])
def test_bits_that_are_no_code_of_their_table_are_damage(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    uid, plane, bits, frame = _jpeg_frames()[kind]
    layout, scan = _layout(uid, plane, bits), frame.find(b"\xff\xda") + 10
    counts, symbols = _first_table(frame)
    longest = len(counts.rstrip(b"\0"))
    assert sum(count << 16 - n for n, count in enumerate(counts, 1)) + (1 << 16 - longest) == 1 << 16  # ones are none
    assert len(symbols) == sum(counts)
    broken = frame[:scan] + b"\xff\0\xf0" + frame[scan:]  # and more than enough codes after it
    with pytest.raises(DamagedError, match="its coded pixels"):
        _decoded(broken, layout)
    monkeypatch.setattr(shortfall, "filled_tables", bytes)
    _decoded(broken, layout)


def _first_table(frame: bytes) -> tuple[bytes, bytes]:
    """Codes of each length, and the symbols, of the first Huffman table."""
    at = frame.find(b"\xff\xc4") + 5
    return frame[at : at + 16], frame[at + 16 : at + 16 + sum(frame[at : at + 16])]


@pytest.mark.parametrize(
    ("kind", "symbols", "fault"),
    [
        ("baseline", b"\2\2", "a symbol twice"),
        ("baseline", b"\x0c\x0d", r"a symbol that is none \(0C\)"),
        ("extended", b"\2\x10", r"a symbol that is none \(10\)"),
        ("lossless", b"\x10\x11", r"a symbol that is none \(11\)"),
        ("lossless", b"\7\7", "a symbol twice"),
    ],
)
def test_huffman_tables_that_no_encoder_writes_are_damage(kind: str, symbols: bytes, fault: str) -> None:
    uid, plane, bits, frame = _jpeg_frames()[kind]
    at = frame.find(_first_table(frame)[1])
    broken = frame[:at] + symbols + frame[at + 2 :]
    with pytest.raises(DamagedError, match=f"a Huffman table with {fault}"):
        _decoded(broken, _layout(uid, plane, bits))


def test_a_table_of_coefficients_has_no_sizes_beyond_its_precision() -> None:
    for kind, none in (("baseline", 0x0B), ("extended", 0x0F)):
        uid, plane, bits, frame = _jpeg_frames()[kind]
        at = frame.rfind(b"\xff\xc4") + 5 + 16
        broken = frame[:at] + bytes([none]) + frame[at + 1 :]
        with pytest.raises(DamagedError, match=rf"a symbol that is none \({none:02X}\)"):
            _decoded(broken, _layout(uid, plane, bits))


@pytest.mark.parametrize(
    ("counts", "filled"),
    [
        ([1], [1] * 16),
        ([0, 3], [0, 3, *[1] * 14]),
        ([0, 1, 2], [0, 1, 5, *[1] * 13]),
        ([2], [2]),  # all codes, even that of ones
        ([3], [3]),  # more than there are
        ([0] * 15 + [162], [0] * 15 + [255]),
        ([], [1] * 16),
    ],
)
def test_tables_are_filled_up_to_the_code_of_ones(counts: list[int], filled: list[int]) -> None:
    symbols = bytes(range(2, 2 + sum(counts)))
    lengths = bytes(counts).ljust(16, b"\0")
    wanted = bytes(filled).ljust(16, b"\0")
    found = filled_tables(b"\x13" + lengths + symbols)
    assert found == b"\x13" + wanted + symbols + b"\1" * (sum(wanted) - len(symbols))
    assert filled_tables(found) == found
    assert filled_tables(found * 2) == found * 2


@pytest.mark.parametrize("content", [b"", b"\0" * 16, b"\0\1" + bytes(15), b"\0\1" + bytes(16) + b"\7", bytes(17 * 9)])
def test_what_is_no_table_stays_as_it_is(content: bytes) -> None:
    assert filled_tables(content) == content


@pytest.mark.parametrize("uid", ENCODERS)
def test_a_frame_without_its_end_is_damage(uid: str) -> None:
    plane = _plane("uint16", 16)
    frame = ENCODERS[uid](plane, 16)
    with pytest.raises(DamagedError, match=r"cut short|cannot be decoded|decodes to|segments"):
        _decoded(frame[: len(frame) // 2], _layout(uid, plane, 16))


@pytest.mark.parametrize("uid", ENCODERS)
def test_damaged_frames_never_do_worse_than_an_error_of_ours(uid: str) -> None:
    plane = _plane("uint16", 16)
    frame, layout = ENCODERS[uid](plane, 16), _layout(uid, plane, 16)
    rng = np.random.default_rng(11)
    refused = 0
    for _ in range(300):
        broken = bytearray(frame)
        # Half of the damage strikes the header, which steers the decoder.
        for at in rng.integers(0, len(frame) if rng.random() < 0.5 else 120, 3):
            broken[at] ^= 1 << int(rng.integers(8))
        try:
            _decoded(bytes(broken), layout)
        except DamagedError:
            refused += 1
    assert refused > 50


@pytest.mark.memory
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
@pytest.mark.parametrize("uid", ENCODERS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_read_holds_no_more_than_its_promise(tmp_path: Path, uid: str, dtype: str) -> None:
    rng = np.random.default_rng(1)
    plane = rng.normal(100, 9, (1500, 1501)).astype(dtype)

    def compress(k: int, dataset: pydicom.Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = UID(uid)
        dataset.PixelData = encapsulate([ENCODERS[uid](plane, 8 * plane.itemsize)])
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"

    write_series(tmp_path, np.stack([plane] * 3), oblique((3, *plane.shape)), edit=compress)
    code = (
        "import sys, numpy as np\n"
        "from chunkvol import system\nfrom chunkvol.formats.dicom import open_dicom\n"
        "from chunkvol.regions import whole\n"
        "planes, _, _ = open_dicom(sys.argv[1])\nplanes.preload()\n"
        "out = np.ones(planes.shape, planes.dtype)\n"
        "system.reset_peak_memory()\nbefore = system.resident_memory()\n"
        "planes.read(whole(planes.shape), out)\n"
        "print(system.peak_memory() - before, planes.scratch(planes.shape))"
    )
    child = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    held, promised = map(int, child.stdout.split())
    assert held <= promised + (1 << 20)
