"""DICOM segmentations: every encoding, frames left out, overlaps, and what is refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import highdicom
import nrrd
import numpy as np
import pytest
import SimpleITK
from highdicom.color import CIELabColor
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

import chunkvol
from chunkvol import Geometry, Volume
from chunkvol.errors import ChunkvolError, DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats import format_for_reading
from chunkvol.formats.dicom.segmentation import is_segmentation, open_segmentation
from chunkvol.formats.dicom.segmentation.described import rgb_of_cielab
from chunkvol.formats.dicom.segmentation.steps import whole_steps
from chunkvol.progress import Silent
from chunkvol.segments import KEY, Segmentation
from tests.support.enhanced import frames_of, write_enhanced
from tests.support.grids import GRIDS, oblique_grid
from tests.support.segmentations import (
    COLORS,
    DEFLATED_FRAMES,
    balls,
    by_highdicom,
    cielab,
    code,
    write_label_map,
    write_segmentation,
)

SHAPE = (6, 5, 7)
"""35 pixels a plane: no frame but the first starts at a whole byte."""
NATIVE = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
GRID = oblique_grid(SHAPE)


LARGE = (4, 35, 33)
"""Pixels that encoders take."""


def labels_of(masks: np.ndarray) -> np.ndarray:
    """Segment numbers, where masks (segments, k, j, i) do not overlap."""
    return (masks * np.arange(1, len(masks) + 1)[:, None, None, None]).sum(0)


def segments_of(volume: Volume) -> Segmentation:
    return Segmentation.from_json(volume.metadata.extra[KEY])


def assert_lies(found: Volume, whole: np.ndarray, grid: Geometry) -> None:
    """Each voxel of `whole` that is set is found at its place, and nothing else: the found grid may be smaller."""
    there = found.read()
    index = np.argwhere(there)
    back = grid.world_to_index(found.geometry.index_to_world(index))
    assert np.abs(back - np.rint(back)).max() < 1e-6
    again = np.zeros_like(whole)
    again[tuple(np.rint(back).astype(int).T)] = there[tuple(index.T)]
    assert np.array_equal(again, whole)


# ------------------------------------------------------------------------------------------------------------ laws


@pytest.mark.parametrize("name", GRIDS)
def test_every_grid_keeps_labels_in_their_place(tmp_path: Path, name: str) -> None:
    grid, masks = GRIDS[name](SHAPE), balls(SHAPE, 3)
    path = write_segmentation(tmp_path / "a.dcm", masks, grid, shuffle=4)
    found = chunkvol.open_volume(path)
    assert found.geometry.shape == SHAPE
    assert found.dtype == np.uint8
    assert_lies(found, labels_of(masks).astype("u1"), grid)


@pytest.mark.parametrize("syntax", [*NATIVE, JPEG2000Lossless, JPEGLSLossless, DEFLATED_FRAMES])
def test_single_bits_are_read_in_every_transfer_syntax(tmp_path: Path, syntax: str) -> None:
    masks = balls(LARGE, 3)
    path = write_segmentation(tmp_path / "a.dcm", masks, oblique_grid(LARGE), syntax=syntax, shuffle=1)
    found = chunkvol.open_volume(path)
    assert np.array_equal(found.read(), labels_of(masks))


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless, JPEGLSLossless, JPEG2000Lossless, DEFLATED_FRAMES])
@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_label_maps_are_read_in_every_transfer_syntax(tmp_path: Path, kind: str, syntax: str) -> None:
    labels, most = labels_of(balls(LARGE, 3)).astype(kind), 200 if kind == "u1" else 60000
    labels[labels == 3] = most
    path = write_label_map(tmp_path / "a.dcm", labels, oblique_grid(LARGE), numbers=(1, 2, most), syntax=syntax)
    found = chunkvol.open_volume(path)
    assert found.dtype == kind
    assert np.array_equal(found.read(), labels)
    assert [one.value for one in segments_of(found).segments] == [1, 2, most]


@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless, JPEGLSLossless])
def test_fractions_above_half_are_within_a_segment_and_it_is_said(tmp_path: Path, syntax: str) -> None:
    fractions = np.random.default_rng(8).integers(0, 101, (1, *LARGE)).astype("u1")
    fractions[0, 2] = 50
    fractions[0, 3, :3] = 51
    grid = oblique_grid(LARGE)
    path = write_segmentation(tmp_path / "a.dcm", fractions, grid, fractions=100, syntax=syntax)
    found = chunkvol.open_volume(path)
    assert np.array_equal(found.read(), fractions[0] > 50)
    assert found.metadata.problems == (
        "its segments are fractions of 100: voxels above half of it are within a segment",
    )
    assert found.metadata.history == ("threshold above 50",)


def test_any_region_is_that_part_of_the_whole_in_any_thread_after_pickling(tmp_path: Path) -> None:
    masks, grid = balls(LARGE, 3), oblique_grid(LARGE)
    for syntax in (ExplicitVRLittleEndian, JPEG2000Lossless, DeflatedExplicitVRLittleEndian):
        found = chunkvol.open_volume(write_segmentation(tmp_path / "a.dcm", masks, grid, syntax=syntax))
        source = pickle.loads(pickle.dumps(found.source))
        out = np.full((3, 34, 9), 77, np.uint8)[:, 1:32, 2:7]
        source.read((slice(1, 4), slice(3, 34), slice(1, 6)), out)
        assert np.array_equal(out, labels_of(masks)[1:4, 3:34, 1:6])
        assert np.array_equal(found.array.compute(), labels_of(masks))


@pytest.mark.parametrize("fractions", [0, 255])
def test_segments_that_overlap_lie_in_layers(tmp_path: Path, fractions: int) -> None:
    masks = balls(SHAPE, 4, overlap=True)
    path = write_segmentation(tmp_path / "a.dcm", masks * (fractions or 1), GRID, fractions=fractions, shuffle=2)
    found = chunkvol.open_volume(path)
    segmentation = segments_of(found)
    assert [(one.value, one.layer) for one in segmentation.segments] == [(n, n - 1) for n in range(1, 5)]
    assert segmentation.counts == (2, 3, 4, 5)
    for n, one in enumerate(segmentation.segments):
        assert np.array_equal(segmentation.layer_of(found.read(), one.layer) == one.value, masks[n])
    assert "its segments overlap, so it has 4 layers" in found.metadata.problems[-1]


def test_a_segment_goes_into_the_first_layer_in_which_it_overlaps_nothing(tmp_path: Path) -> None:
    masks = np.zeros((4, *SHAPE), bool)
    masks[0, 1, 2, :3] = masks[1, 1, 2, 2:5] = masks[2, 1, 2, 4:] = masks[3, 3] = True
    segmentation = segments_of(chunkvol.open_volume(write_segmentation(tmp_path / "a.dcm", masks, GRID)))
    assert [one.layer for one in segmentation.segments] == [0, 1, 0, 0]


def test_more_layers_than_labels_can_name_count_from_one(tmp_path: Path) -> None:
    masks = np.ones((14, *SHAPE), bool)
    found = chunkvol.open_volume(write_segmentation(tmp_path / "a.dcm", masks, GRID))
    assert {one.value for one in segments_of(found).segments} == {1}
    assert found.dtype == np.uint16
    assert (found.read() == 2**14 - 1).all()
    assert "count from 1 in each layer" in found.metadata.problems[0]


@pytest.mark.parametrize("wanted", ["Segment_3", "Name of 3", "3"])
def test_one_segment_is_a_mask_by_id_name_or_number(tmp_path: Path, wanted: str) -> None:
    masks = balls(SHAPE, 3, overlap=True)
    mask = chunkvol.open_volume(write_segmentation(tmp_path / "a.dcm", masks, GRID), segment=wanted)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask.read(), masks[2])
    assert mask.metadata.history == ("segment Segment_3 (Name of 3)",)
    labels = labels_of(balls(SHAPE, 3)).astype("u1")
    path = write_label_map(tmp_path / "b.dcm", labels, GRID, numbers=(1, 2, 3))
    assert np.array_equal(chunkvol.open_volume(path, segment=wanted).read(), labels == 3)


def test_names_colours_and_terminology_are_kept(tmp_path: Path) -> None:
    def place(dataset: Dataset) -> None:
        dataset.SegmentSequence[0].AnatomicRegionSequence = [code("64033007", "SCT", "Kid~ney")]
        modifier = [code("7771000", "SCT", "Left")]
        dataset.SegmentSequence[0].AnatomicRegionSequence[0].AnatomicRegionModifierSequence = modifier
        del dataset.SegmentSequence[1].SegmentedPropertyTypeCodeSequence
        del dataset.SegmentSequence[1].RecommendedDisplayCIELabValue
        dataset.SegmentSequence[1].SegmentLabel = "größer"
        dataset.SpecificCharacterSet = "ISO_IR 192"

    path = write_segmentation(tmp_path / "a.dcm", balls(SHAPE, 2), GRID, numbers=(5, 3), edit=place)
    first, second = segments_of(chunkvol.open_volume(path)).segments
    assert (first.id, first.name, first.value) == ("Segment_5", "Name of 5", 5)
    assert [round(255 * part) for part in first.color] == [*COLORS[4]]
    assert first.tags == (
        "TerminologyEntry:Segmentation category and type - DICOM master list~SCT^85756007^Tissue~SCT^10200004^Liver"
        "~^^~Anatomic codes - DICOM master list~SCT^64033007^Kid ney~SCT^7771000^Left|"
    )
    assert (second.name, second.color, second.tags) == ("größer", (0.5, 0.5, 0.5), "")


def test_a_label_map_takes_colours_from_its_palette(tmp_path: Path) -> None:
    def palette(dataset: Dataset) -> None:
        dataset.PhotometricInterpretation = "PALETTE COLOR"
        del dataset.SegmentSequence[0].RecommendedDisplayCIELabValue
        for n, name in enumerate(("Red", "Green", "Blue")):
            setattr(dataset, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 8])
            setattr(dataset, f"{name}PaletteColorLookupTableData", bytes([0, 20 * n + 5, 9, 9]))

    labels = labels_of(balls(SHAPE, 1)).astype("u1")
    found = chunkvol.open_volume(write_label_map(tmp_path / "a.dcm", labels, GRID, numbers=(1,), edit=palette))
    assert [255 * part for part in segments_of(found).segments[0].color] == pytest.approx([5, 25, 45])
    assert np.array_equal(found.read(), labels)


def test_colours_are_those_of_other_programs() -> None:
    for color in [*COLORS, *np.random.default_rng(1).integers(0, 256, (60, 3)).tolist()]:
        stored = cielab(color)
        ours = [255 * part for part in rgb_of_cielab(*stored)]
        assert ours == pytest.approx(CIELabColor.from_dicom_value(stored).to_rgb(), abs=1)
        assert ours == pytest.approx(color, abs=1)


def test_nobody_is_named_unless_asked_for(tmp_path: Path) -> None:
    path = write_segmentation(tmp_path / "a.dcm", balls(SHAPE, 2), GRID)
    found = chunkvol.open_volume(path).metadata
    assert not {"Doe", "Roe", "77"} & set(str(found.to_json()).replace("'", " ").replace("^", " ").split())
    assert found.frame_of_reference
    assert found.extra["series_uid"] and found.extra["study_uid"]
    assert (found.modality, found.pyramid, found.assumed) == ("SEG", "mode", False)
    assert "Doe" in str(chunkvol.open_volume(path, keep_phi=True).metadata.extra["patient"])


# ---------------------------------------------------------------------------------------------- places and steps


def test_planes_without_frames_are_background(tmp_path: Path) -> None:
    masks = np.zeros((2, 12, *SHAPE[1:]), bool)
    masks[0, 1, 1:3], masks[0, 2, 2], masks[1, 7, 3], masks[1, 10, :, 2] = True, True, True, True
    grid = oblique_grid((12, *SHAPE[1:]))
    found = chunkvol.open_volume(write_segmentation(tmp_path / "a.dcm", masks, grid))
    assert found.shape == (10, *SHAPE[1:])
    assert_lies(found, labels_of(masks).astype("u1"), grid)
    assert found.metadata.problems == ()


@pytest.mark.parametrize("step", [0.005, 0.625, 5.0])
@pytest.mark.parametrize("planes", [(0, 1), (0, 2, 5), (3, 4, 90, 91), (0, 3, 7, 12), (0, 80, 81)])
def test_the_step_is_the_largest_that_has_all_planes(planes: tuple[int, ...], step: float) -> None:
    noise = np.random.default_rng(len(planes)).uniform(-1, 1, len(planes)) * 0.002 * step
    index = whole_steps(np.array(planes) * step + noise)
    assert index is not None
    assert index.tolist() == [plane - planes[0] for plane in planes]


def test_a_stated_step_counts_far_planes_where_rounded_positions_do_not() -> None:
    levels = np.array([0, 300, 301]) * 0.7 + np.array([0, 0, 0.004])
    assert (found := whole_steps(levels, 0.7)) is not None
    assert found.tolist() == [0, 300, 301]
    assert (found := whole_steps(np.arange(200) * 0.625, 0.63)) is not None
    assert found.tolist() == list(range(200))


def test_planes_at_no_common_step_have_none() -> None:
    assert whole_steps(np.array([0, 1, 2, 3.37, 4])) is None


def sparse(tmp_path: Path, planes: list[int], between: float | None, **options: Any) -> Volume:
    masks = np.zeros((1, 9, *SHAPE[1:]), bool)
    masks[0, planes] = True

    def edit(dataset: Dataset) -> None:
        measures = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        if between is not None:
            measures.SpacingBetweenSlices = between
        for name, value in options.items():
            if value is None:
                delattr(measures, name)
            else:
                setattr(measures, name, value)

    grid = oblique_grid((9, *SHAPE[1:]), spacing=(0.7, 0.5, 0.3))
    return chunkvol.open_volume(write_segmentation(tmp_path / "a.dcm", masks, grid, edit=edit))


def test_a_stated_spacing_makes_the_step_finer(tmp_path: Path) -> None:
    found = sparse(tmp_path, [0, 4, 8], 0.7)
    assert found.geometry.spacing[0] == pytest.approx(0.7)
    assert found.read().any((1, 2)).tolist() == [True, False, False, False] * 2 + [True]
    assert "multiples of 2.8 mm apart and SpacingBetweenSlices is 0.7 mm" in found.metadata.problems[0]


def test_without_it_the_largest_step_is_taken(tmp_path: Path) -> None:
    assert sparse(tmp_path, [0, 4, 8], None).shape[0] == 3
    found = sparse(tmp_path, [0, 4, 6], None)
    assert found.shape[0] == 4
    found = sparse(tmp_path, [0, 2, 5], None)
    assert found.shape[0] == 6
    assert "no two of its frames are neighbours: 0.7 mm" in found.metadata.problems[0]


def test_positions_count_where_a_stated_spacing_is_another(tmp_path: Path) -> None:
    found = sparse(tmp_path, [0, 1, 3], 1.0)
    assert found.geometry.spacing[0] == pytest.approx(0.7)
    assert found.metadata.problems == ("its planes lie 0.7 mm apart, though SpacingBetweenSlices says 1 mm",)


def test_one_plane_has_the_step_that_is_stated(tmp_path: Path) -> None:
    found = sparse(tmp_path, [3], 0.9)
    assert (found.geometry.spacing[0], found.metadata.problems) == (0.9, ())
    found = sparse(tmp_path, [3], None, SliceThickness=0.8)
    assert found.geometry.spacing[0] == 0.8
    assert "SliceThickness, 0.8 mm, stands for the distance of planes" in found.metadata.problems[0]
    assert not found.metadata.assumed
    found = sparse(tmp_path, [3], None, SliceThickness=None)
    assert found.geometry.spacing[0] == 0.5
    assert found.metadata.assumed


def test_the_place_may_stand_in_the_frames_own_groups_or_in_the_shared_ones(tmp_path: Path) -> None:
    def swap(dataset: Dataset) -> None:
        shared, frames = dataset.SharedFunctionalGroupsSequence[0], dataset.PerFrameFunctionalGroupsSequence
        for frame in frames:
            frame.PlaneOrientationSequence = shared.PlaneOrientationSequence
            frame.PixelMeasuresSequence = shared.PixelMeasuresSequence
            shared.SegmentIdentificationSequence = frame.SegmentIdentificationSequence
            del frame.SegmentIdentificationSequence
        del shared.PlaneOrientationSequence, shared.PixelMeasuresSequence

    masks = balls(SHAPE, 1)
    found = chunkvol.open_volume(write_segmentation(tmp_path / "a.dcm", masks, GRID, edit=swap))
    assert_lies(found, masks[0].astype("u1"), GRID)


def test_a_background_that_is_not_zero_becomes_zero(tmp_path: Path) -> None:
    labels = labels_of(balls(SHAPE, 2)).astype("u1")
    stored = np.where(labels == 0, 255, labels).astype("u1")
    found = chunkvol.open_volume(write_label_map(tmp_path / "a.dcm", stored, GRID, numbers=(1, 2, 255), padding=255))
    assert np.array_equal(found.read(), labels)
    assert [one.value for one in segments_of(found).segments] == [1, 2]


# --------------------------------------------------------------------------------------------------------- oracles


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "FRACTIONAL"])
@pytest.mark.parametrize("name", ["oblique", "anisotropic", "minus signs", "turned"])
def test_what_highdicom_writes_is_read_as_highdicom_reads_it(tmp_path: Path, name: str, kind: str) -> None:
    grid, labels = GRIDS[name](SHAPE), labels_of(balls(SHAPE, 3)).astype("u1")
    array = labels if kind != "FRACTIONAL" else np.stack([labels == n for n in (1, 2, 3)], -1).astype("f4")
    path = by_highdicom(tmp_path / "a.dcm", array, grid, kind=kind)
    found = chunkvol.open_volume(path)
    assert_lies(found, labels, grid)
    judge = highdicom.seg.segread(path).get_volume(combine_segments=True, rescale_fractional=True)
    theirs = Geometry.from_steps(judge.array.shape, judge.affine[:3, 3], judge.affine[:3, :3].T)
    assert_lies(found, judge.array.astype("u1"), theirs)
    assert [one.name for one in segments_of(found).segments] == ["Name of 1", "Name of 2", "Name of 3"]
    colors = [[round(255 * part) for part in one.color] for one in segments_of(found).segments]
    assert np.abs(np.array(colors) - COLORS[:3]).max() <= 1


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless]
)  # gdcm, by which it writes RLE, may abort
def test_highdicoms_compressed_label_maps_are_read(tmp_path: Path, syntax: str) -> None:
    labels, grid = labels_of(balls(LARGE, 3)).astype("u1"), oblique_grid(LARGE)
    path = by_highdicom(tmp_path / "a.dcm", labels, grid, kind="LABELMAP", transfer_syntax_uid=syntax)
    assert_lies(chunkvol.open_volume(path), labels, grid)


@pytest.mark.parametrize("sparse", [True, False])
def test_highdicoms_overlapping_segments_are_read(tmp_path: Path, sparse: bool) -> None:
    masks = balls(SHAPE, 4, overlap=True)
    masks[:, 2:4] = False
    path = by_highdicom(tmp_path / "a.dcm", np.moveaxis(masks, 0, -1).astype("u1"), GRID, omit_empty_frames=sparse)
    found = chunkvol.open_volume(path)
    segmentation = segments_of(found)
    for n, one in enumerate(segmentation.segments):
        layer = segmentation.layer_of(found.read(), one.layer) == one.value
        assert np.array_equal(layer, masks[n])


def test_the_real_segmentation_has_the_labels_of_its_nrrd_twin(visible: Path) -> None:
    folder = visible / "ct_odd_size"
    found = chunkvol.open_volume(folder / "seg" / "label.seg")
    twin = chunkvol.open_volume(folder / "nrrd" / "label.nrrd")
    assert found.geometry.is_close(twin.geometry, 1e-6)
    assert np.array_equal(found.read(), twin.read())
    assert found.read().sum() == 322
    one = segments_of(found).segments[0]
    assert (one.name, one.value) == ("Liver", 1)
    assert [round(255 * part) for part in one.color] == [221, 130, 101]
    assert "SRT^T-62000^Liver" in one.tags


def test_a_segmentation_becomes_a_seg_nrrd_with_names_values_colours_and_place(tmp_path: Path) -> None:
    for n, masks in enumerate((balls(SHAPE, 3), balls(SHAPE, 3, overlap=True))):
        volume = chunkvol.open_volume(write_segmentation(tmp_path / f"{n}.dcm", masks, GRID, numbers=(2, 9, 4)))
        target = tmp_path / f"{n}.seg.nrrd"
        chunkvol.write_volume(volume, target)
        again = chunkvol.open_volume(target)
        assert again.geometry.is_close(volume.geometry, 1e-9)
        assert np.array_equal(again.read(), volume.read())
        for ours, theirs in zip(segments_of(volume).segments, segments_of(again).segments, strict=True):
            assert (ours.id, ours.name, ours.value, ours.layer, ours.tags) == (
                (theirs.id, theirs.name, theirs.value, theirs.layer, theirs.tags)
            )
            assert ours.color == pytest.approx(theirs.color, abs=1e-5)
        data, header = nrrd.read(str(target))
        assert header["Segment1_LabelValue"] == "9"
        assert header["Segment1_Name"] == "Name of 9"
        assert data.shape[-1] == SHAPE[0]
    seen = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "0.seg.nrrd")))
    assert np.array_equal(seen, chunkvol.open_volume(tmp_path / "0.dcm").read())


# ------------------------------------------------------------------------------------------------- files and folders


def test_a_file_or_a_folder_of_one_is_a_segmentation(tmp_path: Path) -> None:
    path = write_segmentation(tmp_path / "one" / "a", balls(SHAPE, 1), GRID)
    (tmp_path / "one" / "notes.txt").write_text("nothing")
    (tmp_path / "one" / ".hidden.dcm").write_text("nothing")
    for there in (path, tmp_path / "one"):
        assert format_for_reading(there).key == "dicom-seg"
        assert chunkvol.open_volume(there).shape == SHAPE


def test_images_beside_it_make_a_series(tmp_path: Path) -> None:
    write_segmentation(tmp_path / "a.dcm", balls(SHAPE, 1), GRID)
    write_enhanced(tmp_path / "b.dcm", frames_of(np.zeros(SHAPE, np.uint16), GRID))
    assert not is_segmentation(tmp_path)
    assert format_for_reading(tmp_path).key == "dicom"


def test_what_is_none_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nothing")
    (tmp_path / "short.dcm").write_bytes(bytes(128) + b"DICM")
    for path in (tmp_path / "a.txt", tmp_path / "short.dcm", tmp_path):
        assert not is_segmentation(path)


def test_several_in_a_folder_are_listed(tmp_path: Path) -> None:
    for name in ("b.dcm", "deep/c.dcm"):
        write_segmentation(tmp_path / name, balls(SHAPE, 1), GRID)
    with pytest.raises(InputError, match=r"holds 2 DICOM segmentations: b\.dcm, deep.c\.dcm; name the file to open"):
        chunkvol.open_volume(tmp_path)


# -------------------------------------------------------------------------------------------------------- messages


def refused(tmp_path: Path, edit: Any, kind: type[Exception], match: str, **options: Any) -> None:
    """Opening raises this in one line that names the file."""
    path = write_segmentation(tmp_path / "bad.dcm", balls(SHAPE, 2), GRID, edit=edit, **options)
    with pytest.raises(kind, match=match) as caught:
        chunkvol.open_volume(path)
    assert "bad.dcm" in str(caught.value)
    assert "\n" not in str(caught.value)


def frame(dataset: Dataset, n: int) -> Dataset:
    found: Dataset = dataset.PerFrameFunctionalGroupsSequence[n]
    return found


def moved(n: int, *by: float) -> Any:
    def edit(dataset: Dataset) -> None:
        place = frame(dataset, n).PlanePositionSequence[0]
        place.ImagePositionPatient = [a + b for a, b in zip(place.ImagePositionPatient, by, strict=True)]

    return edit


def test_frames_off_the_grid_are_named(tmp_path: Path) -> None:
    k, _, i = np.array(GRID.direction).T
    refused(tmp_path, moved(2, *(0.26 * k)), GeometryError, r"frame 2\) lies .* mm from its neighbour, and most frames")
    refused(tmp_path, moved(2, *(0.1 * i)), GeometryError, r"frame 2\) lies 0\.1 mm beside the line")


def test_frames_far_away_are_refused(tmp_path: Path) -> None:
    k = np.array(GRID.direction)[:, 0]
    refused(tmp_path, moved(4, *(0.7 * 2e6 * k)), GeometryError, "and at most 1048576 are read")


def test_missing_places_are_named(tmp_path: Path) -> None:
    def without(name: str, n: int | None) -> Any:
        def edit(dataset: Dataset) -> None:
            delattr(dataset.SharedFunctionalGroupsSequence[0] if n is None else frame(dataset, n), name)

        return edit

    refused(tmp_path, without("PlanePositionSequence", 3), GeometryError, r"frame 3\) has no ImagePositionPatient")
    refused(tmp_path, without("PlaneOrientationSequence", None), GeometryError, "has no ImageOrientationPatient")
    refused(tmp_path, without("PixelMeasuresSequence", None), GeometryError, "has no PixelSpacing")
    refused(tmp_path, without("SegmentIdentificationSequence", 1), FormatError, r"frame 1\) does not say which segment")


def test_frames_that_differ_are_named(tmp_path: Path) -> None:
    def turned(dataset: Dataset) -> None:
        dataset.PerFrameFunctionalGroupsSequence[3].PlaneOrientationSequence = [Dataset()]
        frame(dataset, 3).PlaneOrientationSequence[0].ImageOrientationPatient = [1, 0, 0, 0, 1, 0]

    def wider(dataset: Dataset) -> None:
        dataset.PerFrameFunctionalGroupsSequence[3].PixelMeasuresSequence = [Dataset()]
        frame(dataset, 3).PixelMeasuresSequence[0].PixelSpacing = [1, 2]

    refused(tmp_path, turned, GeometryError, r"frame 3\) is turned against frame 0")
    refused(tmp_path, wider, GeometryError, r"frame 3\) has PixelSpacing")


def test_missing_functional_groups_are_told(tmp_path: Path) -> None:
    def edit(dataset: Dataset) -> None:
        del dataset.PerFrameFunctionalGroupsSequence

    def fewer(dataset: Dataset) -> None:
        dataset.PerFrameFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence[:-1]

    refused(tmp_path, edit, FormatError, "does not say which segment it shows")
    refused(tmp_path, fewer, FormatError, "items in its PerFrameFunctionalGroupsSequence for")


def test_segments_that_are_not_described_are_told(tmp_path: Path) -> None:
    def other(dataset: Dataset) -> None:
        frame(dataset, 2).SegmentIdentificationSequence[0].ReferencedSegmentNumber = 7

    def twice(dataset: Dataset) -> None:
        dataset.SegmentSequence[1].SegmentNumber = 1

    def nothing(dataset: Dataset) -> None:
        del dataset.SegmentSequence

    refused(tmp_path, other, FormatError, r"frame 2\) shows segment 7, which is not described \(there are 1, 2\)")
    refused(tmp_path, twice, FormatError, "describes segment 1 twice")
    refused(tmp_path, nothing, FormatError, "describes no segment")


def test_two_frames_in_one_place_are_told(tmp_path: Path) -> None:
    def edit(dataset: Dataset) -> None:
        frame(dataset, 1).PlanePositionSequence = frame(dataset, 0).PlanePositionSequence

    refused(tmp_path, edit, FormatError, r"two frames of segment 1 in one place \(frames 0 and 1\)")


def test_fewer_or_more_bytes_than_frames_promise_are_told(tmp_path: Path) -> None:
    def shorter(dataset: Dataset) -> None:
        dataset.PixelData = dataset.PixelData[:-4]

    def longer(dataset: Dataset) -> None:
        dataset.PixelData += bytes(10)

    refused(
        tmp_path, shorter, DamagedError, r"is truncated: 40 bytes of pixel data, expected 44 \(10 frames of 7 x 5 bits"
    )
    refused(tmp_path, longer, DamagedError, "over-long pixel data: 54 bytes, expected 44 .* without padding")
    refused(tmp_path, shorter, DamagedError, "truncated|ends", syntax=DeflatedExplicitVRLittleEndian)
    path = write_segmentation(tmp_path / "cut.dcm", balls(SHAPE, 2), GRID)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedError, match=r"cut\.dcm"):
        chunkvol.open_volume(path)


def test_damaged_compressed_frames_are_told(tmp_path: Path) -> None:
    def cut(dataset: Dataset) -> None:
        dataset.PixelData = dataset.PixelData[:60]

    refused(tmp_path, cut, DamagedError, "is damaged", syntax=DEFLATED_FRAMES)
    path = write_segmentation(tmp_path / "a.dcm", balls(SHAPE, 1), GRID, syntax=DEFLATED_FRAMES)
    whole = bytearray(path.read_bytes())
    at = whole.rindex(b"\xfe\xff\x00\xe0") + 8
    whole[at] = 0xFF
    path.write_bytes(whole)
    with pytest.raises(DamagedError, match=r"a\.dcm \(frame 4\): its deflated frame"):
        chunkvol.open_volume(path).read()


def test_what_is_not_read_is_refused_by_name(tmp_path: Path) -> None:
    def kind(dataset: Dataset) -> None:
        dataset.SegmentationType = "SURFACE"

    def wide(dataset: Dataset) -> None:
        dataset.BitsAllocated = 8

    def fractions(dataset: Dataset) -> None:
        dataset.MaximumFractionalValue = 0

    def without_pixels(dataset: Dataset) -> None:
        del dataset.PixelData

    refused(tmp_path, kind, FormatError, "SegmentationType 'SURFACE'; BINARY, FRACTIONAL, LABELMAP are read")
    refused(tmp_path, wide, FormatError, "is a BINARY segmentation with BitsAllocated 8, expected 1")
    refused(tmp_path, fractions, FormatError, "MaximumFractionalValue 0, expected 1 to 255", fractions=9)
    refused(tmp_path, without_pixels, DamagedError, "without pixel data")
    refused(tmp_path, None, FormatError, "single bits in RLE", syntax=RLELossless)


def test_a_zero_segment_beside_another_background_is_refused(tmp_path: Path) -> None:
    labels = labels_of(balls(SHAPE, 2)).astype("u1")
    path = write_label_map(tmp_path / "a.dcm", labels, GRID, numbers=(0, 1, 2), padding=9)
    with pytest.raises(FormatError, match="describes a segment of number 0 and has PixelPaddingValue 9"):
        chunkvol.open_volume(path)


def test_a_stated_lack_of_overlap_is_believed_and_seen_to(tmp_path: Path) -> None:
    def apart(dataset: Dataset) -> None:
        dataset.SegmentsOverlap = "NO"

    good = write_segmentation(tmp_path / "a.dcm", balls(SHAPE, 3), GRID, edit=apart)
    assert np.array_equal(chunkvol.open_volume(good).read(), labels_of(balls(SHAPE, 3)))
    masks = balls(SHAPE, 3, overlap=True)
    bad = write_segmentation(tmp_path / "b.dcm", masks, GRID, edit=apart)
    with pytest.raises(FormatError, match=r"b\.dcm \(frame \d+\) overlaps another segment, although SegmentsOverlap"):
        chunkvol.open_volume(bad).read()
    assert np.array_equal(chunkvol.open_volume(bad, segment="2").read(), masks[1])


def test_a_segment_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = write_segmentation(tmp_path / "a.dcm", balls(SHAPE, 2), GRID)
    with pytest.raises(InputError, match=r"no single segment is 'liver'; there are Segment_1 \(Name of 1\)"):
        chunkvol.open_volume(path, segment="liver")


def test_too_many_layers_are_told_with_the_way_out(tmp_path: Path) -> None:
    path = write_segmentation(tmp_path / "a.dcm", np.ones((65, *SHAPE), bool), GRID)
    with pytest.raises(InputError, match=r"65 segments that overlap in 65 layers, .* --segment NAME"):
        chunkvol.open_volume(path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, DEFLATED_FRAMES])
def test_any_damage_is_told_in_one_line_that_names_the_file(tmp_path: Path, syntax: str) -> None:
    path = write_segmentation(tmp_path / "a.dcm", balls(SHAPE, 2, overlap=True), GRID, syntax=syntax)
    whole, rng = path.read_bytes(), np.random.default_rng(7)
    for _ in range(50):
        damaged = bytearray(whole[: rng.integers(132, len(whole) + 1)] if rng.random() < 0.3 else whole)
        for at in rng.integers(132, len(damaged), rng.integers(1, 4)) if len(damaged) > 132 else ():
            damaged[at] = rng.choice([0, 1, 255, rng.integers(256)])
        path.write_bytes(damaged)
        try:
            found = open_segmentation(path, Silent())
            found[:1].read() if found.shape[1] * found.shape[2] < 1 << 20 else None
        except ChunkvolError as error:
            assert "a.dcm" in str(error)
            assert "\n" not in str(error)


def test_facts_of_a_source_follow_from_its_frames(tmp_path: Path) -> None:
    masks = balls(LARGE, 2)
    path = write_segmentation(tmp_path / "a.dcm", masks, oblique_grid(LARGE))
    both, one = chunkvol.open_volume(path), chunkvol.open_volume(path, segment="1")
    assert (both.source.grain, both.source.stored_bytes) == ((1, 1, 33), -(-6 * 35 * 33 // 8))
    assert one.source.stored_bytes == -(-3 * 35 * 33 // 8)
    assert both.source.fingerprint == chunkvol.open_volume(path).source.fingerprint
    other = chunkvol.open_volume(write_segmentation(tmp_path / "b.dcm", masks, oblique_grid(LARGE), numbers=(2, 1)))
    assert other.source.fingerprint != both.source.fingerprint
    packed = write_segmentation(tmp_path / "c.dcm", masks, oblique_grid(LARGE), syntax=JPEG2000Lossless)
    assert chunkvol.open_volume(packed).source.grain == (1, 35, 33)
