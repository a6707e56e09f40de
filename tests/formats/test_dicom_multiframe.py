"""Frames of multi-frame files: what is said of each, where its bytes lie, and what is refused."""

from __future__ import annotations

import math
import random
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from chunkvol.errors import ChunkvolError, DamagedError, FormatError, GeometryError
from chunkvol.formats.dicom import open_dicom
from chunkvol.formats.dicom.headers.header import Header, Inflater, read_header
from chunkvol.formats.dicom.multiframe.expand import expand, is_mosaic
from tests.support.enhanced import Frame, Table, frames_of, write_dose, write_enhanced, write_nuclear
from tests.support.series import oblique, write_series

SHAPE = (5, 6, 7)
GEOMETRY = oblique(SHAPE)
ARRAY = np.random.default_rng(3).integers(0, 4000, SHAPE, dtype="u2")


def _header(path: Path) -> Header:
    found = read_header(path)
    assert found is not None
    return found


def _expanded(path: Path) -> tuple[Header, ...]:
    return expand(_header(path))


def _frames(**facts: Any) -> list[Frame]:
    return frames_of(ARRAY, GEOMETRY, **facts)


def _shuffled() -> list[Frame]:
    """Two echoes, two b-values, two stacks and two times of a volume, in no order."""
    plain = [
        *_frames(echo_time=4.92, stack="1", temporal=1, slope=2.0),
        *_frames(echo_time=9.84, stack="1", temporal=2, slope=3.5, frame_type=("DERIVED", "PRIMARY", "M", "NONE")),
        *_frames(b_value=0.0, stack="2", temporal=1, trigger_time=12.5, intercept=7.0),
        *_frames(b_value=1000.0, gradient=(0.6, 0.0, -0.8), stack="2", temporal=2, thickness=3.75),
    ]
    random.Random(5).shuffle(plain)
    return plain


def _agrees(header: Header, frame: Frame, n: int) -> None:
    assert header.frame == n
    assert header.position == frame.position
    assert header.orientation == frame.orientation
    assert header.pixel_spacing == frame.spacing
    assert header.slice_thickness == frame.thickness
    assert (header.slope, header.intercept, header.rescale_type) == (frame.slope, frame.intercept, "US")
    assert header.image_type == tuple(frame.frame_type)
    assert (header.stack, header.temporal_position) == (frame.stack, frame.temporal)
    assert (header.echo_time, header.b_value, header.gradient) == (frame.echo_time, frame.b_value, frame.gradient)
    assert header.trigger_time == frame.trigger_time


# --------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless],
)
def test_each_frame_says_what_was_said_of_it(tmp_path: Path, syntax: str) -> None:
    frames = _shuffled()
    shared = ["PlaneOrientationSequence"]
    found = _expanded(write_enhanced(tmp_path / "a.dcm", frames, shared=shared, transfer_syntax=syntax))
    assert len(found) == len(frames)
    for n, (header, frame) in enumerate(zip(found, frames, strict=True)):
        _agrees(header, frame, n)


def test_a_frame_overrides_what_all_share(tmp_path: Path) -> None:
    def edit(dataset: Dataset) -> None:
        item = Dataset()
        item.SliceThickness, item.SpacingBetweenSlices, item.PixelSpacing = "9", "8", ["0.3", "0.2"]
        dataset.PerFrameFunctionalGroupsSequence[2].PixelMeasuresSequence = [item]

    found = _expanded(write_enhanced(tmp_path / "a.dcm", _frames(), edit=edit))
    assert [header.slice_thickness for header in found] == [1.25, 1.25, 9, 1.25, 1.25]
    assert [header.spacing_between for header in found] == [None, None, 8, None, None]
    assert found[2].pixel_spacing == (0.3, 0.2)
    assert found[1].pixel_spacing == GEOMETRY.spacing[1:]


def test_what_no_group_says_is_taken_from_the_top_except_the_position(tmp_path: Path) -> None:
    def edit(dataset: Dataset) -> None:
        dataset.PixelSpacing, dataset.ImagePositionPatient, dataset.EchoTime = ["0.3", "0.2"], [1, 2, 3], "5"
        del dataset.SharedFunctionalGroupsSequence
        for item in dataset.PerFrameFunctionalGroupsSequence[1:]:
            del item.PlanePositionSequence

    found = _expanded(write_enhanced(tmp_path / "a.dcm", _frames(), edit=edit))
    assert {header.pixel_spacing for header in found} == {(0.3, 0.2)}
    assert {header.echo_time for header in found} == {5}
    assert [header.position is None for header in found] == [False, True, True, True, True]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("dtype", ["u1", "<u2", "<i2"])
