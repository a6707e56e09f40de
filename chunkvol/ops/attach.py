"""Giving voxels the place that their file lost: that of the scan they were made from."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from chunkvol.errors import GeometryError, InputError
from chunkvol.geometry import Geometry
from chunkvol.geometry.relation import Relation, parse_relation
from chunkvol.metadata import Metadata
from chunkvol.ops.planes import BlendedPlanes, PlaneBlend
from chunkvol.ops.reorient import reordered
from chunkvol.ops.stacking import ORDERS, POSITION, ImagePlanes, Planes, differing, stacked_by, stored_planes
from chunkvol.regions import Shape
from chunkvol.sources import Source
from chunkvol.volume import Volume

AXES = tuple("".join(letters) for letters in itertools.permutations("kji"))
"""How an array's axes may lie, the usual way first."""

_SAME = Relation("same")
_UPRIGHT = (False, False, False)
_MANY = "kji is np.stack of pixel arrays, jik the same with axis=-1, ijk what nibabel gives"

__all__ = ["AXES", "attach"]


def attach(
    pixels: Any,
    source: Volume | Geometry,
    *,
    relation: str | Relation | None = None,
    order: str | None = None,
    axes: str | None = None,
) -> Volume:
    """The voxels of an array, or of a volume that lost its header, in the place of the scan they were made from; lazy.

    Values and their type stay as they are (truth values become 0 and 1, uint8). Every voxel then lies where the scan's
    own voxel lies from which it was made: `result.read()[k, j, i]` at `result.geometry.index_to_world((k, j, i))`.

    Parameters
    ----------
    pixels
        A `Volume`, or a numpy or dask array of three axes (or two: one plane). What a volume says of its own place is
        not used; where it disagrees, a sentence in the result's problems says so.
    source
        The scan (or a grid alone, where planes are stacked by position); it has to state where it lies.
    relation
        How `pixels` was made from the scan, where not voxel for voxel: "stride:2", "mean:2,2,1", "resize", "crop:...",
        "flip:z", joined by +, numbers in order x, y, z; see `chunkvol.geometry.relation`.
    order
        How the planes were stacked from the scan's DICOM files: "position" (the default, ascending along the slice
        normal), "instance" (ascending InstanceNumber), "filename" (plain sort of the names, as sorted(os.listdir())
        has it) or "natural" (2 before 10). The planes come back in the order of their positions.
    axes
        What the axes of the array are, in its own order, k from plane to plane, j down and i along the rows: "kji" for
        np.stack of pixel arrays, "jik" for np.stack(..., axis=-1). By default the only way that fits; "kji" where the
        planes are images.

    Raises
    ------
    InputError
        A word is none of those above, the axes fit in several ways, the relation does not make the array's shape from
        the scan's, or the files are not known that `order` is about.
    GeometryError
        Without a relation the shapes differ, or the scan does not say where it lies.
    """
    given, scan = _volume_of(pixels), _scan_of(source)
    steps = relation if isinstance(relation, Relation) else _SAME if relation is None else parse_relation(str(relation))
    letters, said = _axes(given, scan.geometry, steps, axes)
    turned = reordered(given, _permutation(letters), _UPRIGHT)
    placed = _placed(turned, scan, steps, order or POSITION)
    notes = [*said, *placed.notes]
    if order is None:
        notes += _other_orders(scan)
    notes += _disagreement(given, turned.geometry, placed.geometry)
    metadata = _metadata(given.metadata, scan.metadata, notes)
    done = [name for name, value, usual in (
        (f"relation {steps}", steps.text, _SAME.text),
        (f"axes {letters}", letters, AXES[0]),
        (f"order {order}", order or POSITION, POSITION),
    ) if value != usual]  # fmt: skip  # a row a fact
    if letters != AXES[0] or placed.source is not turned.source:
        metadata = replace(metadata, extra={k: v for k, v in metadata.extra.items() if k != "instances"})
    return Volume(placed.source, placed.geometry, metadata.with_step(" ".join(["attach", ", ".join(done)]).strip()))


