"""Coordinate transformations of NGFF as matrices; what is no affine one is refused by name, never guessed."""

from __future__ import annotations

import math
from collections.abc import Callable
from reprlib import repr as shown
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError

Matrix = npt.NDArray[np.float64]
"""Output axes by (input axes and 1)."""

__all__ = ["Matrix", "UnsupportedError", "after", "matrix_of", "scaling"]


class UnsupportedError(FormatError):
    """A transformation that is valid, and no affine one."""


def scaling(found: Any, axes: int, spatial: list[int], where: str) -> tuple[Matrix, bool]:
    """Scale and translation of 0.4 and 0.5, and whether a translation is stated.

    Exactly one scale, then at most one translation (0.4 and 0.5, "multiscales" metadata), with a number for each of
    `axes` axes; or one for each of those of space, which `spatial` lists.

    Raises
    ------
    FormatError
        It is anything else.
    """
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise FormatError(f"{where} has no list of coordinateTransformations: {shown(found)}")
    kinds = [one.get("type") for one in found]
    if kinds not in (["scale"], ["scale", "translation"]):
        told = ", ".join(map(str, kinds)) or "none"
        raise FormatError(f"{where} has the transformations {told}; a scale, then perhaps a translation, is expected")
    scale = _spread(found[0].get("scale"), axes, spatial, 1.0, f"the scale of {where}", positive=True)
    shift = np.zeros(axes)
    if len(found) > 1:
        shift = _spread(found[1].get("translation"), axes, spatial, 0.0, f"the translation of {where}")
    return np.hstack([np.diag(scale), shift[:, None]]), len(found) > 1


def _spread(
    found: Any, axes: int, spatial: list[int], rest: float, where: str, *, positive: bool = False
) -> npt.NDArray[np.float64]:
    """Numbers for all axes; those of others than space are `rest` where only space has any."""
    numbers = _numbers(found, where, positive=positive)
    if len(numbers) == axes:
        return numbers
    if len(numbers) != len(spatial):
        raise FormatError(f"{where} has {len(numbers)} numbers for {axes} axes")
    out = np.full(axes, rest)
    out[spatial] = numbers
    return out


def _numbers(found: Any, where: str, *, positive: bool = False) -> npt.NDArray[np.float64]:
    if not isinstance(found, list) or not all(
        isinstance(one, int | float) and not isinstance(one, bool) and _finite(one) for one in found
    ):
        raise FormatError(f"{where} is no list of finite numbers: {shown(found)}")
    if positive and not all(one > 0 for one in found):
        raise FormatError(f"{where} must be above 0, found {shown(found)}")
    return np.array(found, dtype=float)


def _finite(number: float) -> bool:
    try:
        return math.isfinite(float(number))
    except OverflowError:
        return False


def after(second: Matrix, first: Matrix) -> Matrix:
    """The matrix that does `first`, then `second`."""
    out = second[:, :-1] @ first
    out[:, -1] += second[:, -1]
    return out


def matrix_of(found: Any, inputs: int, where: str) -> Matrix:
    """The matrix of a transformation of 0.6 that takes `inputs` coordinates.

    Raises
    ------
    UnsupportedError
        Its type is none that a regular grid survives, or its numbers lie in an array.
    FormatError
        It is not valid.
    """
    if not isinstance(found, dict) or not isinstance(found.get("type"), str):
        raise FormatError(f"{where} has a transformation without a type: {shown(found)}")
    read = _READERS.get(found["type"])
    if read is None:
        raise UnsupportedError(
            f"{where} has a transformation of type {found['type']!r}; chunkvol reads {', '.join(_READERS)}"
        )
    return read(found, inputs, f"the {found['type']} of {where}")


def _identity(found: dict[str, Any], inputs: int, where: str) -> Matrix:
    return np.eye(inputs, inputs + 1)


def _scale(found: dict[str, Any], inputs: int, where: str) -> Matrix:
    scale = _numbers(found.get("scale"), where, positive=True)
    return np.hstack([np.diag(_counted(scale, inputs, where)), np.zeros((inputs, 1))])