def test_uncompressed_frames_are_cut_out_of_the_file(tmp_path: Path, syntax: str, dtype: str) -> None:
    array = ARRAY.astype(dtype)[:3, :5]  # an odd number of bytes where they are single
    path = write_enhanced(tmp_path / "a.dcm", frames_of(array, oblique(array.shape)), transfer_syntax=syntax)
    data = path.read_bytes()
    for header, plane in zip(_expanded(path), array, strict=True):
        assert header.length == plane.nbytes
        assert data[header.offset : header.offset + plane.nbytes] == plane.tobytes()


def test_frames_of_a_deflated_file_are_cut_out_of_its_stream(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "a.dcm", _frames(), transfer_syntax=DeflatedExplicitVRLittleEndian)
    with path.open("rb") as file:
        for header, plane in zip(_expanded(path), ARRAY, strict=True):
            assert header.deflated_at is not None
            stream = Inflater(file.fileno(), header.deflated_at)
            assert stream.peek(header.offset, plane.nbytes) == plane.tobytes()


def _fragments(path: Path, header: Header) -> list[bytes]:
    """The fragments between `offset` and `offset + length`, which must be whole items."""
    assert header.length is not None
    data = path.read_bytes()[header.offset : header.offset + header.length]
    out = []
    while data:
        mark, length = data[:4], int.from_bytes(data[4:8], "little")
        assert mark == b"\xfe\xff\x00\xe0"
        assert len(data) >= 8 + length
        out.append(data[8 : 8 + length])
        data = data[8 + length :]
    return out


@pytest.mark.parametrize(
    ("syntax", "table", "fragments"),
    [
        (RLELossless, "basic", 1),
        (RLELossless, "extended", 1),
        (RLELossless, "none", 1),
        (JPEGLSLossless, "basic", 1),
        (JPEGLSLossless, "basic", 3),
        (JPEGLSLossless, "extended", 1),
        (JPEGLSLossless, "none", 1),
        (JPEGLSLossless, "none", 3),
    ],
)
def test_compressed_frames_are_the_fragments_that_pydicom_finds(
    tmp_path: Path, syntax: str, table: Table, fragments: int
) -> None:
    frames = frames_of(ARRAY, GEOMETRY)
    path = write_enhanced(tmp_path / "a.dcm", frames, transfer_syntax=syntax, table=table, fragments=fragments)
    reference = pydicom.dcmread(path)
    found = _expanded(path)
    for n, header in enumerate(found):
        mine = _fragments(path, header)
        assert len(mine) == fragments
        theirs = get_frame(reference.PixelData, n, number_of_frames=len(found))
        assert b"".join(mine).rstrip(b"\0") == theirs.rstrip(b"\0")
        np.testing.assert_array_equal(pydicom.pixels.pixel_array(reference, index=n), ARRAY[n])


def test_an_extended_table_is_used_where_frames_have_several_fragments(tmp_path: Path) -> None:
    # RLE marks no starts, and the standard wants one fragment there: JPEG-LS whose marks are hidden.
    def edit(dataset: Dataset) -> None:
        parts = [b"\0\0start" + bytes([n]) * (2 * n + 1) for n in range(len(ARRAY))]
        dataset.PixelData = encapsulate(parts, fragments_per_frame=2, has_bot=False)
        sizes = [16 + len(part) + len(part) % 2 for part in parts]
        dataset.ExtendedOffsetTable = struct.pack("<5Q", *np.cumsum([0, *sizes[:-1]]))
        dataset.ExtendedOffsetTableLengths = struct.pack("<5Q", *(len(part) for part in parts))

    path = write_enhanced(tmp_path / "a.dcm", _frames(), transfer_syntax=JPEGLSLossless, edit=edit)
    for n, header in enumerate(_expanded(path)):
        assert b"".join(_fragments(path, header)).rstrip(b"\0") == (b"\0\0start" + bytes([n]) * (2 * n + 1)).rstrip(
            b"\0"
        )