def _volume_of(pixels: Any) -> Volume:
    """The volume itself, or an array as one whose place nobody stated."""
    if isinstance(pixels, Volume):
        return replace(pixels, coarser=())
    if not hasattr(pixels, "shape") or not hasattr(pixels, "dtype"):
        raise InputError(
            f"a Volume or an array is given its place, not {type(pixels).__name__}: open files with open_volume"
        )
    array = pixels[None] if len(pixels.shape) == 2 else pixels
    if len(array.shape) != 3 or min(array.shape) < 1:
        raise InputError(f"an array of three axes is given its place, or of two for one plane, found {pixels.shape}")
    if array.dtype == bool:
        array = array.view(np.uint8) if isinstance(array, np.ndarray) else array.astype(np.uint8)
    return Volume(array, Geometry(array.shape), Metadata(assumed=True))


def _scan_of(source: Volume | Geometry) -> Volume:
    """The scan, or a grid as one without voxels."""
    if isinstance(source, Geometry):
        empty = np.broadcast_to(np.uint8(0), source.shape)
        return Volume(empty, source)
    if not isinstance(source, Volume):
        raise InputError(
            f"the place is that of a Volume or a Geometry, not of {type(source).__name__}: open files with open_volume"
        )
    if source.metadata.assumed:
        raise GeometryError(
            f"the scan does not say where its voxels lie ({'; '.join(source.metadata.problems) or 'assumed'}): name "
            "one that does, or say it with spacing, origin and orientation when it is opened"
        )
    return source


# ------------------------------------------------------------------------------------------------------------ axes


def _permutation(letters: str) -> Shape:
    """The array's axis that is k, the one that is j, the one that is i."""
    return letters.index("k"), letters.index("j"), letters.index("i")


def _turned(shape: Shape, letters: str) -> Shape:
    k, j, i = (shape[axis] for axis in _permutation(letters))
    return k, j, i


def _axes(given: Volume, grid: Geometry, steps: Relation, asked: str | None) -> tuple[str, list[str]]:
    """What the array's axes are, and what is to be said of that."""
    if asked is not None:
        letters = str(asked).strip().lower()
        if letters not in AXES:
            raise InputError(f"axes are the letters k, j and i in the array's order ({_MANY}), found {asked!r}")
    elif _knows_axes(given) or "axes" in steps.text:
        letters = AXES[0]
    else:
        return _only_axes(given.shape, grid, steps)
    _check_fits(given.shape, letters, grid, steps)
    return letters, []


def _knows_axes(given: Volume) -> bool:
    """Whether the format says which axis is which: planes are images, or the place is stated."""
    return not given.metadata.assumed or isinstance(stored_planes(given.source), ImagePlanes)


def _only_axes(shape: Shape, grid: Geometry, steps: Relation) -> tuple[str, list[str]]:
    found = [letters for letters in AXES if _fits(_turned(shape, letters), grid, steps)]
    if not found:
        _check_fits(shape, AXES[0], grid, steps)
    if len(found) > 1:
        raise InputError(
            f"an array of shape {shape} fits the scan of {grid.shape} (k, j, i) with axes {', '.join(found)}: say "
            f"which with --axes ({_MANY})"
        )
    return found[0], [f"the array of shape {shape} fits the scan with axes {found[0]} alone: they are taken to be so"]


def _fits(made: Shape, grid: Geometry, steps: Relation) -> bool:
    try:
        steps.mapping(made, grid.shape)
    except InputError:
        return False
    return True


def _check_fits(shape: Shape, letters: str, grid: Geometry, steps: Relation) -> None:
    """Refuse a shape that cannot be, with numbers, and with what would fit."""
    made = _turned(shape, letters)
    if steps.text != _SAME.text:
        steps.mapping(made, grid.shape)
        return
    if made == grid.shape:
        return
    hints = [f"--axes {other}" for other in AXES if _turned(shape, other) == grid.shape]
    hints += [f"--relation {text}" for text in _factors(made, grid.shape)]
    hint = f"{' or '.join(hints)} would fit" if hints else "--relation crop:... or resize says how it was made from it"
    raise GeometryError(f"the array has {_size(made)}, the scan has {_size(grid.shape)} (x, y, z): {hint}")


