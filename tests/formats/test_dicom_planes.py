"""Voxels of a series come back bit for bit, whatever the encoding, the region and the names."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from chunkvol import system
from chunkvol.errors import DamagedError, DecoderError, InputError
from chunkvol.formats.dicom import DicomPlanes, open_dicom
from chunkvol.formats.dicom.pixels import decoders
from chunkvol.formats.dicom.pixels import planes as dicom_planes
from chunkvol.formats.dicom.pixels.layout import keep_stored_bits
from chunkvol.regions import region_shape, whole
from chunkvol.sources import Source
from tests.support.series import oblique, write_series

SHAPE = (5, 37, 53)
UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
COMPRESSED = (RLELossless, JPEGLSLossless, JPEG2000Lossless)
INTEGERS = (("uint8", None), ("uint16", None), ("uint16", 12), ("int16", None), ("int16", 12))

_missing = [name for name in ("rle", "jpeg_ls", "openjpeg") if importlib.util.find_spec(name) is None]
needs_codecs = pytest.mark.skipif(bool(_missing), reason=f"the test extra is incomplete: {_missing} absent")


def _values(dtype: str, bits: int | None = None, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    rng = np.random.default_rng(3)
    if np.dtype(dtype).kind == "f":
        return rng.normal(size=shape).astype(dtype)
    width = bits or 8 * np.dtype(dtype).itemsize
    low = -(1 << (width - 1)) if np.dtype(dtype).kind == "i" else 0
    return rng.integers(low, low + (1 << width), shape, dtype="int64").astype(dtype)


def _everything(planes: Source) -> np.ndarray:
    return planes.read(whole(planes.shape))


@pytest.mark.parametrize("syntax", UNCOMPRESSED, ids=lambda uid: uid.name)
@pytest.mark.parametrize(
    ("dtype", "bits"), [*INTEGERS, ("uint32", None), ("int32", 20), ("float32", None), ("float64", None)]
)
def test_uncompressed_voxels_come_back_bit_for_bit(tmp_path: Path, syntax: str, dtype: str, bits: int | None) -> None:
    array = _values(dtype, bits)
    write_series(tmp_path, array, oblique(SHAPE), transfer_syntax=syntax, bits_stored=bits, order="shuffled")
    planes, _, _ = open_dicom(tmp_path)
    block = _everything(planes)
    assert block.dtype == array.dtype
    assert np.array_equal(block, array)


@needs_codecs
@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda uid: uid.name)
@pytest.mark.parametrize(("dtype", "bits"), INTEGERS)
def test_compressed_voxels_come_back_bit_for_bit(tmp_path: Path, syntax: str, dtype: str, bits: int | None) -> None:
    array = _values(dtype, bits)
    write_series(tmp_path, array, oblique(SHAPE), transfer_syntax=syntax, bits_stored=bits)
    planes, _, _ = open_dicom(tmp_path)
    planes.preload()
    assert planes.grain == (1, *SHAPE[1:])
    assert planes.scratch(planes.grain) > planes.layout.plane_bytes
    assert np.array_equal(_everything(planes), array)


def test_reading_ahead_asks_for_the_first_files_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_series(tmp_path, _values("int16", None), oblique(SHAPE))
    planes, _, _ = open_dicom(tmp_path)
    asked: list[tuple[int, ...]] = []
    monkeypatch.setattr(system, "read_soon", lambda fd, *place: asked.append(place))
    planes.read_ahead()
    assert asked == [(int(offset), planes.layout.plane_bytes) for offset in planes.offsets]
    monkeypatch.setattr(dicom_planes, "_AHEAD", planes.layout.plane_bytes + 1)
    planes.read_ahead()
    assert len(asked) == SHAPE[0] + 2


def test_reading_ahead_leaves_a_lost_file_to_who_reads_it(tmp_path: Path) -> None:
    write_series(tmp_path, _values("int16", None), oblique(SHAPE))
    planes, _, _ = open_dicom(tmp_path)
    Path(planes.path(1)).unlink()
    planes.read_ahead()


@pytest.fixture(scope="module", params=[ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless])
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[DicomPlanes, np.ndarray]:
    array = _values("int16", 12)
    folder = tmp_path_factory.mktemp("regions")
    write_series(folder, array, oblique(SHAPE), transfer_syntax=request.param, bits_stored=12)
    return open_dicom(folder)[0], array


def _spans(length: int) -> st.SearchStrategy[slice]:
    ends = st.tuples(st.integers(0, length - 1), st.integers(1, length))
    return ends.map(lambda pair: slice(min(pair[0], pair[1] - 1), max(pair[0] + 1, pair[1])))


@settings(max_examples=60)
@given(ks=_spans(SHAPE[0]), js=_spans(SHAPE[1]), is_=_spans(SHAPE[2]), gaps=st.booleans())
def test_any_region_is_that_part_of_the_whole(
    stored: tuple[DicomPlanes, np.ndarray], ks: slice, js: slice, is_: slice, gaps: bool
) -> None:
    planes, array = stored
    region = ks, js, is_
    shape = region_shape(region)
    out = np.empty((shape[0], shape[1] * 2, shape[2] + 1), "int16")[:, ::2, 1:] if gaps else None
    block = planes.read(region, out)
    assert out is None or block is out
    assert np.array_equal(block, array[region])


def test_bits_beside_the_value_are_ignored(tmp_path: Path) -> None:
    array = _values("uint16", 12)
    overlaid = array | np.uint16(0xA000)
    write_series(tmp_path, overlaid, oblique(SHAPE), bits_stored=12)
    assert np.array_equal(_everything(open_dicom(tmp_path)[0]), array)


@pytest.mark.parametrize("dtype", ["uint16", "int16"])
@pytest.mark.parametrize(("bits", "high"), [(12, 11), (12, 13), (12, 15), (16, 15), (1, 0), (15, 14)])
def test_stored_bits_are_cut_out_like_the_plain_formula(dtype: str, bits: int, high: int) -> None:
    raw = np.arange(0, 65536, 7, dtype="uint16").view(dtype)
    plain = (raw.view("uint16").astype("int64") >> (high + 1 - bits)) % (1 << bits)
    if dtype == "int16":
        plain = np.where(plain >= 1 << (bits - 1), plain - (1 << bits), plain)
    block = raw.copy()
    keep_stored_bits(block, bits, high)
    assert np.array_equal(block, plain)


@needs_codecs
def test_all_transfer_syntaxes_of_a_real_series_decode_like_pydicom(visible: Path) -> None:
    for folder in sorted((visible / "mr_transfer_syntaxes").iterdir()):
        if not any(folder.glob("*.dcm")):
            continue
        planes, _, _ = open_dicom(folder)
        for k, plane in enumerate(_everything(planes)):
            assert np.array_equal(plane, pydicom.dcmread(planes.path(k)).pixel_array), (folder.name, k)


def test_a_source_survives_pickling_and_is_small(tmp_path: Path) -> None:
    array = _values("uint16")
    write_series(tmp_path, array, oblique(SHAPE))
    planes, _, _ = open_dicom(tmp_path)
    data = pickle.dumps(planes)
    assert len(data) < 2000
    copy = pickle.loads(data)
    assert copy.fingerprint == planes.fingerprint
    assert np.array_equal(_everything(copy), array)
    assert planes.stored_bytes == array.nbytes


@needs_codecs
@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda uid: uid.name)
def test_a_frame_cut_short_is_damage_and_names_the_file(tmp_path: Path, syntax: str) -> None:
    def cut(k: int, dataset: pydicom.Dataset) -> None:
        if k == 3:
            frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
            half = frame[: len(frame) // 4 * 2] + (b"" if syntax == RLELossless else b"\xff\xd9")
            dataset.PixelData = pydicom.encaps.encapsulate([half])

    write_series(tmp_path, _values("uint16"), oblique(SHAPE), transfer_syntax=syntax, edit=cut)
    planes, _, _ = open_dicom(tmp_path)
    with pytest.raises(DamagedError, match=r"IM0003\.dcm \(plane 3\): its compressed frame "):
        _everything(planes)


@needs_codecs
@pytest.mark.parametrize("syntax", COMPRESSED, ids=lambda uid: uid.name)
def test_a_compressed_file_cut_short_is_damage(tmp_path: Path, syntax: str) -> None:
    paths = write_series(tmp_path, _values("uint16"), oblique(SHAPE), transfer_syntax=syntax)
    paths[2].write_bytes(paths[2].read_bytes()[:-100])
    planes, _, _ = open_dicom(tmp_path)
    with pytest.raises(DamagedError, match=r"IM0002\.dcm \(plane 2\): its compressed pixel data"):
        _everything(planes)


@needs_codecs
def test_a_frame_of_another_size_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    def lie(k: int, dataset: pydicom.Dataset) -> None:
        dataset.Rows = 36

    write_series(tmp_path, _values("uint16"), oblique(SHAPE), transfer_syntax=JPEGLSLossless, edit=lie)
    planes, _, _ = open_dicom(tmp_path)
    with pytest.raises(DamagedError, match="frame is 53 x 37 x 1 of 16 bits, its header says 53 x 36 x 1"):
        _everything(planes)


@needs_codecs
def test_a_frame_in_several_fragments_is_joined(tmp_path: Path) -> None:
    def split(k: int, dataset: pydicom.Dataset) -> None:
        frame = next(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1))
        dataset.PixelData = pydicom.encaps.encapsulate([frame], fragments_per_frame=3)

    array = _values("uint16")
    write_series(tmp_path, array, oblique(SHAPE), transfer_syntax=JPEGLSLossless, edit=split)
    assert np.array_equal(_everything(open_dicom(tmp_path)[0]), array)


def test_a_file_that_became_shorter_or_vanished_is_named(tmp_path: Path) -> None:
    paths = write_series(tmp_path, _values("uint16"), oblique(SHAPE))
    planes, _, _ = open_dicom(tmp_path)
    paths[1].write_bytes(paths[1].read_bytes()[:-9])
    with pytest.raises(DamagedError, match=r"IM0001\.dcm \(plane 1\): its pixel data ends 9 bytes early"):
        _everything(planes)
    paths[1].unlink()
    with pytest.raises(InputError, match=r"IM0001\.dcm \(plane 1\) cannot be read"):
        _everything(planes)


@needs_codecs
def test_a_missing_decoder_is_told_at_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pydicom.pixels.decoders.base import Decoder

    write_series(tmp_path, _values("uint16"), oblique(SHAPE), transfer_syntax=JPEGLSLossless)
    monkeypatch.setattr(decoders.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(Decoder, "is_available", property(lambda self: False))
    with pytest.raises(DecoderError, match=r'no decoder for JPEG-LS Lossless .*: pip install "chunkvol\[codecs\]"'):
        open_dicom(tmp_path)
