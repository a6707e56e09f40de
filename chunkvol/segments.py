"""Segments of a label volume: names, values, colours; and how segments that overlap share one array.

A segmentation has layers: label volumes on one grid, within which segments do not overlap. Several layers are kept in
one array of composite labels, `sum(label_of_layer[n] * weight[n])` with `weight[n]` the product of the counts of the
layers before: nothing is lost, and what chooses one of several voxels (nearest, mode) chooses for all layers at once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError, InputError

KEY = "segmentation"
"""Under which a segmentation stands in `Metadata.extra`."""

_LARGEST = 1 << 64
_KEEPING = ("mode", "stride")
"""Methods that choose labels and compute none."""

Labels = npt.NDArray[Any]

__all__ = ["KEY", "Segment", "Segmentation", "method_for", "names_note"]


def method_for(extra: Mapping[str, Any], asked: str | None, usual: str) -> str:
    """How voxels become one: as asked, else `usual`; labels are chosen, not computed, and by default the most frequent.

    Parameters
    ----------
    extra
        Of the volume's metadata.
    asked
        The method that somebody named, or None or empty.
    usual
        What it is for other volumes.

    Raises
    ------
    InputError
        It would compute with labels.
    """
    if KEY not in extra:
        return asked or usual
    if asked and asked not in _KEEPING:
        raise InputError(
            f"the volume is a segmentation: {asked} would make labels that mean nothing; use mode or stride"
        )
    return asked or "mode"


def names_note(extra: Mapping[str, Any], noun: str) -> list[str]:
    """What there is to say where a format keeps labels and not what they mean; `extra` is of the volume's metadata."""
    return [f"{noun} keeps the labels and not the names of the segments; .seg.nrrd has both"] if KEY in extra else []


@dataclass(frozen=True, slots=True)
class Segment:
    """One named label."""

    id: str
    """Unique within the segmentation."""
    name: str
    """For people."""
    value: int
    """Its label within its layer, at least 1."""
    layer: int = 0
    """The layer that holds it."""
    color: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """Red, green, blue, 0 to 1."""
    tags: str = ""
    """Terminology and other tags, as Slicer writes them."""


@dataclass(frozen=True, slots=True)
class Segmentation:
    """All segments of a volume."""

    segments: tuple[Segment, ...]
    """In the order of the file."""
    counts: tuple[int, ...] = (0,)
    """Labels of each layer, 0 included: one more than the largest. A single layer needs none (0)."""

    @property
    def weights(self) -> tuple[int, ...]:
        """What a label of each layer counts in a composite label."""
        return tuple(math.prod(self.counts[:n]) for n in range(len(self.counts)))

    @property
    def fits(self) -> bool:
        """Whether composite labels fit an integer of 64 bits."""
        return math.prod(max(1, count) for count in self.counts) <= _LARGEST

    @property
    def dtype(self) -> np.dtype[Any]:
        """The smallest type that holds all composite labels; only where they fit one."""
        return np.min_scalar_type(math.prod(max(1, count) for count in self.counts) - 1)

    def layer_of(self, labels: Labels, layer: int) -> Labels:
        """The labels of one layer, from composite labels."""
        if len(self.counts) == 1:
            return labels
        return np.asarray(labels // self.weights[layer] % self.counts[layer])

    def composed(self, layers: Labels) -> Labels:
        """Composite labels of layers that lie along the last axis.

        Raises
        ------
        FormatError
            A layer holds a label that no segment has.
        """
        out = np.zeros(layers.shape[:-1], self.dtype)
        for n, (count, weight) in enumerate(zip(self.counts, self.weights, strict=True)):
            part = layers[..., n]
            for label in (int(part.min()), int(part.max())) if part.size else ():
                if not 0 <= label < count:
                    raise FormatError(f"layer {n} holds label {label}, which no segment has; export it again")
            out += part.astype(out.dtype) * out.dtype.type(weight)
        return out

    def found(self, wanted: str) -> Segment:
        """The segment of this id, name (if need be in other case) or label.

        Raises
        ------
        InputError
            There is none, or several.
        """
        for matches in (
            [one for one in self.segments if one.id == wanted],
            [one for one in self.segments if one.name == wanted],
            [one for one in self.segments if one.name.casefold() == wanted.casefold()],
            [one for one in self.segments if str(one.value) == wanted],
        ):
            if len(matches) == 1:
                return matches[0]
        there = ", ".join(f"{one.id} ({one.name})" for one in self.segments[:12]) or "none"
        raise InputError(
            f"no single segment is {wanted!r}; there are {there}: --segment takes an id, a name or a label"
        )

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"counts": list(self.counts), "segments": [asdict(one) for one in self.segments]}

    @classmethod
    def from_json(cls, data: Any) -> Segmentation:
        """What `to_json` wrote.

        Raises
        ------
        KeyError, TypeError, ValueError
            It is something else.
        """
        segments = tuple(
            Segment(
                str(one["id"]),
                str(one["name"]),
                int(one["value"]),
                int(one["layer"]),
                _color(one["color"]),
                str(one["tags"]),
            )
            for one in data["segments"]
        )
        return cls(segments, tuple(int(count) for count in data["counts"]))


def _color(values: Sequence[float]) -> tuple[float, float, float]:
    red, green, blue = (float(value) for value in values)
    return red, green, blue