def _factors(made: Shape, source: Shape) -> list[str]:
    """Relations of whole factors that would make one shape of the other."""
    factors = []
    for m, n in zip(made[::-1], source[::-1], strict=True):
        fitting = [f for f in (n // m, -(-n // m)) if f >= 1 and m in (n // f, -(-n // f))]
        if not fitting:
            return []
        factors.append(fitting[0])
    text = str(factors[0]) if len(set(factors)) == 1 else ",".join(map(str, factors))
    return [f"{word}:{text}" for word in ("stride", "mean")]


def _size(shape: Shape) -> str:
    return " x ".join(map(str, shape[::-1]))


# ------------------------------------------------------------------------------------------------- planes and place


@dataclass(frozen=True, slots=True)
class _Placed:
    """Voxels in their order, and their grid."""

    source: Source
    """The voxels."""
    geometry: Geometry
    """Where they lie."""
    notes: tuple[str, ...] = ()
    """What is to be said of the order."""


def _placed(array: Volume, scan: Volume, steps: Relation, order: str) -> _Placed:
    """The array's planes in an order along one line, and their grid."""
    grid, made = scan.geometry, array.shape
    planes = stacked_by(scan, order)
    notes = _natural_differs(scan, planes) if order == "filename" else ()
    if (np.diff(planes) == 1).all():
        return _Placed(array.source, steps.geometry(made, grid), notes)
    if _keeps_planes(steps, made, grid.shape):
        return _Placed(_sorted(array.source, planes), steps.geometry(made, grid), notes)
    if (np.diff(planes) == -1).all():
        downwards = grid.reordered((0, 1, 2), (True, False, False))
        return _Placed(array.source, steps.geometry(made, downwards), notes)
    raise InputError(
        f"by --order {order} neighbouring planes of the array are not neighbours in space, so that none of them can be "
        f"left out or averaged by {steps.text!r}: attach the whole array first, then downsample it"
    )


def _keeps_planes(steps: Relation, made: Shape, source: Shape) -> bool:
    """Whether plane k of the array is plane k of the scan, however its rows and columns were made."""
    mapping = steps.mapping(made, source)
    matrix = np.array(mapping.matrix)
    only_k = matrix[0, 0] == 1 and not matrix[0, 1:].any() and not matrix[1:, 0].any()
    return bool(only_k and mapping.offset[0] == 0 and made[0] == source[0])


def _sorted(source: Source, planes: Planes) -> Source:
    """The planes in the order of the scan's: a blend in which each is one of the array's, whole."""
    return BlendedPlanes(source, PlaneBlend(np.argsort(planes), np.zeros(len(planes))), 0.0)


def _natural_differs(scan: Volume, planes: Planes) -> tuple[str, ...]:
    """A word where two ways to sort names by, both common, are not the same."""
    at = np.flatnonzero(stacked_by(scan, "natural") != planes)
    found = stored_planes(scan.source)
    if not len(at) or not isinstance(found, ImagePlanes):
        return ()
    return (
        f"a plain sort of the names puts {found.names[planes[at[0]]]} at place {at[0]}, where counting (2 before 10) "
        "puts another one: --order natural where the array was made so",
    )


def _other_orders(scan: Volume) -> Iterator[str]:
    """What is said where nobody said how planes were stacked, and it matters."""
    orders = differing(scan)
    if len({tuple(stacked_by(scan, order)) for order in ("filename", "natural") if order in orders}) == 1:
        orders = [order for order in orders if order != "natural"]
    found = [f"--order {order} ({ORDERS[order].text})" for order in orders]
    if found:
        yield (
            "the array's planes are taken to be in the order of their positions, and the scan's files are not: "
            f"{' or '.join(found)} where they were stacked so"
        )


# --------------------------------------------------------------------------------------------------------- metadata


def _disagreement(given: Volume, own: Geometry, result: Geometry) -> list[str]:
    """What is said of a place that the pixels state themselves, and nobody heeds."""
    if given.metadata.assumed or own.is_close(result, 1e-2):
        return []
    apart = np.linalg.norm(own.corners - result.corners, axis=1).max()
    spacing = " x ".join(f"{length:.6g}" for length in own.spacing[::-1])
    first = ", ".join(f"{value:.6g}" for value in own.origin)
    return [
        f"the pixels state a place of their own (spacing {spacing} mm (x, y, z), first voxel at {first} mm), up to "
        f"{apart:.6g} mm away from the scan's, which is used"
    ]


def _metadata(own: Metadata, scan: Metadata, notes: list[str]) -> Metadata:
    """The pixels' facts in the scan's world; what was said of the place they had assumed is left out."""
    kept = [text for text in own.problems if not (own.assumed and "assumed" in text)]
    return replace(
        own,
        assumed=False,
        frame_of_reference=scan.frame_of_reference or own.frame_of_reference,
        problems=(*kept, *notes),
    )
