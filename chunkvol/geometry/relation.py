"""How the voxels of one array were made from another one's: every n-th, means, resized, cropped, flipped, turned."""

from __future__ import annotations

from dataclasses import dataclass

from chunkvol.geometry.grid import Geometry
from chunkvol.geometry.mapping import Mapping
from chunkvol.regions import Shape

__all__ = ["Relation", "parse_relation"]


@dataclass(frozen=True, slots=True)
class Relation:
    """Steps that made a volume A from a volume B, in the order in which they were done."""

    text: str
    """As it is typed: "stride:2,2,2", "mean:2,2,2", "resize", "crop:10:200,:,5:90", "flip:z", "axes:yxz", joined by +;
    numbers in order x, y, z."""

    def mapping(self, made: Shape, source: Shape) -> Mapping:
        """Index in B of each voxel of A.

        Parameters
        ----------
        made, source
            Shapes of A and B in order (k, j, i).

        Raises
        ------
        InputError
            B's shape does not become A's by these steps; the message says what it becomes.
        """
        raise NotImplementedError

    def geometry(self, made: Shape, source: Geometry) -> Geometry:
        """The grid of A in B's world: what its header should have said."""
        raise NotImplementedError


def parse_relation(text: str) -> Relation:
    """The relation of a text, checked.

    Raises
    ------
    InputError
        It is none; the message lists the words.
    """
    raise NotImplementedError
