"""Contact sheets of landmarks: three planes through each point with a cross and a scale bar, as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chunkvol.errors import InputError
from chunkvol.geometry import Geometry
from chunkvol.landmarks.crops import any_order
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.sheet import Panel, Sheet
from chunkvol.landmarks.views import PointView, point_views, usual_size
from chunkvol.output import check_target, staging
from chunkvol.sources import Source
from chunkvol.volume import Volume

PER_SHEET = 60
"""Points on a sheet; more of them make several."""
_PERCENTILES = (0.5, 99.5)
_WIDE = 4 / 3
"""Width of a sheet over its height, about."""
_FACE = 1e-9
"""Voxels beyond a face that rounding may take a point that lies on it."""

Window = tuple[float, float]
Views = tuple[PointView, PointView, PointView]

__all__ = ["PER_SHEET", "plot"]


def plot(
    landmarks: Landmarks,
    volume: Volume,
    target: str | Path,
    *,
    size: float | None = None,
    columns: int | None = None,
    window: Window | Literal["auto"] = "auto",
    overwrite: bool = False,
) -> tuple[Path, ...]:
    """Draw three planes of the volume through each point, along the axes of its array, on contact sheets.

    Each is the plane of voxels nearest to the point, turned as viewers show the nearest anatomical plane and never
    mirrored, at its true proportions. The cross is at the point, to a fraction of a voxel. Points that are not placed
    or out of the field of view have a tile that says so. The same input gives the same bytes.

    Parameters
    ----------
    landmarks
        LPS mm.
    volume
        Only the voxels that are seen are read.
    target
        Ends in `.png`; of more than 60 points `qa.png` becomes `qa-1.png`, `qa-2.png` ...
    size
        Width and height of what is seen, mm; by default 48 voxels.
    columns
        Points beside each other; by default as many as make a sheet a little wider than high.
    window
        Real values that are black and white; "auto" takes the percentiles 0.5 and 99.5 of what is seen (of 60 points,
        evenly spread, where there are several sheets).
    overwrite
        Replace existing sheets, at the very end.

    Returns
    -------
    The sheets.

    Raises
    ------
    InputError
        Pillow is not installed, there are no points, or the size, the columns or the window make no sense.
    OutputError
        A sheet exists, or cannot be written.
    """
    path = Path(target)
    points = _checked(landmarks, columns, window)
    sheet = Sheet.made(columns or _columns(len(points)))
    pages = [range(n, min(n + PER_SHEET, len(points))) for n in range(0, len(points), PER_SHEET)]
    names = _names(path, len(pages))
    check_target([path.with_name(name) for name in names], overwrite=overwrite)
    field = usual_size(volume.geometry) if size is None else size
    with any_order(volume.values.source) as source, staging(path, names, overwrite=overwrite) as folder:
        scene = _Scene(source, volume, landmarks, field)
        sample = pages[0] if len(pages) == 1 else np.linspace(0, len(points) - 1, PER_SHEET).astype(int).tolist()
        views = scene.views(sample)
        shown = _auto(views) if window == "auto" else window
        for n, (page, name) in enumerate(zip(pages, names, strict=True)):
            seen = views if len(pages) == 1 else scene.views(page)
            panels = [scene.panel(number, seen[number]) for number in page]
            sheet.draw(panels, scene.title(n, len(pages), shown), shown).save(folder / name, format="PNG")
    return tuple(path.with_name(name) for name in names)


@dataclass(frozen=True)
class _Scene:
    """What is drawn, whatever the sheet."""

    source: Source
    """Real values, to be read in any order."""
    volume: Volume
    """Whose they are."""
    landmarks: Landmarks
    """All points."""
    size: float
    """Width of an image, mm."""

    def views(self, which: Sequence[int]) -> dict[int, Views | None]:
        """The planes through the points of these numbers; None where a point is not seen."""
        grid = self.volume.geometry
        seen = [n for n in which if _beyond(grid, self.landmarks.points[n]) == 0]
        found = point_views(self.source, grid, [self.landmarks.points[n] for n in seen], self.size)
        return dict.fromkeys(which) | dict(zip(seen, found, strict=True))

    def panel(self, number: int, views: Views | None) -> Panel:
        """What is drawn of a point."""
        point = self.landmarks.points[number]
        label = self.landmarks.labels[number]
        places = decimals(min(self.volume.geometry.spacing))
        where = ", ".join(f"{value:.{places}f}" for value in point) + " mm"
        if not self.landmarks.placed[number]:
            return Panel(f"{number + 1}", label, "", self.size, (), "not placed")
        if views is None:
            far = _beyond(self.volume.geometry, point)
            return Panel(f"{number + 1}", label, where, self.size, (), f"out of the field of view, {far:.4g} mm beyond")
        return Panel(f"{number + 1}", label, where, self.size, views)

    def title(self, n: int, count: int, window: Window) -> str:
        """One line about the whole sheet."""
        unit = self.volume.metadata.rescale.unit
        parts = [
            f"{len(self.landmarks)} landmarks" + f", sheet {n + 1} of {count}" * (count > 1),
            f"each image {_length(self.size)} wide, planes of the volume's own axes",
            f"grey {window[0]:.6g} to {window[1]:.6g} {unit}".rstrip(),
            "places LPS" + " (assumed: the volume states none)" * self.volume.metadata.assumed,
        ]
        return "   |   ".join(parts)


def _checked(landmarks: Landmarks, columns: int | None, window: Window | str) -> Landmarks:
    if landmarks.frame == "IJK":
        raise InputError("the points are voxel indices (ijk); place them on their volume first")
    if not len(landmarks):
        raise InputError("there are no points to draw")
    if columns is not None and columns < 1:
        raise InputError(f"a sheet has at least 1 column, found {columns}")
    if window != "auto":
        low, high = (float(end) for end in window)
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(f"a window must be two finite numbers, the lower first, or auto; found {window!r}")
    return landmarks


def _columns(count: int) -> int:
    """As many as make a full sheet of so many points a little wider than high."""
    width, height = Sheet.panel_size()
    wanted = math.sqrt(min(count, PER_SHEET) * _WIDE * height / width)
    return max(1, min(count, round(wanted)))


def _names(path: Path, count: int) -> list[str]:
    if path.suffix.lower() != ".png":
        raise InputError(f"a picture of landmarks is a .png, not {path.name}")
    if count == 1:
        return [path.name]
    return [f"{path.stem}-{n:0{len(str(count))}d}{path.suffix}" for n in range(1, count + 1)]


def _beyond(grid: Geometry, point: Any) -> float:
    """mm from the nearest place within the outer faces; NaN of a point that is not placed."""
    index = grid.world_to_index(point)
    inside = np.clip(index, -0.5, np.array(grid.shape) - 0.5)
    return (
        0.0 if np.abs(index - inside).max() <= _FACE else float(np.linalg.norm(grid.affine[:3, :3] @ (index - inside)))
    )


def _auto(seen: dict[int, Views | None]) -> Window:
    """Percentiles of all that is seen."""
    images = [view.image for views in seen.values() if views for view in views]
    values = np.concatenate([image[np.isfinite(image)] for image in images]) if images else np.zeros(1)
    if not values.size:
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(values, _PERCENTILES))
    if low == high:
        low, high = float(values.min()), float(values.max())
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def decimals(step: float) -> int:
    """Digits behind the point that tell tenths of a step apart."""
    return max(0, min(9, 1 - math.floor(math.log10(step))))


def _length(mm: float) -> str:
    return f"{mm:.4g} mm" if mm >= 1 else f"{1000 * mm:.4g} um"