def _translation(found: dict[str, Any], inputs: int, where: str) -> Matrix:
    shift = _counted(_numbers(found.get("translation"), where), inputs, where)
    return np.hstack([np.eye(inputs), shift[:, None]])


def _counted(numbers: npt.NDArray[np.float64], inputs: int, where: str) -> npt.NDArray[np.float64]:
    if len(numbers) != inputs:
        raise FormatError(f"{where} has {len(numbers)} numbers for {inputs} axes")
    return numbers


def _rows(found: dict[str, Any], key: str, columns: int, where: str) -> Matrix:
    if key not in found and "path" in found:
        raise UnsupportedError(f"{where} has its numbers in an array; chunkvol reads those that stand in the metadata")
    rows = found.get(key)
    if not isinstance(rows, list) or not rows:
        raise FormatError(f"{where} is no matrix: {shown(rows)}")
    return np.array([_counted(_numbers(row, where), columns, where) for row in rows])


def _affine(found: dict[str, Any], inputs: int, where: str) -> Matrix:
    return _rows(found, "affine", inputs + 1, where)


def _rotation(found: dict[str, Any], inputs: int, where: str) -> Matrix:
    turn = _rows(found, "rotation", inputs, where)
    if len(turn) != inputs or np.abs(turn @ turn.T - np.eye(inputs)).max() > 1e-5:
        raise FormatError(f"{where} is no rotation: {turn.tolist()}")
    return np.hstack([turn, np.zeros((inputs, 1))])


def _map_axis(found: dict[str, Any], inputs: int, where: str) -> Matrix:
    order = found.get("mapAxis")
    if not isinstance(order, list) or sorted(map(str, order)) != sorted(map(str, range(inputs))):
        raise FormatError(f"{where} is no order of {inputs} axes: {shown(order)}")
    return np.eye(inputs, inputs + 1)[order]


def _sequence(found: dict[str, Any], inputs: int, where: str) -> Matrix:
    steps = found.get("transformations")
    if not isinstance(steps, list):
        raise FormatError(f"{where} has no list of transformations: {shown(steps)}")
    whole = np.eye(inputs, inputs + 1)
    for step in steps:
        whole = after(matrix_of(step, len(whole), where), whole)
    return whole


def _bijection(found: dict[str, Any], inputs: int, where: str) -> Matrix:
    return matrix_of(found.get("forward"), inputs, where)


def _by_dimension(found: dict[str, Any], inputs: int, where: str) -> Matrix:
    parts = found.get("transformations")
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise FormatError(f"{where} has no list of transformations: {shown(parts)}")
    taken = [_places(part, "inputAxes", where) for part in parts]
    given = [_places(part, "outputAxes", where) for part in parts]
    outputs = sorted(place for places in given for place in places)
    if outputs != list(range(len(outputs))) or any(place >= inputs for places in taken for place in places):
        raise FormatError(f"{where} does not give each output axis once: {outputs}")
    whole = np.zeros((len(outputs), inputs + 1))
    for part, take, give in zip(parts, taken, given, strict=True):
        one = matrix_of(part.get("transformation"), len(take), where)
        if len(one) != len(give):
            raise FormatError(f"{where} gives {len(one)} coordinates for {len(give)} axes")
        whole[np.ix_(give, [*take, inputs])] = one
    return whole


def _places(part: dict[str, Any], key: str, where: str) -> list[int]:
    places = part.get(key)
    if not isinstance(places, list) or not all(type(place) is int and place >= 0 for place in places):
        raise FormatError(f"{where} has {key} {shown(places)}: numbers of axes are expected")
    return places


_READERS: dict[str, Callable[[dict[str, Any], int, str], Matrix]] = {
    "identity": _identity,
    "scale": _scale,
    "translation": _translation,
    "affine": _affine,
    "rotation": _rotation,
    "mapAxis": _map_axis,
    "sequence": _sequence,
    "bijection": _bijection,
    "byDimension": _by_dimension,
}