def test_the_basic_table_goes_on_where_its_32_bits_start_anew() -> None:
    from chunkvol.formats.dicom.multiframe.extents import _unwrapped

    places = [0, 3 << 30, 5 << 30, 7 << 30, 9 << 30]
    raw = b"".join(struct.pack("<I", place % (1 << 32)) for place in places)
    assert _unwrapped(raw).tolist() == places


# ------------------------------------------------------------------------------------------------------------- oracles


def test_highdicom_sees_the_same_volume(tmp_path: Path) -> None:
    highdicom = pytest.importorskip("highdicom")
    frames = _frames()
    random.Random(2).shuffle(frames)
    path = write_enhanced(tmp_path / "a.dcm", frames)
    geometry = highdicom.Image.from_dataset(pydicom.dcmread(path)).get_volume_geometry()
    assert geometry is not None
    found = sorted(_expanded(path), key=lambda header: np.dot(header.position, geometry.direction[:, 0]))
    theirs = [geometry.affine[:3, 3] + k * geometry.affine[:3, 0] for k in range(len(found))]
    np.testing.assert_allclose([header.position for header in found], theirs, atol=1e-6)
    row, column = np.reshape(found[0].orientation, (2, 3))
    np.testing.assert_allclose(geometry.direction[:, 2], row, atol=1e-6)
    np.testing.assert_allclose(geometry.direction[:, 1], column, atol=1e-6)


_PYDICOM = Path(pydicom.__file__).parent / "data"


@pytest.mark.parametrize("path", sorted(p for p in _PYDICOM.rglob("*") if p.is_file()), ids=lambda p: p.name)
def test_files_of_pydicom_are_expanded_as_pydicom_reads_them_or_refused(path: Path) -> None:
    try:
        header = read_header(path)
        frames = () if header is None or not header.pixel_tag else expand(header)
    except ChunkvolError as error:
        assert path.name in str(error)
        return
    if len(frames) < 2:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = pydicom.dcmread(path)
    assert len(frames) == reference.NumberOfFrames
    for n, frame in enumerate(frames):
        if reference.file_meta.TransferSyntaxUID.is_encapsulated:
            theirs = get_frame(reference.PixelData, n, number_of_frames=len(frames))
            assert b"".join(_fragments(path, frame)) == theirs
        else:
            assert frame.length is not None
            theirs = reference.PixelData[n * frame.length : (n + 1) * frame.length]
            assert path.read_bytes()[frame.offset : frame.offset + frame.length] == theirs


@pytest.mark.parametrize(("name", "reference"), [("siemens", "upstream"), ("hyperfine", "math")])
def test_real_enhanced_objects_lie_where_others_say(visible: Path, expected: Any, name: str, reference: str) -> None:
    path = next((visible / "multiframe" / name).glob("*.dcm"))
    answer = expected["multiframe"][name][reference]
    affine = np.array((answer[0] if isinstance(answer, list) else answer)["affine_lps"])
    frames = _expanded(path)
    theirs = affine[:3, 3] + np.outer(np.arange(len(frames)), affine[:3, 2])
    np.testing.assert_allclose([frame.position for frame in frames], theirs, atol=2e-3)
    between_rows, between_columns = frames[0].pixel_spacing or ()
    row, column = np.reshape(frames[0].orientation, (2, 3))
    np.testing.assert_allclose(affine[:3, 0], row * between_columns, atol=1e-5)
    np.testing.assert_allclose(affine[:3, 1], column * between_rows, atol=1e-5)


# ------------------------------------------------------------------------------------------ without functional groups


def _normal() -> np.ndarray:
    return np.array(GEOMETRY.direction)[:, 0]


def test_relative_offsets_of_a_dose_lie_along_the_normal(tmp_path: Path) -> None:
    offsets = [0, 2.5, 5, 8, 10.5]
    found = _expanded(write_dose(tmp_path / "a.dcm", ARRAY, GEOMETRY, offsets))
    wanted = np.array(GEOMETRY.origin) + np.outer(offsets, _normal())
    np.testing.assert_allclose([header.position for header in found], wanted, atol=1e-9)


def test_a_dose_has_its_own_scale(tmp_path: Path) -> None:
    for frames in (1, 5):
        found = _expanded(write_dose(tmp_path / "a.dcm", ARRAY[:frames], GEOMETRY, range(frames)))
        assert {(header.slope, header.intercept, header.rescale_type) for header in found} == {(0.0025, None, "GY")}


def _axial(dataset: Dataset) -> None:
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]


