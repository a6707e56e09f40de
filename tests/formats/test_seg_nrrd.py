"""Slicer's segmentations: labels on their own grid, with names, values and colours, layers and overlaps."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path
from typing import Any

import nrrd
import numpy as np
import pytest
import SimpleITK

import chunkvol
from chunkvol import Volume
from chunkvol.errors import FormatError, InputError
from chunkvol.formats import format_for_reading
from chunkvol.metadata import Metadata
from chunkvol.ops.downsample import downsample
from chunkvol.segments import KEY, Segment, Segmentation
from tests.support.grids import GRIDS, oblique_grid

SHAPE = (5, 6, 7)
TAGS = "Segmentation.Status:inprogress|TerminologyEntry:Segmentation category and type~SCT^85756007^Tissue~|"
TWO_LAYERS = Segmentation(
    (
        Segment("Segment_1", "femoral bone", 1, 0, (0.9, 0.8, 0.6), TAGS),
        Segment("Segment_2", "marrow", 3, 0, (0.7, 0.1, 0.1)),
        Segment("Segment_7", "lesion", 2, 1, (0.1, 0.9, 0.2)),
    ),
    (4, 3),
)


def labels(rng: int = 3) -> np.ndarray:
    """Two layers of labels along the last axis."""
    made = np.random.default_rng(rng)
    return np.stack([made.choice([0, 1, 3], SHAPE), made.choice([0, 2], SHAPE)], axis=-1).astype("uint8")


def two_layers() -> Volume:
    metadata = Metadata(extra={KEY: TWO_LAYERS.to_json()})
    return Volume(TWO_LAYERS.composed(labels()), oblique_grid(SHAPE), metadata)


def by_slicer(path: Path, layers: np.ndarray, **keys: Any) -> Path:
    """A file as Slicer 5 writes it: layers on the fastest axis, arrays (k, j, i, layer)."""
    header: dict[str, Any] = {
        "type": "unsigned char",
        "space": "left-posterior-superior",
        "encoding": "gzip",
        "kinds": ["domain"] * 3,
        "space directions": np.diag([0.4, 0.5, 0.6]),
        "space origin": [1.0, -2.0, 3.0],
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "10 20 30",
        **keys,
    }
    data = np.moveaxis(layers, -1, 0).T if layers.ndim == 4 else layers.T
    if layers.ndim == 4:
        data = np.transpose(layers, (3, 2, 1, 0))
        header["kinds"] = ["list", *header["kinds"]]
        header["space directions"] = np.vstack([[np.nan] * 3, header["space directions"]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pynrrd asks for the time in an old way
        nrrd.write(str(path), data, header)
    return path


def segment_keys(n: int, **said: str) -> dict[str, str]:
    return {f"Segment{n}_{name}": value for name, value in said.items()}


# ------------------------------------------------------------------------------------------------------------ laws


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
@pytest.mark.parametrize("name", GRIDS)
def test_overlapping_segments_come_back_with_names_values_colours_and_tags(
    tmp_path: Path, name: str, encoding: str
) -> None:
    volume = Volume(two_layers().read(), GRIDS[name](SHAPE), two_layers().metadata)
    chunkvol.write_volume(volume, tmp_path / "a.seg.nrrd", encoding=encoding)
    found = chunkvol.open_volume(tmp_path / "a.seg.nrrd")
    assert found.geometry.is_close(volume.geometry, 1e-12)
    assert np.array_equal(found.read(), volume.read())
    assert Segmentation.from_json(found.metadata.extra[KEY]) == TWO_LAYERS
    part = found[1:4, 2:5, 3:6]
    assert np.array_equal(part.read(), volume.read()[1:4, 2:5, 3:6])


def test_bytes_do_not_depend_on_workers_or_budget(tmp_path: Path) -> None:
    found = set()
    for n, (workers, budget) in enumerate([(1, "8GiB"), (3, "8GiB"), (2, "6GiB")]):
        path = tmp_path / f"{n}.seg.nrrd"
        chunkvol.write_volume(two_layers(), path, workers=workers, budget=budget)
        found.add(path.read_bytes())
    assert len(found) == 1


@pytest.mark.parametrize("wanted", ["Segment_7", "lesion"])
def test_one_segment_is_a_mask(tmp_path: Path, wanted: str) -> None:
    chunkvol.write_volume(two_layers(), tmp_path / "a.seg.nrrd")
    mask = chunkvol.open_volume(tmp_path / "a.seg.nrrd", segment=wanted)
    assert mask.dtype == np.uint8
    assert np.array_equal(mask.read(), labels()[..., 1] == 2)
    assert mask.metadata.history == ("segment Segment_7 (lesion)",)
    chunkvol.write_volume(mask, tmp_path / "mask.seg.nrrd")
    found = Segmentation.from_json(chunkvol.open_volume(tmp_path / "mask.seg.nrrd").metadata.extra[KEY])
    assert [(one.id, one.name, one.value, one.layer) for one in found.segments] == [("Segment_7", "lesion", 1, 0)]


def test_layers_are_found_again_in_composite_labels() -> None:
    layers = labels()
    composite = TWO_LAYERS.composed(layers)
    assert composite.dtype == np.uint8
    for n in range(2):
        assert np.array_equal(TWO_LAYERS.layer_of(composite, n), layers[..., n])


def test_the_most_frequent_composite_label_is_chosen_for_all_layers(tmp_path: Path) -> None:
    small = downsample(two_layers(), (5, 2, 1))
    assert np.array_equal(small.read(), downsample(two_layers(), (5, 2, 1), method="mode").read())
    chunkvol.write_volume(small, tmp_path / "a.seg.nrrd")
    found = chunkvol.open_volume(tmp_path / "a.seg.nrrd")
    assert np.array_equal(found.read(), small.read())
    assert Segmentation.from_json(found.metadata.extra[KEY]) == TWO_LAYERS


# --------------------------------------------------------------------------------------------------------- oracles


def test_what_slicer_writes_is_read(tmp_path: Path) -> None:
    layers = labels()
    keys = {
        **segment_keys(0, ID="Segment_1", Name="bone", Color="0.1 0.2 0.3", Layer="0", LabelValue="1", Tags=TAGS),
        **segment_keys(
            1, ID="Segment_2", Name="marrow", Color="1 0 0", Layer="0", LabelValue="3", Extent="0 1 0 1 0 1"
        ),
        **segment_keys(2, ID="Segment_3", Name="lesion", Color="0 1 0", Layer="1", LabelValue="2"),
    }
    volume = chunkvol.open_volume(by_slicer(tmp_path / "a.seg.nrrd", layers, **keys))
    assert volume.shape == SHAPE
    assert volume.geometry.origin == (1.0, -2.0, 3.0)  # that of the cropped extent, not of the reference image
    assert volume.geometry.spacing == (0.6, 0.5, 0.4)
    found = Segmentation.from_json(volume.metadata.extra[KEY])
    assert [(one.name, one.value, one.layer, one.color) for one in found.segments] == [
        ("bone", 1, 0, (0.1, 0.2, 0.3)),
        ("marrow", 3, 0, (1.0, 0.0, 0.0)),
        ("lesion", 2, 1, (0.0, 1.0, 0.0)),
    ]
    assert found.segments[0].tags == TAGS
    assert np.array_equal(volume.read(), layers[..., 0] + 4 * layers[..., 1])
    assert "a voxel is 1 * layer 0 + 4 * layer 1; --segment NAME" in volume.metadata.problems[0]


def test_a_single_layer_is_the_labels_of_the_file(tmp_path: Path) -> None:
    keys = segment_keys(0, ID="Segment_1", Name="bone", Layer="0", LabelValue="3")
    path = by_slicer(tmp_path / "a.seg.nrrd", labels()[..., 0], **keys)
    volume = chunkvol.open_volume(path)
    assert np.array_equal(volume.read(), labels()[..., 0])
    assert volume.metadata.problems == ()
    assert format_for_reading(path).key == "seg-nrrd"


def test_older_files_have_a_binary_volume_for_each_segment(tmp_path: Path) -> None:
    masks = (labels() > 0).astype("uint8")
    keys = segment_keys(0, ID="a", Name="bone") | segment_keys(1, ID="b", Name="lesion", Color="0 0 1")
    path = by_slicer(tmp_path / "a.seg.nrrd", masks, **keys)
    assert np.array_equal(chunkvol.open_volume(path, segment="lesion").read(), masks[..., 1])
    assert np.array_equal(chunkvol.open_volume(path).read(), masks[..., 0] + 2 * masks[..., 1])


def test_other_programs_read_what_is_written(tmp_path: Path) -> None:
    chunkvol.write_volume(two_layers(), tmp_path / "a.seg.nrrd")
    data, header = nrrd.read(str(tmp_path / "a.seg.nrrd"))
    assert np.array_equal(np.transpose(data, (3, 2, 1, 0)), labels())
    assert header["Segment2_Name"] == "lesion"
    assert header["Segment2_LabelValue"] == "2"
    assert header["Segment2_Extent"] == "0 6 0 5 0 4"
    assert header["Segment0_Color"] == "0.9 0.8 0.6"
    assert list(header["kinds"]) == ["list", "domain", "domain", "domain"]
    one_layer = Volume(labels()[..., 0], oblique_grid(SHAPE))
    chunkvol.write_volume(one_layer, tmp_path / "b.seg.nrrd")
    image: Any = SimpleITK.ReadImage(str(tmp_path / "b.seg.nrrd"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(image), labels()[..., 0])
    np.testing.assert_allclose(image.GetOrigin(), one_layer.geometry.origin, rtol=1e-12)
    vector: Any = SimpleITK.ReadImage(str(tmp_path / "a.seg.nrrd"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(vector), labels())
    np.testing.assert_allclose(vector.GetSpacing(), two_layers().geometry.spacing[::-1], rtol=1e-12)


def test_teem_reads_what_is_written(tmp_path: Path) -> None:
    if subprocess.run(["which", "teem-unu"], capture_output=True).returncode:
        pytest.skip("teem-unu is not installed (Debian: teem-apps)")
    chunkvol.write_volume(two_layers(), tmp_path / "a.seg.nrrd")
    out = tmp_path / "raw"
    subprocess.run(
        ["teem-unu", "save", "-f", "nrrd", "-e", "raw", "-i", tmp_path / "a.seg.nrrd", "-o", out], check=True
    )
    assert out.read_bytes().endswith(labels().tobytes())


# --------------------------------------------------------------------------------------------------------- corners


def test_labels_without_names_get_some(tmp_path: Path) -> None:
    volume = Volume(labels()[..., 0], oblique_grid(SHAPE))
    plan = chunkvol.plan_write(volume, tmp_path / "a.seg.nrrd")
    assert "the labels have no names" in plan.notes[0]
    chunkvol.write_volume(volume, tmp_path / "a.seg.nrrd")
    found = Segmentation.from_json(chunkvol.open_volume(tmp_path / "a.seg.nrrd").metadata.extra[KEY])
    assert found.found("3").name == "Segment_3"
    assert len({one.color for one in found.segments}) == len(found.segments)


def test_segments_survive_a_store_and_its_pyramid(tmp_path: Path) -> None:
    chunkvol.write_volume(two_layers(), tmp_path / "a.seg.nrrd")
    store = chunkvol.ingest(tmp_path / "a.seg.nrrd", tmp_path / "a.ome.zarr")
    assert store.metadata.pyramid in ("mode", "")
    assert Segmentation.from_json(store.metadata.extra[KEY]) == TWO_LAYERS


# -------------------------------------------------------------------------------------------------------- messages


def test_labels_are_never_mixed_whatever_lies_between(tmp_path: Path) -> None:
    volume = two_layers()
    for name in ("x.npy", "x.ome.zarr"):
        chunkvol.write_volume(volume, tmp_path / name)
        again = chunkvol.open_volume(tmp_path / name)
        assert again.metadata.pyramid == "mode"
        chunkvol.write_volume(again, tmp_path / f"{name}.ome.zarr")
        assert chunkvol.open_volume(tmp_path / f"{name}.ome.zarr").metadata.pyramid == "mode"
    for method in ("mean", "min", "max"):
        with pytest.raises(InputError, match=f"is a segmentation: {method} would make labels that mean nothing"):
            chunkvol.write_volume(volume, tmp_path / "y.ome.zarr", method=method)
    chunkvol.write_volume(volume, tmp_path / "y.ome.zarr", method="stride")


def test_more_layers_than_a_label_can_hold_are_read_one_segment_at_a_time(tmp_path: Path) -> None:
    layers = np.random.default_rng(5).integers(0, 2, (*SHAPE, 70), dtype="uint8")
    keys: dict[str, str] = {}
    for n in range(70):
        keys |= segment_keys(n, ID=f"S{n}", Name=f"bone {n}")
    path = by_slicer(tmp_path / "x.seg.nrrd", layers, **keys)
    with pytest.raises(InputError, match="70 segments in 70 layers, too many for one label a voxel; --segment NAME"):
        chunkvol.open_volume(path)
    mask = chunkvol.open_volume(path, segment="bone 69")
    assert mask.dtype == np.uint8
    assert np.array_equal(mask.read(), layers[..., 69])
    part = (slice(1, 3), slice(2, 6), slice(3, 5))
    assert np.array_equal(mask.source.read(part), layers[..., 69][part])


def test_the_plan_tells_the_size_of_the_volume_and_what_is_left_over(tmp_path: Path) -> None:
    half = downsample(two_layers(), 2)
    result = chunkvol.plan_write(half, tmp_path / "x.seg.nrrd").result
    assert result.size == half.shape[::-1]
    assert result.leftover == half.source.leftover[::-1] == (1, 0, 1)


@pytest.mark.parametrize(("name", "noun"), [("x.nrrd", "NRRD"), ("x.nii", "NIfTI"), ("x.mha", "MetaImage")])
def test_names_that_are_lost_are_told(tmp_path: Path, name: str, noun: str) -> None:
    notes = chunkvol.plan_write(two_layers(), tmp_path / name).notes
    assert f"{noun} keeps the labels and not the names of the segments; .seg.nrrd has both" in notes


def test_names_and_tags_of_several_lines_stay_readable_by_others(tmp_path: Path) -> None:
    segments = (Segment("a", "first\r\nsecond", 1, 0, (0.5, 0.5, 0.5), "one\rtwo\nthree\\n"),)
    metadata = Metadata(extra={KEY: Segmentation(segments).to_json()})
    path = tmp_path / "x.seg.nrrd"
    chunkvol.write_volume(Volume(np.ones(SHAPE, "uint8"), oblique_grid(SHAPE), metadata), path)
    found = Segmentation.from_json(chunkvol.open_volume(path).metadata.extra[KEY]).segments[0]
    assert (found.name, found.tags) == ("first\nsecond", "one\ntwo\nthree\\n")
    assert SimpleITK.ReadImage(path).GetMetaData("Segment0_Name") == "first\nsecond"


def test_small_labels_of_a_wide_type_are_written_as_the_message_says(tmp_path: Path) -> None:
    wide = Volume(np.arange(210, dtype="int32").reshape(SHAPE), oblique_grid(SHAPE))
    with pytest.raises(InputError, match="--dtype uint8 --window 0,255 keeps those up to 255"):
        chunkvol.write_volume(wide, tmp_path / "x.seg.nrrd")
    chunkvol.write_volume(chunkvol.quantise(wide, "uint8", (0, 255)), tmp_path / "x.seg.nrrd")
    assert np.array_equal(chunkvol.open_volume(tmp_path / "x.seg.nrrd").read(), wide.read())


def test_labels_below_zero_in_layers_are_refused(tmp_path: Path) -> None:
    layers = labels().astype("int16")
    layers[1, 2, 3, 1] = -1
    keys = segment_keys(0, ID="a", LabelValue="3", Layer="0") | segment_keys(1, ID="b", LabelValue="2", Layer="1")
    path = by_slicer(tmp_path / "x.seg.nrrd", layers, type="short", **keys)
    with pytest.raises(FormatError, match="layer 1 holds label -1, which no segment has"):
        chunkvol.open_volume(path).read()
    assert np.array_equal(chunkvol.open_volume(path, segment="a").read(), layers[..., 0] == 3)


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels, which are integers, not float32; use \.nrrd instead"):
        chunkvol.write_volume(Volume(np.zeros(SHAPE, "float32"), oblique_grid(SHAPE)), tmp_path / "a.seg.nrrd")
    with pytest.raises(InputError, match="uint16 and names no segments; labels without names are of 8 bits"):
        chunkvol.write_volume(Volume(np.zeros(SHAPE, "uint16"), oblique_grid(SHAPE)), tmp_path / "a.seg.nrrd")
    chunkvol.write_volume(two_layers(), tmp_path / "a.seg.nrrd")
    with pytest.raises(InputError, match=r"no single segment is 'spleen'; there are Segment_1 \(femoral bone\)"):
        chunkvol.open_volume(tmp_path / "a.seg.nrrd", segment="spleen")
    with pytest.raises(
        InputError, match="a segmentation: mean would make labels that mean nothing; use mode or stride"
    ):
        downsample(two_layers(), 2, method="mean")
    keys = segment_keys(0, ID="a", Layer="5", LabelValue="1")
    with pytest.raises(FormatError, match="segment a has label 1 in layer 5, and there are 2 layers"):
        chunkvol.open_volume(by_slicer(tmp_path / "b.seg.nrrd", labels(), **keys))
    keys = segment_keys(0, ID="a", Layer="0", LabelValue="1") | segment_keys(1, ID="b", Layer="1", LabelValue="1")
    with pytest.raises(FormatError, match="layer 0 holds label 3, which no segment has"):
        chunkvol.open_volume(by_slicer(tmp_path / "c.seg.nrrd", labels(), **keys)).read()
    keys = segment_keys(0, ID="a", Color="red")
    with pytest.raises(FormatError, match="Segment0 has a layer, label or colour that is no number"):
        chunkvol.open_volume(by_slicer(tmp_path / "d.seg.nrrd", labels()[..., 0], **keys))
