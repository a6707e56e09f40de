"""Stores of other programs: axes, units, times and channels, versions 0.1 to 0.5, collections, plain arrays, places."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Geometry
from chunkvol.errors import DamagedError, FormatError, GeometryError, InputError
from chunkvol.formats.ome_zarr.lengths import millimetres
from tests.support.grids import GRIDS, noise_volume, oblique_grid
from tests.support.ngff_stores import axes, counted, dataset, image, made

VOXELS = counted((3, 4, 5))
ZARR = {"0.4": 2, "0.5": 3}
LPS = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
NO_DIRECTION = "axes x, y, z are taken as L, P, S"


def plain(path: Path, version: str = "0.4", **changes: Any) -> Path:
    """A store with one level of `VOXELS`."""
    multiscale = {"axes": axes("zyx"), "datasets": [dataset("0", [3, 2, 1.5], [30, 20, 15])], **changes}
    return made(path, image(version, **multiscale), {"0": VOXELS}, zarr_format=ZARR.get(version, 2))


def text(problems: tuple[str, ...]) -> str:
    return "; ".join(problems)


# -------------------------------------------------------------------------------------------------------- versions


@pytest.mark.parametrize("version", ZARR)
def test_scale_and_translation_are_spacing_and_origin(tmp_path: Path, version: str) -> None:
    volume = chunkvol.open_volume(plain(tmp_path / "f.zarr", version))
    assert volume.geometry == Geometry((3, 4, 5), (15, 20, 30), (3, 2, 1.5), LPS)
    np.testing.assert_array_equal(volume.read(), VOXELS)
    assert NO_DIRECTION in text(volume.metadata.problems)
    assert volume.metadata.assumed


@pytest.mark.parametrize("version", ZARR)
def test_transformations_of_all_levels_come_after_those_of_each(tmp_path: Path, version: str) -> None:
    over = dataset("", [10, 100, 1000], [7, 8, 9])["coordinateTransformations"]
    volume = chunkvol.open_volume(plain(tmp_path / "f.zarr", version, coordinateTransformations=over))
    assert volume.geometry.spacing == (30, 200, 1500)
    assert volume.geometry.origin == (15009, 2008, 307)


def test_0_3_names_its_axes_and_states_no_spacing(tmp_path: Path) -> None:
    attributes = image("0.3", axes=["z", "y", "x"], datasets=[{"path": "0"}, {"path": "1"}])
    path = made(tmp_path / "f.zarr", attributes, {"0": counted((6, 9, 12)), "1": counted((6, 4, 6))})
    finest, coarse = chunkvol.open_volume(path).levels
    assert finest.geometry == Geometry((6, 9, 12), (0, 0, 0), (1, 1, 1), LPS)
    assert coarse.geometry.spacing == (1, 2, 2)
    assert "nothing states the spacing: 1 mm is assumed" in text(finest.metadata.problems)
    assert "level 1 is taken as 2 x 2 x 1 voxels" in text(coarse.metadata.problems)
    assert finest.metadata.assumed and coarse.metadata.assumed


@pytest.mark.parametrize("version", ["0.1", "0.2"])
def test_0_1_and_0_2_have_five_axes_in_known_order(tmp_path: Path, version: str) -> None:
    path = made(tmp_path / "f.zarr", image(version, datasets=[{"path": "0"}]), {"0": counted((1, 1, 3, 4, 5))})
    volume = chunkvol.open_volume(path, spacing=(0.5, 0.25, 0.125))
    assert volume.geometry == Geometry((3, 4, 5), (0, 0, 0), (0.5, 0.25, 0.125), LPS)
    np.testing.assert_array_equal(volume.read(), VOXELS)


def test_a_version_that_is_not_stated_is_told_by_the_axes(tmp_path: Path) -> None:
    path = plain(tmp_path / "f.zarr")
    content = json.loads((path / ".zattrs").read_text())
    del content["multiscales"][0]["version"]
    (path / ".zattrs").write_text(json.dumps(content))
    assert chunkvol.open_volume(path).geometry.spacing == (3, 2, 1.5)


@pytest.mark.parametrize("version", ["0.7", "0.10", "0.9.dev1", "1.0", 4])
def test_other_versions_are_refused_by_name(tmp_path: Path, version: Any) -> None:
    path = plain(tmp_path / "f.zarr")
    (path / ".zattrs").write_text(json.dumps({"multiscales": [{"version": version, "datasets": [{"path": "0"}]}]}))
    with pytest.raises(FormatError, match=f"is OME-Zarr '?{version}'?; chunkvol reads versions 0.1 to 0.6"):
        chunkvol.open_volume(path)


# ------------------------------------------------------------------------------------------------------------ axes


@pytest.mark.parametrize("names", ["xyz", "yxz", "zxy"])
def test_axes_of_space_in_another_order_keep_it_and_run_where_their_names_say(tmp_path: Path, names: str) -> None:
    scale = {"x": 0.5, "y": 2.0, "z": 3.0}
    shift = {"x": -7.0, "y": 11.0, "z": 13.0}
    levels = [dataset("0", [scale[n] for n in names], [shift[n] for n in names])]
    volume = chunkvol.open_volume(plain(tmp_path / "f.zarr", axes=axes(names), datasets=levels))
    assert volume.shape == VOXELS.shape
    np.testing.assert_array_equal(volume.read(), VOXELS)
    steps = [[scale[n] * (n == world) for world in "xyz"] for n in names]
    np.testing.assert_array_equal(volume.geometry.index_to_world([2, 3, 4]), [-7, 11, 13] + [2, 3, 4] @ np.array(steps))


@pytest.mark.parametrize("names", ["tczyx", "zcyx", "czyxt"])
def test_axes_of_length_1_are_dropped_wherever_they_stand(tmp_path: Path, names: str) -> None:
    sizes = {"z": 3, "y": 4, "x": 5}
    voxels = VOXELS.reshape([sizes.get(n, 1) for n in names])
    scale = {"z": 3.0, "y": 2.0, "x": 1.5}
    attributes = image("0.4", axes=axes(names), datasets=[dataset("0", [scale.get(n, 9) for n in names])])
    volume = chunkvol.open_volume(made(tmp_path / "f.zarr", attributes, {"0": voxels}))
    assert volume.geometry.spacing == (3, 2, 1.5)
    np.testing.assert_array_equal(volume.read(), VOXELS)


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    attributes = image("0.5", axes=axes("tczyx"), datasets=[dataset("0", [1] * 5), dataset("1", [1, 1, 1, 2, 2])])
    arrays = {"0": counted((4, 3, 3, 4, 5)), "1": counted((4, 3, 3, 2, 2))}
    return made(tmp_path / "f.zarr", attributes, arrays, zarr_format=3)


def test_one_time_and_channel_are_chosen(movie: Path) -> None:
    volume = chunkvol.open_volume(movie, time=2, channel=1)
    np.testing.assert_array_equal(volume.read(), counted((4, 3, 3, 4, 5))[2, 1])
    np.testing.assert_array_equal(volume.coarser[0].read(), counted((4, 3, 3, 2, 2))[2, 1])
    region = (slice(1, 3), slice(0, 3), slice(2, 5))
    np.testing.assert_array_equal(volume.read(region), counted((4, 3, 3, 4, 5))[(2, 1, *region)])
    other = chunkvol.open_volume(movie, time=2, channel=0)
    assert other.metadata.source != volume.metadata.source
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(volume.source)).read(region), volume.read(region))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, r"with 4 times: choose one with --time 0 to 3"),
        ({"time": 3}, r"with 3 channels: choose one with --channel 0 to 2"),
        ({"time": 4, "channel": 0}, r"with 4 times, numbered from 0: there is no --time 4"),
        ({"time": 0, "channel": -1}, r"there is no --channel -1"),
    ],
)
def test_a_choice_that_is_missing_or_impossible_is_named(movie: Path, options: Any, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        chunkvol.open_volume(movie, **options)


def test_a_choice_along_an_axis_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="none of channel: leave --channel out"):
        chunkvol.open_volume(plain(tmp_path / "f.zarr"), channel=0)
    chunkvol.write_volume(noise_volume(oblique_grid((3, 4, 5))), tmp_path / "own.ome.zarr")
    with pytest.raises(FormatError, match="none of time: leave --time out"):
        chunkvol.open_volume(tmp_path / "own.ome.zarr", time=0)


def test_an_axis_of_another_kind_is_refused_where_it_is_long(tmp_path: Path) -> None:
    named = [{"name": "angle", "type": "custom"}, *axes("zyx")]
    attributes = image("0.4", axes=named, datasets=[dataset("0", [1] * 4)])
    with pytest.raises(FormatError, match="with 2 along angle: chunkvol reads three axes of space"):
        chunkvol.open_volume(made(tmp_path / "f.zarr", attributes, {"0": counted((2, 3, 4, 5))}))


def test_a_plane_is_one_plane_deep(tmp_path: Path) -> None:
    attributes = image("0.4", axes=axes("yx"), datasets=[dataset("0", [2, 1.5], [20, 15])])
    volume = chunkvol.open_volume(made(tmp_path / "f.zarr", attributes, {"0": VOXELS[0]}))
    assert volume.geometry == Geometry((1, 4, 5), (15, 20, 0), (1, 2, 1.5), LPS)
    np.testing.assert_array_equal(volume.read(), VOXELS[:1])
    assert "its one plane is taken as 1 mm thick" in text(volume.metadata.problems)


def test_axes_with_names_of_their_own_are_taken_in_order(tmp_path: Path) -> None:
    named = [{"name": name, "type": "space", "unit": "millimeter"} for name in ("depth", "height", "width")]
    volume = chunkvol.open_volume(plain(tmp_path / "f.zarr", axes=named))
    assert volume.geometry == Geometry((3, 4, 5), (15, 20, 30), (3, 2, 1.5), LPS)
    assert "are not named x, y, z" in text(volume.metadata.problems)


def test_rfc_4_orientations_are_directions(tmp_path: Path) -> None:
    values = ("inferior-to-superior", "posterior-to-anterior", "left-to-right")
    named = [{**a, "orientation": {"type": "anatomical", "value": v}} for a, v in zip(axes("zyx"), values, strict=True)]
    volume = chunkvol.open_volume(plain(tmp_path / "f.zarr", "0.5", axes=named))
    np.testing.assert_array_equal(volume.geometry.direction, [[0, 0, -1], [0, -1, 0], [1, 0, 0]])
    assert volume.metadata.problems == ()
    assert not volume.metadata.assumed


def test_orientations_that_contradict_each_other_say_nothing(tmp_path: Path) -> None:
    value = {"type": "anatomical", "value": "inferior-to-superior"}
    named = [{**axis, "orientation": value} for axis in axes("zyx")]
    assert NO_DIRECTION in text(chunkvol.open_volume(plain(tmp_path / "f.zarr", axes=named)).metadata.problems)


@pytest.mark.parametrize(
    ("unit", "mm"),
    [
        ("micrometer", 1e-3), ("Micrometre", 1e-3), ("microns", 1e-3), ("um", 1e-3), ("µm", 1e-3), ("nm", 1e-6),
        ("angstrom", 1e-7), ("meter", 1e3), ("m", 1e3), ("mm", 1.0), ("Mm", 1e9), ("centimeter", 10.0),
        ("kilometer", 1e6), ("inch", 25.4), ("inches", 25.4), ("feet", 304.8), ("mile", 1609344.0),
        ("yoctometer", 1e-21), ("hectometer", 1e5), ("parsec", 3.0856775814913673e19), ("pixel", None), ("", None),
        ("second", None), ("millimeterish", None),
    ],
)  # fmt: skip  # a table
def test_units_are_those_of_udunits(unit: str, mm: float | None) -> None:
    assert millimetres(unit) == mm


@pytest.mark.parametrize("unit", ["pixel", ""])
def test_a_unit_that_is_none_of_length_is_taken_as_millimetres_and_told(tmp_path: Path, unit: str) -> None:
    path = plain(tmp_path / "f.zarr", axes=axes("zyx", unit))
    volume = chunkvol.open_volume(path)
    assert volume.geometry.spacing == (3, 2, 1.5)
    assert "millimetres are assumed" in text(volume.metadata.problems)
    stated = chunkvol.open_volume(path, spacing=(3, 2, 1), orientation="LPS")
    assert "millimetres are assumed" not in text(stated.metadata.problems)
    assert not stated.metadata.assumed


# ---------------------------------------------------------------------------------------------------------- levels


def test_levels_without_translation_lie_where_they_are_said_to_and_are_not_trusted(tmp_path: Path) -> None:
    levels = [dataset("0", [1, 0.5, 0.5]), dataset("1", [1, 2, 2]), dataset("2", [2, 4, 4], [0.5, 1.75, 1.75])]
    attributes = image("0.4", axes=axes("zyx"), datasets=levels, type="gaussian")
    arrays = {"0": counted((4, 16, 24)), "1": counted((4, 4, 6)), "2": counted((2, 2, 3))}
    finest, second, third = chunkvol.open_volume(made(tmp_path / "f.zarr", attributes, arrays)).levels
    assert "translation" not in text(finest.metadata.problems + third.metadata.problems)
    assert "no translation: level 1 may lie up to 1.5 voxels of level 0 off" in text(second.metadata.problems)
    assert second.geometry.origin == (0, 0, 0)
    assert second.metadata.assumed
    assert third.geometry.origin == (1.75, 1.75, 0.5)
    assert finest.metadata.pyramid == ""


def test_a_store_of_another_program_can_be_written_anew(tmp_path: Path) -> None:
    path = plain(tmp_path / "f.zarr", type="gaussian")
    chunkvol.write_volume(chunkvol.open_volume(path), tmp_path / "own.ome.zarr")
    np.testing.assert_array_equal(chunkvol.open_volume(tmp_path / "own.ome.zarr").read(), VOXELS)


def test_ingest_decides_about_its_input_alone(movie: Path, tmp_path: Path) -> None:
    spacing = (0.5, 0.25, 0.125)
    stored = chunkvol.ingest(movie, tmp_path / "own.ome.zarr", time=3, channel=2, spacing=spacing)
    np.testing.assert_array_equal(stored.read(), counted((4, 3, 3, 4, 5))[3, 2])
    assert stored.geometry.spacing == spacing


# ------------------------------------------------------------------------------------------- collections and labels


@pytest.mark.parametrize("version", ZARR)
@pytest.mark.parametrize("listed", [True, False])
def test_the_only_series_of_bioformats2raw_is_the_image(tmp_path: Path, version: str, listed: bool) -> None:
    path = tmp_path / "b.zarr"
    layout = {"bioformats2raw.layout": 3}
    made(path, {"ome": {"version": version, **layout}} if version == "0.5" else layout, {}, zarr_format=ZARR[version])
    plain(path / "0", version)
    if listed:
        series = {"series": ["0"]}
        made(path / "OME", {"ome": series} if version == "0.5" else series, {}, zarr_format=ZARR[version])
    np.testing.assert_array_equal(chunkvol.open_volume(path).read(), VOXELS)


def test_several_series_are_listed(tmp_path: Path) -> None:
    path = made(tmp_path / "b.zarr", {"bioformats2raw.layout": 3}, {})
    for number in range(12):
        plain(path / str(number))
    with pytest.raises(InputError, match=r"holds 12 images: 0, 1, .*9 and 2 more; name one .* such as .*b\.zarr/0"):
        chunkvol.open_volume(path)


def test_labels_open_by_their_path_and_keep_their_method(tmp_path: Path) -> None:
    path = plain(tmp_path / "f.zarr")
    labels = made(path / "labels", {"labels": ["bones"]}, {})
    plain(labels / "bones")
    content = json.loads((labels / "bones" / ".zattrs").read_text())
    (labels / "bones" / ".zattrs").write_text(json.dumps({**content, "image-label": {"version": "0.4"}}))
    for given in (labels, labels / "bones"):
        volume = chunkvol.open_volume(given)
        np.testing.assert_array_equal(volume.read(), VOXELS)
        assert volume.metadata.pyramid == "mode"
    assert chunkvol.open_volume(path).metadata.pyramid == ""


@pytest.mark.parametrize("kind", ["plate", "well"])
def test_screens_are_refused_with_a_remedy(tmp_path: Path, kind: str) -> None:
    with pytest.raises(FormatError, match=f"is a {kind} of a screen .* such as A/1/0"):
        chunkvol.open_volume(made(tmp_path / "p.zarr", {kind: {}}, {}))


@pytest.mark.parametrize("name", ["a.ozx", "a.zarr.zip"])
def test_zipped_stores_are_refused_with_a_remedy(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    with pytest.raises(FormatError, match=r"zipped store.*unpack it"):
        chunkvol.open_volume(tmp_path / name)


# ---------------------------------------------------------------------------------------------------- plain arrays


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 3, 4, 5), (3, 1, 4, 5), (1, 1, 1, 3, 4, 5)])
def test_a_plain_array_is_read_and_its_place_is_assumed(tmp_path: Path, zarr_format: int, shape: Any) -> None:
    group = made(tmp_path / "g.zarr", {}, {"a": VOXELS.reshape(shape)}, zarr_format=zarr_format)
    for path in (group / "a", group):
        volume = chunkvol.open_volume(path)
        np.testing.assert_array_equal(volume.read(), VOXELS)
        assert volume.geometry == Geometry((3, 4, 5), (0, 0, 0), (1, 1, 1), LPS)
        assert volume.metadata.assumed
        assert "nothing states the spacing" in text(volume.metadata.problems)


def test_a_plain_plane_is_one_plane_deep(tmp_path: Path) -> None:
    volume = chunkvol.open_volume(made(tmp_path / "g.zarr", {}, {"a": VOXELS[0]}))
    np.testing.assert_array_equal(volume.read(), VOXELS[:1])


def test_flags_place_a_plain_array(tmp_path: Path) -> None:
    path = made(tmp_path / "g.zarr", {}, {"a": VOXELS})
    volume = chunkvol.open_volume(path, spacing=(3, 2, 1.5), origin=(1, 2, 3), orientation="RAS")
    assert volume.geometry == Geometry((3, 4, 5), (1, 2, 3), (3, 2, 1.5), ((0, 0, -1), (0, -1, 0), (1, 0, 0)))
    assert volume.metadata.problems == ()
    assert not volume.metadata.assumed
    grid = oblique_grid((3, 4, 5))
    assert chunkvol.open_volume(path, geometry=grid).geometry == grid
    assert not chunkvol.open_volume(path, geometry=grid).metadata.assumed
    with pytest.raises(GeometryError, match="has 5 x 4 x 3 voxels"):
        chunkvol.open_volume(path, geometry=oblique_grid((3, 4, 6)))


def test_names_of_axes_let_channels_be_chosen_in_a_plain_array(tmp_path: Path) -> None:
    path = made(tmp_path / "g.zarr", {}, {"a": counted((2, 3, 4, 5))})
    with pytest.raises(FormatError, match="is an array of 4 axes"):
        chunkvol.open_volume(path)
    (path / "a" / ".zattrs").write_text(json.dumps({"_ARRAY_DIMENSIONS": ["c", "z", "y", "x"]}))
    np.testing.assert_array_equal(chunkvol.open_volume(path, channel=1).read(), counted((2, 3, 4, 5))[1])


def test_several_arrays_are_listed(tmp_path: Path) -> None:
    path = made(tmp_path / "g.zarr", {}, {"raw": VOXELS, "mask": VOXELS, "times": counted((9,))})
    with pytest.raises(InputError, match=r"holds 2 images: mask, raw; name one of them, such as .*g\.zarr/mask"):
        chunkvol.open_volume(path)


def test_a_level_of_an_image_has_its_place_there(tmp_path: Path) -> None:
    levels = [dataset("s/0", [3, 2, 1], [0, 0, 0]), dataset("s/1", [6, 4, 2], [1.5, 1, 0.5])]
    arrays = {"s/0": counted((3, 4, 6)), "s/1": counted((1, 2, 3))}
    path = made(tmp_path / "f.zarr", image("0.4", axes=axes("zyx"), datasets=levels), arrays)
    whole, part = chunkvol.open_volume(path), chunkvol.open_volume(path / "s" / "1")
    assert part.geometry == whole.coarser[0].geometry
    assert len(chunkvol.open_volume(path / "s" / "0").levels) == 2
    np.testing.assert_array_equal(part.read(), counted((1, 2, 3)))


def test_a_level_of_our_own_store_is_read_with_its_checksums(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((3, 20, 300)))
    chunkvol.write_volume(volume, tmp_path / "own.ome.zarr")
    levels = chunkvol.open_volume(tmp_path / "own.ome.zarr").levels
    part = chunkvol.open_volume(tmp_path / "own.ome.zarr" / "1")
    assert part.geometry == levels[1].geometry
    assert type(part.data).__name__ == "ShardedSource"


# ----------------------------------------------------------------------------------------------- places overruled


@pytest.mark.parametrize("grid", [GRIDS["oblique"], GRIDS["sheared"]], ids=["oblique", "sheared"])
def test_a_store_is_placed_anew_with_all_its_levels(tmp_path: Path, grid: Any) -> None:
    shape = (3, 20, 300)
    chunkvol.write_volume(noise_volume(Geometry(shape, (1, 2, 3), (3, 2, 1.5))), tmp_path / "a.ome.zarr")
    levels = chunkvol.open_volume(tmp_path / "a.ome.zarr", geometry=grid(shape)).levels
    wanted = grid(shape)
    assert levels[0].geometry == wanted
    factors = [round(a / b) for a, b in zip(levels[0].shape, levels[1].shape, strict=True)]
    assert levels[1].geometry.is_close(wanted.coarsened(factors), 1e-9)
    assert "--geometry is used" in text(levels[0].metadata.problems)


def test_what_a_store_says_is_told_where_it_is_overruled(tmp_path: Path) -> None:
    chunkvol.write_volume(noise_volume(Geometry((3, 4, 5), (1, 2, 3), (3, 2, 1.5))), tmp_path / "a.ome.zarr")
    volume = chunkvol.open_volume(tmp_path / "a.ome.zarr", spacing=(1, 1, 1), origin=(0, 0, 0), orientation="RAS")
    told = text(volume.metadata.problems)
    assert "the store says 1.5 x 2 x 3 mm (x, y, z): --spacing is used" in told
    assert "the first voxel lies at 1, 2, 3 mm: --origin is used" in told
    assert "--orientation is used" in told
    assert volume.geometry == Geometry((3, 4, 5), (0, 0, 0), (1, 1, 1), ((0, 0, -1), (0, -1, 0), (1, 0, 0)))
    same = chunkvol.open_volume(tmp_path / "a.ome.zarr", spacing=(3, 2, 1.5), origin=(1, 2, 3))
    assert same.metadata.problems == ()
    assert same.geometry == Geometry((3, 4, 5), (1, 2, 3), (3, 2, 1.5))


# ---------------------------------------------------------------------------------------------------------- voxels


def test_every_codec_of_numcodecs_is_read(tmp_path: Path) -> None:
    numcodecs = pytest.importorskip("numcodecs")
    import zarr

    voxels = counted((5, 6, 7))
    group = zarr.open_group(tmp_path / "g.zarr", mode="w", zarr_format=2)
    for codec in ("Zlib", "GZip", "BZ2", "LZMA", "LZ4", "Zstd", "Blosc"):
        for order in ("C", "F"):
            made_by = getattr(numcodecs, codec)()
            options: Any = {"compressors": made_by, "order": order, "filters": [numcodecs.Delta("u2")]}
            group.create_array(f"{codec}{order}", data=voxels, chunks=(2, 4, 3), **options)
            np.testing.assert_array_equal(chunkvol.open_volume(tmp_path / "g.zarr" / f"{codec}{order}").read(), voxels)


def v2(path: Path, **document: Any) -> Path:
    """A zarr 2 array as old programs wrote it: one chunk of `VOXELS`, uncompressed, and a second that is missing."""
    path.mkdir()
    known = {
        "zarr_format": 2, "shape": [6, 4, 5], "chunks": [3, 4, 5], "dtype": "<u2", "compressor": None, "fill_value": 7,
        "order": "C", "filters": None,
    }  # fmt: skip  # a table
    (path / ".zarray").write_text(json.dumps({**known, **document}))
    return path


@pytest.mark.parametrize(
    ("dtype", "stored", "read_as"),
    [
        (">u2", ">u2", "uint16"), ("<i4", "<i4", "int32"), (">f8", ">f8", "float64"), ("<u1", "|u1", "uint8"),
        ("|b1", "|b1", "uint8"), ("<f2", "<f2", "float32"),
    ],
)  # fmt: skip  # a table
@pytest.mark.parametrize("nested", [True, False])
def test_old_arrays_are_read_with_background_where_chunks_are_missing(
    tmp_path: Path, dtype: str, stored: str, read_as: str, nested: bool
) -> None:
    path = v2(tmp_path / "a.zarr", dtype=dtype, fill_value=1)
    file = path / ("0/0/0" if nested else "0.0.0")
    file.parent.mkdir(parents=True, exist_ok=True)
    voxels = VOXELS.astype(stored)
    file.write_bytes(voxels.tobytes())
    volume = chunkvol.open_volume(path)
    assert volume.dtype == np.dtype(read_as)
    np.testing.assert_array_equal(volume.read(), np.concatenate([voxels, np.ones_like(voxels)]).astype(read_as))


def test_arrays_of_one_shape_have_different_fingerprints(tmp_path: Path) -> None:
    for name, voxels in (("a", VOXELS), ("b", VOXELS + 1)):
        (v2(tmp_path / name) / "0.0.0").write_bytes(voxels.astype("<u2").tobytes())
    assert chunkvol.open_volume(tmp_path / "a").metadata.source != chunkvol.open_volume(tmp_path / "b").metadata.source


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dtype": "<c8", "fill_value": None}, "holds complex64; chunkvol reads uint8"),
        ({"dtype": "<M8[ns]", "fill_value": 0}, "holds datetime64"),
        ({"dtype": "zzz"}, "cannot be opened as a zarr array"),
        ({"compressor": {"id": "imagecodecs_jpegxl"}}, "imagecodecs_jpegxl"),
        ({"shape": [6, 4, -5]}, r"no zarr array with a shape: \[6, 4, -5\]"),
        ({"shape": [6, 0, 5]}, "holds no voxels"),
        ({"chunks": [3, 0, 5]}, "has chunks of"),
        ({"chunks": [3, 4]}, "cannot be opened as a zarr array"),
        ({"shape": [9]}, "is an array of 1 axes"),
        ({"shape": [2, 3, 4, 5], "chunks": [1, 1, 1, 1]}, "is an array of 4 axes"),
    ],
)
def test_arrays_that_are_no_volume_are_refused_by_name(tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(FormatError, match=f"a.zarr.*{said}"):
        chunkvol.open_volume(v2(tmp_path / "a.zarr", **change))


def test_a_damaged_chunk_is_told(tmp_path: Path) -> None:
    path = v2(tmp_path / "a.zarr")
    (path / "0.0.0").write_bytes(b"12345")
    with pytest.raises(DamagedError, match="cannot be read"):
        chunkvol.open_volume(path).read()


# -------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        ([3, 0, 1], "scale of dataset 0 of .* must be above 0"),
        ([3, -2, 1], "must be above 0"),
        ([3, float("nan"), 1], "is no list of finite numbers"),
        ([3, float("inf"), 1], "is no list of finite numbers"),
        ([3, True, 1], "is no list of finite numbers"),
        ([3, 10**400, 1], "is no list of finite numbers"),
        ([3, 2, 1, 1], "has 4 numbers for 3 axes"),
        ("abc", "is no list of finite numbers"),
    ],
)
def test_a_scale_that_means_nothing_is_one_line_with_the_store(tmp_path: Path, scale: Any, said: str) -> None:
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}]
    with pytest.raises(FormatError, match=said) as caught:
        chunkvol.open_volume(plain(tmp_path / "f.zarr", datasets=levels))
    assert "f.zarr" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"axes": axes("zyxt")}, r"shape \(3, 4, 5\) and names the axes z, y, x, t"),
        ({"axes": "zyx"}, "whose axes are objects"),
        ({"axes": [*axes("zy"), {"name": "c", "type": "space"}]}, "says that c is one of space"),
        ({"datasets": [dataset("../other", [1, 1, 1])]}, "array outside of itself"),
        ({"datasets": [{"path": "0"}]}, "no list of coordinateTransformations"),
        ({"datasets": [dataset("0", [1, 1, 1]), dataset("1", [1, 1, 1])]}, "is missing"),
    ],
)
def test_metadata_that_do_not_fit_are_told(tmp_path: Path, change: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        chunkvol.open_volume(plain(tmp_path / "f.zarr", **change))


def test_levels_of_other_axes_are_refused(tmp_path: Path) -> None:
    levels = [dataset("0", [1, 1, 1]), dataset("1", [2, 2, 2])]
    attributes = image("0.4", axes=axes("zyx"), datasets=levels)
    path = made(tmp_path / "f.zarr", attributes, {"0": VOXELS, "1": VOXELS[0]})
    with pytest.raises(FormatError, match="levels must have the same axes"):
        chunkvol.open_volume(path)


@pytest.mark.parametrize("content", ["[]", "{", "\xff", "[" * 100_000])
def test_metadata_that_are_no_json_object_are_damage(tmp_path: Path, content: str) -> None:
    path = plain(tmp_path / "f.zarr")
    (path / ".zattrs").write_bytes(content.encode("latin-1"))
    with pytest.raises(DamagedError, match=r"\.zattrs is not"):
        chunkvol.open_volume(path)


def test_a_group_with_nothing_in_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="zarr version 3 group without OME-Zarr multiscales"):
        chunkvol.open_volume(made(tmp_path / "g.zarr", {}, {}, zarr_format=3))
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(DamagedError, match=r"zarr\.json is missing"):
        chunkvol.open_volume(tmp_path / "empty.zarr")


def test_an_array_of_one_chunk_is_held_once_and_not_ten_times(tmp_path: Path) -> None:
    import zarr

    array = zarr.create_array(tmp_path / "x.zarr", shape=(6, 8, 10), dtype="u2", chunks=(6, 8, 10))
    array[...] = np.arange(480).reshape(6, 8, 10)
    assert chunkvol.open_volume(tmp_path / "x.zarr").source.scratch((1, 8, 10)) == 3 * 960 + 160
    small = zarr.create_array(tmp_path / "y.zarr", shape=(6, 8, 10), dtype="u2", chunks=(1, 2, 2))
    small[...] = 1
    assert chunkvol.open_volume(tmp_path / "y.zarr").source.scratch((6, 8, 10)) == 21 * 8 + 960