def test_absolute_offsets_of_an_axial_dose_are_z(tmp_path: Path) -> None:
    x, y, z = GEOMETRY.origin
    offsets = [z, z + 3, z + 6, z + 9, z + 12]
    found = _expanded(write_dose(tmp_path / "a.dcm", ARRAY, GEOMETRY, offsets, _axial))
    np.testing.assert_allclose([header.position for header in found], [(x, y, at) for at in offsets], atol=1e-9)


def test_the_dose_of_pydicom_lies_where_its_offsets_say() -> None:
    path = _PYDICOM / "test_files" / "rtdose.dcm"
    reference = pydicom.dcmread(path)
    x, y, z = reference.ImagePositionPatient
    wanted = [(x, y, z + float(offset)) for offset in reference.GridFrameOffsetVector]
    np.testing.assert_allclose([header.position for header in _expanded(path)], wanted, atol=1e-9)


@pytest.mark.parametrize("spacing", [2.5, -2.5])
def test_slices_of_nuclear_medicine_lie_along_the_normal_or_against_it(tmp_path: Path, spacing: float) -> None:
    def edit(dataset: Dataset) -> None:
        dataset.SpacingBetweenSlices = spacing

    slices = [3, 1, 5, 2, 4]
    found = _expanded(write_nuclear(tmp_path / "a.dcm", ARRAY, GEOMETRY, slices, edit))
    wanted = np.array(GEOMETRY.origin) + np.outer(np.array(slices) - 1, spacing * _normal())
    np.testing.assert_allclose([header.position for header in found], wanted, atol=1e-9)


def test_nuclear_medicine_is_placed_by_its_detectors_where_they_agree(tmp_path: Path) -> None:
    def detectors(count: int, step: float) -> Callable[[Dataset], None]:
        def edit(dataset: Dataset) -> None:
            dataset.DetectorInformationSequence = [Dataset() for _ in range(count)]
            for n, item in enumerate(dataset.DetectorInformationSequence):
                item.ImagePositionPatient = [1.5 + n * step, 2, 3]
                item.ImageOrientationPatient = dataset.ImageOrientationPatient
            del dataset.ImagePositionPatient, dataset.ImageOrientationPatient

        return edit

    for count, step, first in ((1, 0, (1.5, 2, 3)), (2, 0, (1.5, 2, 3)), (2, 1, None)):
        found = _expanded(write_nuclear(tmp_path / "a.dcm", ARRAY, GEOMETRY, [1, 2, 3, 4, 5], detectors(count, step)))
        assert found[0].position == first


def test_phases_and_windows_of_nuclear_medicine_are_stacks(tmp_path: Path) -> None:
    def edit(dataset: Dataset) -> None:
        dataset.FrameIncrementPointer = [0x00540010, 0x00540060, 0x00540080]
        dataset.EnergyWindowVector, dataset.RRIntervalVector = [1, 1, 1, 1], [1, 1, 2, 2]
        dataset.TimeSlotVector = [1, 2, 1, 2]

    found = _expanded(write_nuclear(tmp_path / "a.dcm", ARRAY[:4], GEOMETRY, [1, 1, 1, 1], edit))
    assert [header.stack for header in found] == [
        f"R-R interval {interval}, time slot {slot}" for interval in (1, 2) for slot in (1, 2)
    ]
    assert len({header.position for header in found}) == 1


def _projections(dataset: Dataset) -> None:
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"]


def _rotation(dataset: Dataset) -> None:
    dataset.FrameIncrementPointer = [0x00540080, 0x00540050]


def _no_spacing(dataset: Dataset) -> None:
    del dataset.SpacingBetweenSlices


def _flat(dataset: Dataset) -> None:
    dataset.ImageOrientationPatient = [1, 0, 0, 1, 0, 0]


def _no_place(dataset: Dataset) -> None:
    del dataset.ImagePositionPatient


@pytest.mark.parametrize("edit", [_projections, _rotation, _no_spacing, _flat, _no_place])
def test_frames_of_which_nothing_is_said_have_no_position(tmp_path: Path, edit: Callable[[Dataset], None]) -> None:
    found = _expanded(write_nuclear(tmp_path / "a.dcm", ARRAY, GEOMETRY, [1, 2, 3, 4, 5], edit))
    assert {header.position for header in found} == {None}
    assert [header.frame for header in found] == [0, 1, 2, 3, 4]


