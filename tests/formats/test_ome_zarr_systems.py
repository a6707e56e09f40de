"""Coordinate systems of OME-Zarr 0.6: which one places the voxels, and what is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol import Geometry
from chunkvol.errors import FormatError, GeometryError
from tests.support.grids import rotation
from tests.support.ngff_stores import axes, counted, dataset_06, image, made, onward, systems

VOXELS = counted((3, 4, 5))
SPACE = axes("zyx")
TURN = rotation(17, -23, 40)[::-1, ::-1]
"""A rotation of the axes z, y, x."""
RFC_4 = {"z": "inferior-to-superior", "y": "anterior-to-posterior", "x": "right-to-left"}
FLIPPED = {"z": "superior-to-inferior", "y": "posterior-to-anterior", "x": "right-to-left"}


def oriented(values: dict[str, str], names: str = "zyx") -> list[dict[str, Any]]:
    return [{**axis, "orientation": {"type": "anatomical", "value": values[axis["name"]]}} for axis in axes(names)]


def placed(path: Path, *transformations: Any, **named: Any) -> Path:
    """A store of `VOXELS` with spacing 3, 2, 1.5 and translation 30, 20, 15 in its intrinsic system."""
    known = {"intrinsic": SPACE, **named}
    levels = [dataset_06("0", [3, 2, 1.5], [30, 20, 15])]
    attributes = image("0.6", **systems(*transformations, **known), datasets=levels)
    return made(path, attributes, {"0": VOXELS}, zarr_format=3)


def points(geometry: Geometry) -> Any:
    """World points x, y, z of the corners."""
    return geometry.index_to_world([[0, 0, 0], [2, 0, 0], [0, 3, 0], [0, 0, 4]])


INTRINSIC = np.array([[30, 20, 15], [36, 20, 15], [30, 26, 15], [30, 20, 21]], float)
"""The same corners in the intrinsic system, z, y, x."""


def text(volume: Any) -> str:
    return "; ".join(volume.metadata.problems)


# ------------------------------------------------------------------------------------------------- transformations


def test_an_intrinsic_system_alone_places_as_0_5_does(tmp_path: Path) -> None:
    volume = chunkvol.open_volume(placed(tmp_path / "f.zarr"))
    assert volume.geometry == Geometry((3, 4, 5), (15, 20, 30), (3, 2, 1.5))
    assert "taken as L, P, S" in text(volume)
    np.testing.assert_array_equal(volume.read(), VOXELS)


SHEAR = np.array([[1.0, 0, 0], [0.25, 1, 0], [0, 0, 1]])
AFFINE = np.hstack([TURN @ SHEAR, [[5.0], [-6.0], [7.0]]])
LINEAR = [
    ({"type": "identity"}, np.eye(3, 4)),
    ({"type": "scale", "scale": [2, 3, 4]}, np.hstack([np.diag([2.0, 3, 4]), np.zeros((3, 1))])),
    ({"type": "translation", "translation": [2, 3, 4]}, np.hstack([np.eye(3), [[2.0], [3], [4]]])),
    ({"type": "affine", "affine": AFFINE.tolist()}, AFFINE),
    ({"type": "rotation", "rotation": TURN.tolist()}, np.hstack([TURN, np.zeros((3, 1))])),
    ({"type": "mapAxis", "mapAxis": [2, 0, 1]}, np.eye(3, 4)[[2, 0, 1]]),
    (
        {
            "type": "sequence",
            "transformations": [
                {"type": "translation", "translation": [1, 2, 3]},
                {"type": "rotation", "rotation": TURN.tolist()},
                {"type": "scale", "scale": [2, 3, 4]},
            ],
        },
        np.diag([2.0, 3, 4]) @ np.hstack([TURN, (TURN @ [1, 2, 3])[:, None]]),
    ),
    (
        {
            "type": "bijection",
            "forward": {"type": "scale", "scale": [2, 2, 2]},
            "inverse": {"type": "scale", "scale": [0.5, 0.5, 0.5]},
        },
        np.diag([2.0, 2, 2]) @ np.eye(3, 4),
    ),
    (
        {
            "type": "byDimension",
            "transformations": [
                {"transformation": {"type": "scale", "scale": [7]}, "inputAxes": [2], "outputAxes": [0]},
                {
                    "transformation": {"type": "translation", "translation": [1, 2]},
                    "inputAxes": [1, 0],
                    "outputAxes": [1, 2],
                },
            ],
        },
        np.array([[0, 0, 7, 0], [0, 1, 0, 1], [1, 0, 0, 2]], float),
    ),
]


@pytest.mark.parametrize(("found", "matrix"), LINEAR, ids=[found["type"] for found, _ in LINEAR])
def test_every_affine_transformation_places_the_voxels(tmp_path: Path, found: Any, matrix: Any) -> None:
    way = {**found, "input": {"name": "intrinsic"}, "output": {"name": "world"}}
    volume = chunkvol.open_volume(placed(tmp_path / "f.zarr", way, world=oriented(RFC_4)))
    wanted = INTRINSIC @ matrix[:, :3].T + matrix[:, 3]
    np.testing.assert_allclose(points(volume.geometry), wanted[:, ::-1], atol=1e-9)
    assert volume.metadata.problems == ()


def test_levels_share_the_way_to_the_world(tmp_path: Path) -> None:
    levels = [dataset_06("0", [3, 2, 1.5], [30, 20, 15]), dataset_06("1", [3, 4, 3], [30, 21, 15.75])]
    way = onward("affine", affine=AFFINE.tolist())
    known = systems(way, intrinsic=SPACE, world=oriented(RFC_4))
    arrays = {"0": counted((3, 4, 6)), "1": counted((3, 2, 3))}
    path = made(tmp_path / "f.zarr", image("0.6", **known, datasets=levels), arrays, zarr_format=3)
    finest, coarse = chunkvol.open_volume(path).levels
    assert coarse.geometry.is_close(finest.geometry.coarsened((1, 2, 2)), 1e-9)
    assert coarse.metadata.problems == ()


def test_ways_lead_on_from_system_to_system(tmp_path: Path) -> None:
    ways = [
        onward("translation", target="LPS", source="bed", translation=[1, 2, 3]),
        onward("scale", target="bed", scale=[2, 2, 2]),
    ]
    volume = chunkvol.open_volume(placed(tmp_path / "f.zarr", *ways, bed=SPACE, LPS=SPACE))
    np.testing.assert_allclose(points(volume.geometry), (2 * INTRINSIC + [1, 2, 3])[:, ::-1])
    assert "not in 'bed'" in text(volume)


def test_ends_may_be_texts_as_in_drafts(tmp_path: Path) -> None:
    way = {"type": "scale", "scale": [2, 2, 2], "input": "intrinsic", "output": "world"}
    volume = chunkvol.open_volume(placed(tmp_path / "f.zarr", way, world=oriented(RFC_4)))
    np.testing.assert_allclose(points(volume.geometry), 2 * INTRINSIC[:, ::-1])


def test_times_and_channels_are_dropped_on_the_way(tmp_path: Path) -> None:
    matrix = np.zeros((4, 5))
    matrix[0, 0], matrix[1:, 1:] = 1, AFFINE
    known = systems(
        onward("affine", affine=matrix.tolist()),
        intrinsic=axes("czyx"),
        world=[{"name": "c", "type": "channel"}, *oriented(RFC_4)],
    )
    levels = [dataset_06("0", [1, 3, 2, 1.5], [0, 30, 20, 15])]
    voxels = counted((2, 3, 4, 5))
    path = made(tmp_path / "f.zarr", image("0.6", **known, datasets=levels), {"0": voxels}, zarr_format=3)
    volume = chunkvol.open_volume(path, channel=1)
    np.testing.assert_allclose(points(volume.geometry), (INTRINSIC @ AFFINE[:, :3].T + AFFINE[:, 3])[:, ::-1])
    np.testing.assert_array_equal(volume.read(), voxels[1])
    matrix[2, 0] = 1.0
    known["coordinateTransformations"] = [onward("affine", affine=matrix.tolist())]
    path = made(tmp_path / "g.zarr", image("0.6", **known, datasets=levels), {"0": voxels}, zarr_format=3)
    with pytest.raises(FormatError, match="moved in space by an axis that is none of space"):
        chunkvol.open_volume(path, channel=1)


# --------------------------------------------------------------------------------------------------------- systems


def test_anatomical_axes_are_turned_to_lps(tmp_path: Path) -> None:
    way = onward("affine", affine=AFFINE.tolist())
    volume = chunkvol.open_volume(placed(tmp_path / "f.zarr", way, world=oriented(FLIPPED)))
    wanted = (INTRINSIC @ AFFINE[:, :3].T + AFFINE[:, 3])[:, ::-1] * [1, -1, -1]
    np.testing.assert_allclose(points(volume.geometry), wanted, atol=1e-9)
    assert not volume.metadata.assumed


@pytest.mark.parametrize(("name", "signs"), [("LPS", [1, 1, 1]), ("ras", [-1, -1, 1])])
def test_systems_named_after_their_axes_are_known(tmp_path: Path, name: str, signs: list[int]) -> None:
    way = onward("affine", target=name, affine=AFFINE.tolist())
    volume = chunkvol.open_volume(placed(tmp_path / "f.zarr", way, **{name: SPACE}))
    wanted = (INTRINSIC @ AFFINE[:, :3].T + AFFINE[:, 3])[:, ::-1] * signs
    np.testing.assert_allclose(points(volume.geometry), wanted, atol=1e-9)
    assert not volume.metadata.assumed


def test_the_best_known_system_is_taken_and_the_others_are_told(tmp_path: Path) -> None:
    ways = [
        onward("scale", target="stage", scale=[9, 9, 9]),
        onward("scale", target="LPS", scale=[8, 8, 8]),
        onward("scale", target="patient", scale=[7, 7, 7]),
    ]
    volume = chunkvol.open_volume(placed(tmp_path / "f.zarr", *ways, stage=SPACE, LPS=SPACE, patient=oriented(RFC_4)))
    assert volume.geometry.spacing == (21, 14, 10.5)
    assert "in the coordinate system 'patient' of the store, not in 'stage', 'LPS'" in text(volume)
    volume = chunkvol.open_volume(placed(tmp_path / "g.zarr", *ways[:2], stage=SPACE, LPS=SPACE))
    assert volume.geometry.spacing == (24, 16, 12)
    volume = chunkvol.open_volume(placed(tmp_path / "h.zarr", ways[0], stage=SPACE))
    assert volume.geometry.spacing == (27, 18, 13.5)
    assert "taken as L, P, S" in text(volume)


def test_units_are_those_of_the_system_that_is_taken(tmp_path: Path) -> None:
    way = onward("scale", target="LPS", scale=[1000, 1000, 1000])
    volume = chunkvol.open_volume(placed(tmp_path / "f.zarr", way, LPS=axes("zyx", "micrometer")))
    np.testing.assert_allclose(volume.geometry.spacing, (3, 2, 1.5))


def test_systems_of_array_indices_say_nothing_of_space(tmp_path: Path) -> None:
    indices = [{"name": name, "type": "array"} for name in "kji"]
    assert chunkvol.open_volume(placed(tmp_path / "f.zarr", array=indices)).geometry.spacing == (3, 2, 1.5)


# -------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("kind", ["displacements", "coordinates", "projectAxis", "thinPlate"])
def test_transformations_that_are_not_affine_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    way = onward(kind, target="LPS", path="field")
    with pytest.raises(FormatError, match=f"transformation of type '{kind}'; chunkvol reads identity, scale"):
        chunkvol.open_volume(placed(tmp_path / "f.zarr", way, LPS=SPACE))
    within = onward("sequence", target="LPS", transformations=[{"type": kind, "path": "field"}])
    with pytest.raises(FormatError, match=f"transformation of type '{kind}'"):
        chunkvol.open_volume(placed(tmp_path / "g.zarr", within, LPS=SPACE))


def test_numbers_in_arrays_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=r"the affine of .* has its numbers in an array"):
        chunkvol.open_volume(placed(tmp_path / "f.zarr", onward("affine", path="matrix"), world=SPACE))


def test_a_way_that_is_not_needed_may_be_unknown(tmp_path: Path) -> None:
    ways = [onward("displacements", target="atlas", path="field"), onward("scale", target="LPS", scale=[2, 2, 2])]
    volume = chunkvol.open_volume(placed(tmp_path / "f.zarr", *ways, atlas=SPACE, LPS=SPACE))
    assert volume.geometry.spacing == (6, 4, 3)
    assert "not in 'atlas'" in text(volume)


@pytest.mark.parametrize(
    ("way", "said"),
    [
        (onward("rotation", rotation=[[2, 0, 0], [0, 1, 0], [0, 0, 1]]), "is no rotation"),
        (onward("rotation", rotation=[[1, 0], [0, 1]]), "numbers for 3 axes"),
        (onward("affine", affine=[[1, 0, 0], [0, 1, 0], [0, 0, 1]]), "has 3 numbers for 4 axes"),
        (onward("affine", affine=[[1, 0, 0, 0], [0, 1, 0, 0]]), "gives 2 coordinates to a system of 3 axes"),
        (onward("affine", affine=[]), "is no matrix"),
        (onward("affine", affine=[[1, 0, 0, float("nan")]] * 3), "no list of finite numbers"),
        (onward("mapAxis", mapAxis=[0, 0, 1]), "is no order of 3 axes"),
        (onward("scale", scale=[1, 1, 0]), "must be above 0"),
        (onward("sequence", transformations="abc"), "no list of transformations"),
        (onward("byDimension", transformations=[{"transformation": {}, "inputAxes": "z"}]), "has inputAxes"),
        (
            onward("byDimension", transformations=[{"transformation": {}, "inputAxes": [0], "outputAxes": [1]}]),
            "does not give each output axis once",
        ),
        ({"input": {"name": "intrinsic"}, "output": {"name": "world"}}, "a transformation without a type"),
    ],
)
def test_transformations_that_are_not_valid_are_told(tmp_path: Path, way: Any, said: str) -> None:
    with pytest.raises(FormatError, match=said) as caught:
        chunkvol.open_volume(placed(tmp_path / "f.zarr", way, world=SPACE))
    assert "f.zarr" in str(caught.value)


def test_a_singular_affine_is_a_geometry_error_with_the_store(tmp_path: Path) -> None:
    way = onward("affine", affine=[[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 1, 0]])
    with pytest.raises(GeometryError, match=r"f\.zarr"):
        chunkvol.open_volume(placed(tmp_path / "f.zarr", way, world=SPACE))


def test_systems_that_are_missing_are_told(tmp_path: Path) -> None:
    levels = [dataset_06("0", [3, 2, 1.5])]
    arrays = {"0": VOXELS}
    path = made(tmp_path / "a.zarr", image("0.6", datasets=levels), arrays, zarr_format=3)
    with pytest.raises(FormatError, match="no coordinateSystems"):
        chunkvol.open_volume(path)
    path = made(tmp_path / "b.zarr", image("0.6", **systems(other=SPACE), datasets=levels), arrays, zarr_format=3)
    with pytest.raises(FormatError, match="lead to 'intrinsic', not to one of the coordinate systems 'other'"):
        chunkvol.open_volume(path)


def test_axes_without_systems_place_as_0_5_does(tmp_path: Path) -> None:
    places = []
    for version in ("0.5", "0.6"):
        levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [3, 2, 1.5]}]}]
        attributes = image(version, axes=SPACE, datasets=levels)
        volume = chunkvol.open_volume(made(tmp_path / f"{version}.zarr", attributes, {"0": VOXELS}, zarr_format=3))
        np.testing.assert_array_equal(volume.read(), VOXELS)
        places.append((volume.geometry, volume.metadata.assumed, volume.metadata.problems))
    assert places[0] == places[1]


def test_datasets_are_scaled_and_moved_alone(tmp_path: Path) -> None:
    level = dataset_06("0", [3, 2, 1.5])
    level["coordinateTransformations"][0].update(type="rotation", rotation=TURN.tolist())
    path = made(tmp_path / "a.zarr", image("0.6", **systems(intrinsic=SPACE), datasets=[level]), {"0": VOXELS})
    with pytest.raises(FormatError, match="the transformations rotation of a dataset"):
        chunkvol.open_volume(path)
