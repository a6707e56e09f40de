"""Points that are placed on a small volume, or on a picture stack that lost its header, come back to the full scan.

Beads at known places between the voxels are written as a DICOM series, oblique, with three spacings of micrometres.
Each small version is looked at as its user does: by another program, which finds the middle of each bead.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from chunkvol import Geometry, open_volume
from tests.support.grids import oblique_grid
from tests.support.series import write_series

sitk = pytest.importorskip("SimpleITK")
imagecodecs = pytest.importorskip("imagecodecs")

Array = npt.NDArray[Any]
BACKGROUND, PEAK = 1000.0, 42000.0


@dataclass(frozen=True)
class Scan:
    """A series with beads."""

    folder: Path
    """Where its slices are."""
    voxels: Array
    """What they hold, axes (k, j, i)."""
    geometry: Geometry
    """Where they lie."""
    beads: Array
    """Index (k, j, i) of each bead's middle, shape (n, 3)."""
    reach: float
    """Voxels from the middle of a bead to where it ends."""


def beads_of(shape: tuple[int, int, int], margin: float, seed: int) -> Array:
    """Three places that are far from each other and from the faces."""
    rng = np.random.default_rng(seed)
    room = np.array(shape) - 1 - 2 * margin
    corners = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 1]])
    return margin + corners * room + rng.uniform(-0.5, 0.5, (3, 3))


def scan_of(folder: Path, sigma: float, *, hard: bool = False, seed: int = 0) -> Scan:
    """Gaussian beads without noise, or hard spheres with it."""
    reach = 4.3 * sigma
    shape = (int(4.6 * reach), int(4.7 * reach), int(4.9 * reach))
    geometry = oblique_grid(shape, spacing=(0.0171, 0.0123, 0.0109))
    beads = beads_of(shape, reach + 1, seed)
    k, j, i = np.ogrid[: shape[0], : shape[1], : shape[2]]
    total = np.full(shape, BACKGROUND)
    for place in beads:
        far = np.sqrt((k - place[0]) ** 2 + (j - place[1]) ** 2 + (i - place[2]) ** 2)
        bead = np.clip(2 * sigma + 0.5 - far, 0, 1) if hard else np.exp(-0.5 * (far / sigma) ** 2)
        total += (PEAK - BACKGROUND) * bead
    if hard:
        total += np.random.default_rng(seed + 1).normal(0, 400, shape)
    voxels = np.rint(total).astype(np.uint16)
    write_series(folder, voxels, geometry, order="shuffled")
    assert open_volume(folder).geometry.is_close(geometry)
    return Scan(folder, voxels, geometry, beads, reach)


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Scan]:
    return {sigma: scan_of(tmp_path_factory.mktemp("scan") / "series", sigma) for sigma in (2.6, 4.2, 8.1)}