def test_frames_of_a_film_have_no_position(tmp_path: Path) -> None:
    def edit(dataset: Dataset) -> None:
        del dataset.GridFrameOffsetVector
        dataset.FrameIncrementPointer, dataset.FrameTime = 0x00181063, "40"

    found = _expanded(write_dose(tmp_path / "a.dcm", ARRAY, GEOMETRY, [0], edit))
    assert {header.position for header in found} == {None}
    assert [header.temporal_position for header in found] == [1, 2, 3, 4, 5]


# ------------------------------------------------------------------------------------------------------------- corners


def test_an_image_of_one_frame_stays_as_it_is(tmp_path: Path) -> None:
    path = write_series(tmp_path, ARRAY, GEOMETRY)[0]
    header = _header(path)
    assert expand(header) == (header,)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
def test_one_frame_of_an_enhanced_object_is_described_by_its_groups(tmp_path: Path, syntax: str) -> None:
    path = write_enhanced(tmp_path / "a.dcm", _frames(echo_time=3.0)[:1], transfer_syntax=syntax)
    header = _header(path)
    (found,) = expand(header)
    _agrees(found, _frames(echo_time=3.0)[0], 0)
    assert (found.offset, found.length) == (header.offset, header.length)
    assert (found.length is None) == (syntax == RLELossless)


def test_a_missing_number_of_frames_is_one(tmp_path: Path) -> None:
    def edit(dataset: Dataset) -> None:
        del dataset.NumberOfFrames

    (found,) = _expanded(write_enhanced(tmp_path / "a.dcm", _frames()[:1], edit=edit))
    assert found.position == _frames()[0].position


def test_what_converted_objects_could_not_assign_is_found(tmp_path: Path) -> None:
    def edit(dataset: Dataset) -> None:
        for n, item in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            rest = Dataset()
            rest.EchoTime, rest.EchoNumbers, rest.TemporalPositionIdentifier = 3 + n, n, 7
            item.UnassignedPerFrameConvertedAttributesSequence = [rest]

    found = _expanded(write_enhanced(tmp_path / "a.dcm", _frames(), edit=edit))
    assert [header.echo_time for header in found] == [3, 4, 5, 6, 7]
    assert [header.echo_number for header in found] == [0, 1, 2, 3, 4]
    assert {header.temporal_position for header in found} == {1}


def test_nonsense_that_nothing_depends_on_is_passed_over_in_groups_too(tmp_path: Path) -> None:
    def edit(dataset: Dataset) -> None:
        dataset.PerFrameFunctionalGroupsSequence[1].MREchoSequence[0].EffectiveEchoTime = math.nan
        dataset.PerFrameFunctionalGroupsSequence[2].MREchoSequence = []

    found = _expanded(write_enhanced(tmp_path / "a.dcm", _frames(echo_time=3.0), edit=edit))
    assert [header.echo_time for header in found] == [3, None, None, 3, 3]


