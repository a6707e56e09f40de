"""One slice of a phantom as a DICOM file: CT Image Storage, a single frame, without patient, time or place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.phantom.elements import Element, encapsulated, encoded, pixel_element, preamble
from chunkvol.phantom.model import Phantom
from chunkvol.phantom.placement import Placement, decimal_string
from chunkvol.phantom.syntaxes import TransferSyntax, compressed, deflated

__all__ = ["Series", "slice_name"]

_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_RECIPE = "phantom 1"
"""Goes into every UID; to be counted up when the same settings come to mean other voxels."""


def slice_name(k: int) -> str:
    """File name of slice k."""
    return f"slice_{k + 1:05d}.dcm"


@dataclass(frozen=True, slots=True)
class Series:
    """A phantom and how its files are written."""

    phantom: Phantom
    """The voxels."""
    placement: Placement
    """The phantom's placement, made once."""
    syntax: TransferSyntax
    """How pixels are coded."""
    rescale: tuple[float, float]
    """Slope and intercept that the header states; the stored values do not change."""
    sparse: bool
    """Leave a hole in place of the pixels."""

    def uid(self, *what: object) -> str:
        """A UID from the settings and `what` (PS3.5 B.2: 2.25. and a UUID as a number)."""
        settings = (_RECIPE, self.phantom, self.syntax.uid, self.rescale, self.sparse, *what)
        return f"2.25.{int.from_bytes(hashlib.blake2b(repr(settings).encode(), digest_size=16).digest())}"

    def write(self, path: Path, k: int, plane: npt.NDArray[Any] | None) -> int:
        """Write slice k, None for a hole; returns the file's bytes."""
        with path.open("xb") as file:
            for part in self._parts(k, plane):
                file.write(part)
            if plane is None:
                file.truncate(file.tell() + self.phantom.frame_bytes + self.phantom.frame_bytes % 2)
            return file.seek(0, 2)

    def _parts(self, k: int, plane: npt.NDArray[Any] | None) -> Iterator[bytes | memoryview]:
        uid = self.uid("slice", k)
        yield preamble(self._meta(uid))
        syntax = self.syntax
        header = encoded(self._header(uid, k), explicit=syntax.explicit, little=syntax.little)
        if syntax.encoder is not None and plane is not None:
            yield header + encapsulated(compressed(syntax, plane, slice_name(k)))
            return
        header += pixel_element(
            *self._pixel_tag(), self.phantom.frame_bytes, explicit=syntax.explicit, little=syntax.little
        )
        native = [header] if plane is None else [header, *self._native(plane)]
        yield from [deflated(*native)] if syntax.deflate else native

    def _native(self, plane: npt.NDArray[Any]) -> Iterator[bytes | memoryview]:
        ordered = plane.astype(plane.dtype.newbyteorder("<" if self.syntax.little else ">"), copy=False)
        yield ordered.view(np.uint8).reshape(-1).data
        yield b"\0" * (plane.nbytes % 2)

    def _pixel_tag(self) -> tuple[int, str]:
        """Float Pixel Data, or Pixel Data in bytes or words."""
        dtype = self.phantom.grey.dtype
        if dtype.kind == "f":
            return 0x7FE00008, "OF"
        return 0x7FE00010, "OB" if dtype.itemsize == 1 else "OW"

    def _meta(self, uid: str) -> list[Element]:
        return [
            Element(0x00020001, "OB", b"\0\1"),
            Element(0x00020002, "UI", _CT_IMAGE),
            Element(0x00020003, "UI", uid),
            Element(0x00020010, "UI", self.syntax.uid),
            Element(0x00020012, "UI", _uid_of_writer()),
        ]

    def _header(self, uid: str, k: int) -> list[Element]:
        return [*self._identity(uid), *self._place(k), *self._image()]

    def _identity(self, uid: str) -> list[Element]:
        return [
            Element(0x00080008, "CS", "DERIVED\\SECONDARY\\AXIAL"),
            Element(0x00080016, "UI", _CT_IMAGE),
            Element(0x00080018, "UI", uid),
            Element(0x00080020, "DA", ""),
            Element(0x00080030, "TM", ""),
            Element(0x00080050, "SH", ""),
            Element(0x00080060, "CS", "CT"),
            Element(0x00080070, "LO", "chunkvol"),
            Element(0x00080090, "PN", ""),
            Element(0x0008103E, "LO", "chunkvol phantom"),
            Element(0x00100010, "PN", ""),
            Element(0x00100020, "LO", ""),
            Element(0x00100030, "DA", ""),
            Element(0x00100040, "CS", ""),
            Element(0x00180015, "CS", "SKULL"),  # unpaired, so that no laterality is asked for
            Element(0x00180050, "DS", self.placement.spacing[2]),
            Element(0x00180060, "DS", ""),
            Element(0x00185100, "CS", "HFS"),
        ]

    def _place(self, k: int) -> list[Element]:
        return [
            Element(0x0020000D, "UI", self.uid("study")),
            Element(0x0020000E, "UI", self.uid("series")),
            Element(0x00200010, "SH", ""),
            Element(0x00200011, "IS", "1"),
            Element(0x00200012, "IS", ""),
            Element(0x00200013, "IS", str(k + 1)),
            Element(0x00200032, "DS", self.placement.position(k)),
            Element(0x00200037, "DS", self.placement.orientation),
            Element(0x00200052, "UI", self.uid("frame of reference")),
            Element(0x00201040, "LO", ""),
            Element(0x00201041, "DS", decimal_string(k * self.phantom.spacing[2])),
        ]

    def _image(self) -> list[Element]:
        columns, rows, _ = self.phantom.size
        x, y, _ = self.placement.spacing
        return [
            Element(0x00280002, "US", 1),
            Element(0x00280004, "CS", "MONOCHROME2"),
            Element(0x00280010, "US", rows),
            Element(0x00280011, "US", columns),
            Element(0x00280030, "DS", f"{y}\\{x}"),  # between rows, then between columns
            *self._bits(),
            Element(0x00281052, "DS", decimal_string(self.rescale[1])),
            Element(0x00281053, "DS", decimal_string(self.rescale[0])),
            Element(0x00281054, "LO", "US"),  # the unit is unspecified
        ]

    def _bits(self) -> list[Element]:
        dtype = self.phantom.grey.dtype
        bits = 8 * dtype.itemsize
        allocated = Element(0x00280100, "US", bits)
        if dtype.kind == "f":  # Float Pixel Data has no other of these attributes (PS3.3 C.7.6.24)
            return [allocated]
        return [
            allocated,
            Element(0x00280101, "US", bits),
            Element(0x00280102, "US", bits - 1),
            Element(0x00280103, "US", int(dtype.kind == "i")),
        ]


def _uid_of_writer() -> str:
    return f"2.25.{int.from_bytes(hashlib.blake2b(_RECIPE.encode(), digest_size=16).digest())}"