def run(*words: object, folder: Path) -> str:
    command = [sys.executable, "-m", "chunkvol", *map(str, words)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def middles(small: Array, near: Array, reach: Array) -> Array:
    """The centre of mass of each bead, index (k, j, i) in the small array; `near` is where somebody would click."""
    found = []
    for middle, wide in zip(near, np.broadcast_to(reach, near.shape), strict=True):
        index = np.stack(np.meshgrid(*map(np.arange, small.shape), indexing="ij"), -1)
        inside = (np.abs(index - middle) <= wide).all(axis=-1)
        weight = (small[inside].astype(float) - BACKGROUND)[:, None]
        found.append((weight * index[inside]).sum(axis=0) / weight.sum())
    return np.array(found)


def markups(points: Array, path: Path) -> Path:
    """What Slicer saves."""
    placed = [{"id": str(n), "label": f"F-{n}", "position": list(map(float, p))} for n, p in enumerate(points, 1)]
    path.write_text(json.dumps({"markups": [{"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": placed}]}))
    return path


def positions(path: Path) -> Array:
    (one,) = json.loads(path.read_text())["markups"]
    assert one["coordinateSystem"] == "LPS"
    assert [point["label"] for point in one["controlPoints"]] == ["F-1", "F-2", "F-3"]
    return np.array([point["position"] for point in one["controlPoints"]])


def error_of(scan: Scan, path: Path) -> float:
    """Voxels of the scan by which mapped points miss the beads, at most."""
    return float(np.abs(scan.geometry.world_to_index(positions(path)) - scan.beads).max())


SMALL = {
    "mean 2": (2.6, ("--factor", "2")),
    "mean 4": (4.2, ("--factor", "4")),
    "mean 8": (8.1, ("--factor", "8")),
    "every second": (2.6, ("--factor", "2", "--method", "stride")),
    "every fourth": (4.2, ("--factor", "4", "--method", "stride")),
    "other spacing": (4.2, ("--spacing", "41um,37um,52um")),
    "half the size": (2.6, ("--size", "50%")),
}


@pytest.mark.parametrize("name", SMALL)
def test_points_on_a_small_volume_are_the_points_of_the_scan(
    name: str, scans: dict[float, Scan], tmp_path: Path
) -> None:
    sigma, options = SMALL[name]
    scan = scans[sigma]
    run("downsample", scan.folder, *options, "-o", "small.nrrd", "-q", folder=tmp_path)
    image = sitk.ReadImage(str(tmp_path / "small.nrrd"))
    factors = np.array(image.GetSpacing())[::-1] / scan.geometry.spacing
    at = middles(sitk.GetArrayFromImage(image), scan.beads / factors, scan.reach / factors)
    world = [image.TransformContinuousIndexToPhysicalPoint(list(map(float, index[::-1]))) for index in at]
    markups(np.array(world), tmp_path / "points.mrk.json")
    run("landmarks", "map", "points.mrk.json", "--from", "small.nrrd", "--to", scan.folder, "-o", "full.mrk.json",
        folder=tmp_path)  # fmt: skip
    assert error_of(scan, tmp_path / "full.mrk.json") < 0.05


def strided(voxels: Array) -> Array:
    return np.ascontiguousarray(voxels[::2, ::2, ::2])


def halved(voxels: Array) -> Array:
    k, j, i = (n // 2 for n in voxels.shape)
    blocks = voxels[: 2 * k, : 2 * j, : 2 * i].reshape(k, 2, j, 2, i, 2)
    return np.rint(blocks.mean(axis=(1, 3, 5))).astype(np.uint16)


def users_own(voxels: Array) -> Array:
    """Halved within the planes, every second plane kept: the way to shift everything."""
    j, i = (n // 2 for n in voxels.shape[1:])
    kept = voxels[::2][:, : 2 * j, : 2 * i].reshape(-1, j, 2, i, 2)
    return np.rint(kept.mean(axis=(2, 4))).astype(np.uint16)


PICTURES = {"stride:2,2,2": strided, "mean:2,2,2": halved, "mean:2,2,1+stride:1,1,2": users_own}


@pytest.mark.parametrize("relation", PICTURES)
def test_points_on_pictures_without_a_header_are_the_points_of_the_scan(
    relation: str, scans: dict[float, Scan], tmp_path: Path
) -> None:
    """As Slicer loads them: spacing 1, origin 0."""
    scan = scans[2.6]
    small = PICTURES[relation](scan.voxels)
    (tmp_path / "pictures").mkdir()
    for k, plane in enumerate(small):
        (tmp_path / "pictures" / f"slice_{k:03}.png").write_bytes(imagecodecs.png_encode(plane))
    at = middles(small, scan.beads / 2, np.array(scan.reach / 2))
    markups(at[:, ::-1], tmp_path / "points.mrk.json")
    run("landmarks", "map", "points.mrk.json", "--from", "pictures", "--to", scan.folder, "--relation", relation,
        "-o", "full.mrk.json", folder=tmp_path)  # fmt: skip
    assert error_of(scan, tmp_path / "full.mrk.json") < 0.05


def test_pictures_get_their_header_back(scans: dict[float, Scan], tmp_path: Path) -> None:
    """Points that are placed after that need no relation any more."""
    scan = scans[2.6]
    (tmp_path / "pictures").mkdir()
    for k, plane in enumerate(users_own(scan.voxels)):
        (tmp_path / "pictures" / f"slice_{k:03}.png").write_bytes(imagecodecs.png_encode(plane))
    run("attach", "pictures", "--geometry", scan.folder, "--relation", "mean:2,2,1+stride:1,1,2", "-o", "placed.nrrd",
        "-q", folder=tmp_path)  # fmt: skip
    image = sitk.ReadImage(str(tmp_path / "placed.nrrd"))
    at = middles(sitk.GetArrayFromImage(image), scan.beads / 2, np.array(scan.reach / 2))
    world = [image.TransformContinuousIndexToPhysicalPoint(list(map(float, index[::-1]))) for index in at]
    assert np.abs(scan.geometry.world_to_index(world) - scan.beads).max() < 0.05
    assert not open_volume(tmp_path / "placed.nrrd").metadata.assumed


@pytest.mark.parametrize("factor", [2, 4])
def test_hard_and_noisy_beads_are_found_within_a_tenth_of_a_small_voxel(factor: int, tmp_path: Path) -> None:
    scan = scan_of(tmp_path / "series", {2: 3.1, 4: 5.3}[factor], hard=True)
    run("downsample", scan.folder, "--factor", factor, "-o", "small.nrrd", "-q", folder=tmp_path)
    image = sitk.ReadImage(str(tmp_path / "small.nrrd"))
    small = sitk.GetArrayFromImage(image)
    at = middles(np.where(small > (PEAK + BACKGROUND) / 6, small, BACKGROUND), scan.beads / factor,
                 np.array(scan.reach * 0.7 / factor))  # fmt: skip
    world = [image.TransformContinuousIndexToPhysicalPoint(list(map(float, index[::-1]))) for index in at]
    markups(np.array(world), tmp_path / "points.mrk.json")
    run("landmarks", "map", "points.mrk.json", "--from", "small.nrrd", "--to", scan.folder, "-o", "full.mrk.json",
        folder=tmp_path)  # fmt: skip
    assert error_of(scan, tmp_path / "full.mrk.json") < 0.1 * factor