def test_colour_frames_have_all_their_samples(tmp_path: Path) -> None:
    def colour(dataset: Dataset) -> None:
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.PixelData *= 3

    def halved(dataset: Dataset) -> None:
        colour(dataset)
        dataset.PhotometricInterpretation = "YBR_FULL_422"
        dataset.PixelData = dataset.PixelData[: len(dataset.PixelData) * 2 // 3]

    for edit, samples in ((colour, 3), (halved, 2)):
        found = _expanded(write_enhanced(tmp_path / "a.dcm", _frames(), edit=edit))
        assert {header.length for header in found} == {6 * 7 * 2 * samples}
        assert found[0].planar == 0


def test_floating_point_frames_have_the_size_of_their_numbers(tmp_path: Path) -> None:
    def edit(dataset: Dataset) -> None:
        dataset.FloatPixelData = ARRAY.astype("f4").tobytes()
        del dataset.PixelData, dataset.BitsAllocated

    found = _expanded(write_enhanced(tmp_path / "a.dcm", _frames(), edit=edit))
    assert {header.length for header in found} == {6 * 7 * 4}


def test_single_bits_and_films_stay_as_they_are(tmp_path: Path) -> None:
    def bits(dataset: Dataset) -> None:
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, 1, 0
        dataset.PixelData = bytes(28)

    def film(dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = MPEG2MPML
        dataset.PixelData = encapsulate([b"film"])
        dataset["PixelData"].is_undefined_length = True

    for edit in (bits, film):
        header = _header(write_enhanced(tmp_path / "a.dcm", _frames(), edit=edit))
        assert header.frames == 5
        assert expand(header) == (header,)


def test_mosaics_are_recognised(tmp_path: Path) -> None:
    def edit(_: int, dataset: Dataset) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]

    assert is_mosaic(_header(write_series(tmp_path / "a", ARRAY[:1], GEOMETRY, edit=edit)[0]))
    assert not is_mosaic(_header(write_series(tmp_path / "b", ARRAY[:1], GEOMETRY)[0]))


def test_frames_share_what_they_have_in_common(tmp_path: Path) -> None:
    found = _expanded(write_enhanced(tmp_path / "a.dcm", _frames(), shared=()))
    assert len({id(header.orientation) for header in found}) == 1
    assert len({id(header.pixel_spacing) for header in found}) == 1


# -------------------------------------------------------------------------------------------------------------- errors


def _set(**elements: Any) -> Callable[[Dataset], None]:
    def edit(dataset: Dataset) -> None:
        for keyword, value in elements.items():
            setattr(dataset, keyword, value)

    return edit


def _one_item_less(dataset: Dataset) -> None:
    del dataset.PerFrameFunctionalGroupsSequence[0]


def _bad_position(dataset: Dataset) -> None:
    dataset.PerFrameFunctionalGroupsSequence[3].PlanePositionSequence[0].ImagePositionPatient = [1, 2]


def _bad_slope(dataset: Dataset) -> None:
    dataset.PerFrameFunctionalGroupsSequence[1].PixelValueTransformationSequence[0].RescaleSlope = math.inf


@pytest.mark.parametrize(
    ("edit", "error", "message"),
    [
        (
            _set(PixelData=bytes(400)),
            DamagedError,
            "truncated: 400 bytes of pixel data, expected 420 .5 frames of 7 x 6",
        ),
        (_set(PixelData=bytes(424)), DamagedError, "over-long pixel data: 424 bytes, expected 420 .5 frames"),
        (_set(NumberOfFrames=6), DamagedError, "truncated: 420 bytes of pixel data, expected 504"),
        (_set(NumberOfFrames=10**6), DamagedError, "truncated: 420 bytes"),
        (_set(NumberOfFrames=2**31 - 1), FormatError, "claims 2147483647 frames; at most 1048576 are read"),
        (_set(Rows=0), FormatError, "frames without pixels"),
        (_one_item_less, FormatError, "4 items in its PerFrameFunctionalGroupsSequence for 5 frames"),
        (_bad_position, GeometryError, r"a\.dcm \(frame 3\): ImagePositionPatient \(0020,0032\) has 2 values"),
        (_bad_slope, FormatError, r"a\.dcm \(frame 1\): RescaleSlope .* is 'inf'"),
    ],
)
def test_frames_that_are_not_there_are_an_error(
    tmp_path: Path, edit: Callable[[Dataset], None], error: type[ChunkvolError], message: str
) -> None:
    path = write_enhanced(tmp_path / "a.dcm", _frames(), edit=edit)
    with pytest.raises(error, match=message) as caught:
        _expanded(path)
    assert "a.dcm" in str(caught.value)


def _repacked(*fragments: bytes) -> Callable[[Dataset], None]:
    def edit(dataset: Dataset) -> None:
        dataset.PixelData = encapsulate(list(fragments), has_bot=False)

    return edit


def _without_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def _cut_inside(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _broken_item(path: Path) -> None:
    data = path.read_bytes()
    at = data.rindex(b"\xfe\xff\x00\xe0")
    path.write_bytes(data[:at] + b"\xff" + data[at + 1 :])


@pytest.mark.parametrize(
    ("edit", "spoil", "message"),
    [
        (_repacked(b"ab", b"cd"), None, "it has 2 compressed fragments for 5 frames"),
        (_repacked(*[b"ab"] * 7), None, "7 compressed fragments for 5 frames, and no offset table that fits"),
        (_repacked(*[b"\xff\xd8\xff\xf7"] * 6, b"cd"), None, "7 compressed fragments for 5 frames"),
        (_repacked(b"cd", *[b"\xff\xd8\xff\xf7"] * 5), None, "6 compressed fragments for 5 frames"),
        (_set(NumberOfFrames=10**6), None, "5 compressed fragments for 1000000 frames"),
        (None, _without_end, "cut short: the end mark is missing"),
        (None, _cut_inside, r"broken at byte \d+"),
        (None, _broken_item, r"broken at byte \d+"),
    ],
)
def test_fragments_that_do_not_make_frames_are_damage(
    tmp_path: Path, edit: Callable[[Dataset], None] | None, spoil: Callable[[Path], None] | None, message: str
) -> None:
    path = write_enhanced(tmp_path / "a.dcm", _frames(), transfer_syntax=JPEGLSLossless, table="none", edit=edit)
    if spoil is not None:
        spoil(path)
    with pytest.raises(DamagedError, match=rf"a\.dcm is damaged: .*{message}.*; copy or export it again"):
        _expanded(path)


def test_run_lengths_in_several_fragments_a_frame_are_damage(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "a.dcm", _frames(), transfer_syntax=RLELossless, edit=_repacked(*[b"ab"] * 10))
    with pytest.raises(DamagedError, match="10 compressed fragments for 5 frames"):
        _expanded(path)


@pytest.mark.parametrize("offsets", [[0, 1, 2], [4, 5, 6, 7, 8]])
def test_offsets_of_a_dose_that_fit_nothing_are_an_error(tmp_path: Path, offsets: list[float]) -> None:
    path = write_dose(tmp_path / "a.dcm", ARRAY, GEOMETRY, offsets)
    with pytest.raises(GeometryError, match=r"a\.dcm has .*GridFrameOffsetVector"):
        _expanded(path)


def test_groups_nested_beyond_reason_are_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_enhanced(tmp_path / "a.dcm", _frames())
    header = _header(path)

    def overflow(*_: Any, **__: Any) -> None:
        raise RecursionError("maximum recursion depth exceeded")

    monkeypatch.setattr(pydicom, "dcmread", overflow)
    with pytest.raises(DamagedError, match=r"a\.dcm is damaged: pydicom cannot read it \(RecursionError"):
        expand(header)


def test_a_file_that_is_gone_is_an_input_error(tmp_path: Path) -> None:
    path = write_enhanced(tmp_path / "a.dcm", _frames())
    header = _header(path)
    path.unlink()
    with pytest.raises(ChunkvolError, match=r"a\.dcm cannot be read: No such file"):
        expand(header)


@settings(max_examples=150)
@given(data=st.data())
def test_damaged_objects_give_frames_or_one_of_our_errors(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.getbasetemp() / "mutant.dcm"
    syntax = data.draw(st.sampled_from([ExplicitVRLittleEndian, JPEGLSLossless]))
    mutant = bytearray(_healthy(syntax, tmp_path_factory))
    for _ in range(data.draw(st.integers(1, 3))):
        mutant[data.draw(st.integers(132, len(mutant) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(mutant)
    try:
        header = read_header(path)
        frames = () if header is None else expand(header)
    except ChunkvolError as error:
        assert "mutant.dcm" in str(error)
        return
    for frame in frames:
        assert frame.offset + (frame.length or 0) <= len(mutant)


_made: dict[str, bytes] = {}


def _healthy(syntax: str, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    if syntax not in _made:
        path = tmp_path_factory.mktemp("healthy") / "a.dcm"
        write_enhanced(path, _frames(echo_time=2.0)[:3], transfer_syntax=syntax, table="none", fragments=2)
        _made[syntax] = path.read_bytes()
    return _made[syntax]


@pytest.mark.parametrize("element", ["ImageType", "SOPClassUID"])
def test_views_of_nuclear_medicine_are_not_taken_for_slices(tmp_path: Path, element: str) -> None:
    def edit(dataset: Dataset) -> None:
        if element == "ImageType":
            dataset.ImageType = ["ORIGINAL", "PRIMARY", "TOMO", "EMISSION"]
        else:
            dataset.SOPClassUID = SecondaryCaptureImageStorage
            del dataset.ImageType

    write_nuclear(tmp_path / "a.dcm", ARRAY, GEOMETRY, [1, 2, 3, 4, 5], edit)
    with pytest.raises(GeometryError, match="does not say where each of its 5 frames lies, nor that they are slices"):
        open_dicom(tmp_path)


def test_a_negative_number_of_frames_is_refused(tmp_path: Path) -> None:
    def edit(_: int, dataset: Dataset) -> None:
        dataset.NumberOfFrames = -1

    write_series(tmp_path, ARRAY, GEOMETRY, edit=edit)
    with pytest.raises(FormatError, match="has NumberOfFrames -1, expected 1 or more"):
        open_dicom(tmp_path)
