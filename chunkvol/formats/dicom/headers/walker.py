"""Walk the elements of a DICOM data set up to its pixel data, touching as few bytes as possible.

Layout: PS3.5 section 7.1 (elements), 7.5 (sequences), A.4 (encapsulated pixel data). Little endian only.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Container, Mapping

from chunkvol.errors import DamagedError

UNDEFINED = 0xFFFFFFFF
FIRST_BYTES = 8192
"""Most headers end before this; the first read of a file."""

_MAX_DEPTH = 64
_MAX_VALUE = 1 << 16
_SAMPLE = 1 << 16
_EXPLICIT = struct.Struct("<I2sH")
_IMPLICIT = struct.Struct("<II")
_UINT = struct.Struct("<I")
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""VRs with a length of four bytes, after two that mean nothing."""
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())

__all__ = ["FIRST_BYTES", "LONG", "UNDEFINED", "Found", "OddLayoutError", "Walker", "only_zeros", "swapped", "tag_name"]

Found = tuple[bytes, bytes]
"""An element's value and its VR (empty in implicit data sets)."""
_LEFT: Found = b"\0", b""


class OddLayoutError(Exception):
    """The bytes are DICOM of a kind that this walker leaves to pydicom."""


def swapped(tag: int) -> int:
    """The tag as one little-endian integer of its bytes: element in the upper half, group in the lower."""
    return (tag & 0xFFFF) << 16 | tag >> 16


def tag_name(tag: int) -> str:
    """Text such as (0028,0030)."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def only_zeros(fetch: Callable[[int, int], bytes], position: int, size: int) -> bool:
    """Whether zeros follow to the end, judged by the next 64 KiB and the last: a sparse file has terabytes of them."""
    return not any(fetch(position, _SAMPLE)) and not any(fetch(max(position, size - _SAMPLE), _SAMPLE))


_ITEM, _ITEM_END, _SEQUENCE_END = swapped(0xFFFEE000), swapped(0xFFFEE00D), swapped(0xFFFEE0DD)
_PIXELS = frozenset(map(swapped, (0x7FE00008, 0x7FE00009, 0x7FE00010)))
_UID = re.compile(rb"[0-2](\.\d+){3,}[\0 ]?")
_PROOFS = {
    0x00020002: _UID,  # Media Storage SOP Class UID
    0x00020010: _UID,  # Transfer Syntax UID
    0x00080010: re.compile(rb"ACR-NEMA.*", re.DOTALL),  # Recognition Code, before there was DICOM
    0x00080016: _UID,  # SOP Class UID
    0x00280010: re.compile(rb"..", re.DOTALL),  # Rows
}
_FIRST_GROUPS = (2, 8)


class Walker:
    """A position in a stream of elements, seen through a small window that moves and grows with need.

    Every declared length is compared with the stream's size before anything is allocated for it.
    """

    __slots__ = ("_base", "_fetch", "buffer", "size")

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, buffer: bytes = b"") -> None:
        self._fetch = fetch
        self._base = 0
        self.buffer = buffer
        self.size = size
        """Bytes in the stream, or an upper bound while its end was not seen."""

    def at(self, position: int, length: int) -> int:
        """Where `position` lies in `buffer`, which now holds `length` bytes from there (zeros after the end)."""
        start = position - self._base
        if start >= 0 and start + length <= len(self.buffer):
            return start
        data = self._fetch(position, max(length, FIRST_BYTES))
        if len(data) < length:
            self.size = min(self.size, position + len(data))
            data += bytes(length - len(data))
        self._base, self.buffer = position, data
        return 0

    def meta(self, position: int, wanted: Mapping[int, int], found: dict[int, Found]) -> int:
        """Collect group 0002, always explicit; returns where the data set starts. Its length field often lies."""
        while position + 8 <= self.size:
            start = self.at(position, 12)
            tag, vr, length = _EXPLICIT.unpack_from(self.buffer, start)
            if tag & 0xFFFF != 2:
                break
            value = position + 8
            if vr in LONG:
                length = _UINT.unpack_from(self.buffer, start + 8)[0]
                value = position + 12
            elif vr not in _SHORT:
                raise OddLayoutError(f"{tag_name(swapped(tag))} has no known VR")
            if tag in wanted:
                found[wanted[tag]] = self._value(tag, vr, value, length)
            position = self._past(position, tag, value, length)
        return position

    def walk(
        self,
        position: int,
        implicit: bool,
        wanted: Mapping[int, int],
        found: dict[int, Found],
        optional: Container[int] = (),
    ) -> tuple[int, int, int] | None:
        """Collect the wanted elements of a data set until its pixel data.

        What is `optional` and too large to be a value (a sequence, another vendor's private element) is jumped over;
        one zero byte then stands for it.

        Returns
        -------
        tuple or None
            Tag, offset and declared length of the pixel data; None where the data set, or all but zeros, ends without.

        Raises
        ------
        DamagedError
            When the file ends too early, or group 0000, which no data set has, stands between other elements.
        """
        first = position
        # Most of the time that a header costs goes here, so the common case is spelt out with local names.
        unpack, short, field, pixels = _EXPLICIT.unpack_from, _SHORT, wanted.get, _PIXELS
        buffer, base = self.buffer, self._base
        limit = len(buffer) - 12
        while True:
            start = position - base
            if start > limit:
                if not self._more(position):
                    return None
                buffer, base = self.buffer, self._base
                limit, start = len(buffer) - 12, position - base
            if implicit:
                tag, length = _IMPLICIT.unpack_from(buffer, start)
                vr, head = b"", 8
            else:
                tag, vr, length = unpack(buffer, start)
                head = 8
                if vr not in short:
                    length = self._long_length(tag, vr, start)
                    head = 12
            if not tag & 0xFFFF:
                break
            key = field(tag)
            end = start + head + length
            if key is not None and (length <= _MAX_VALUE or not _left(key, optional, found)):
                if end <= limit and length <= _MAX_VALUE:
                    found[key] = buffer[start + head : end], vr
                else:
                    found[key] = self._value(tag, vr, position + head, length)
                    buffer, base = self.buffer, self._base
                    limit = len(buffer) - 12
            elif tag in pixels:
                return swapped(tag), position + head, length
            elif length == UNDEFINED:
                position = self._skip_sequence(position + head, implicit or vr == b"UN", 1)
                buffer, base = self.buffer, self._base
                limit = len(buffer) - 12
                continue
            position += head + length
            if position > self.size:
                self._past(position - length - head, tag, position - length, length)
        self._end_in_zeros(position, first)
        return None

    def starts_bare(self) -> bool:
        """Whether byte 0 starts a data set without preamble and mark, as in archives older than them.

        Believed only of a little-endian group 0002 or 0008 whose elements ascend without a flaw to one that tells
        what the object is, or to Rows.
        """
        try:
            return self._ascends_to_proof()
        except (DamagedError, OddLayoutError):
            return False

    def _ascends_to_proof(self) -> bool:
        position, last = 0, 0
        while position + 12 <= self.size:
            implicit = not self.is_explicit(position)
            raw, vr, length, value = self._element(position, implicit)
            tag = swapped(raw)
            if tag <= last or (last == 0 and tag >> 16 not in _FIRST_GROUPS):
                return False
            if tag in _PROOFS:
                return bool(_PROOFS[tag].fullmatch(self._value(raw, vr, value, length)[0]))
            last = tag
            if length == UNDEFINED:
                position = self._skip_sequence(value, implicit or vr == b"UN", 1)
            else:
                position = self._past(position, raw, value, length)
        return False

    def is_explicit(self, position: int) -> bool:
        """Whether the element that starts here has a VR."""
        start = self.at(position, 12)
        vr = self.buffer[start + 4 : start + 6]
        return vr in _SHORT or vr in LONG

    def _more(self, position: int) -> bool:
        """Whether an element can start here; a few zeros after the last one are padding."""
        start = self.at(position, 12)
        left = self.size - position
        if left >= 8:
            return True
        if left < 0 or any(self.buffer[start : start + left]):
            raise DamagedError(f"ends inside an element at byte {position}")
        return False

    def _long_length(self, tag: int, vr: bytes, start: int) -> int:
        """The length of an element whose VR is none of the short ones; of group 0000 any."""
        if vr not in LONG and tag & 0xFFFF:
            raise OddLayoutError(f"{tag_name(swapped(tag))} has no known VR")
        length: int = _UINT.unpack_from(self.buffer, start + 8)[0]
        return length

    def _end_in_zeros(self, position: int, first: int) -> None:
        """The data set ends here in padding: an element of group 0000 is none."""
        start = self.at(position, 12)
        if any(self.buffer[start : start + 8]) and position == first:
            raise OddLayoutError("commands stand before the data set")  # of a network transfer, saved with it
        if not only_zeros(self._fetch, position, self.size):
            raise DamagedError(f"group 0000 stands in the data set at byte {position}")

    def _element(self, position: int, implicit: bool) -> tuple[int, bytes, int, int]:
        """Tag, VR, length and value position of the element, item or delimiter that starts here."""
        if position + 8 > self.size:
            raise DamagedError(f"ends inside an element at byte {position}")
        start = self.at(position, 12)
        tag, length = _IMPLICIT.unpack_from(self.buffer, start)
        if not tag & 0xFFFF:
            raise DamagedError(f"group 0000 stands in the data set at byte {position}")
        if implicit or tag in (_ITEM, _ITEM_END, _SEQUENCE_END):
            return tag, b"", length, position + 8
        _, vr, length = _EXPLICIT.unpack_from(self.buffer, start)
        if vr in _SHORT:
            return tag, vr, length, position + 8
        if vr not in LONG:
            raise OddLayoutError(f"{tag_name(swapped(tag))} has no known VR")
        return tag, vr, _UINT.unpack_from(self.buffer, start + 8)[0], position + 12

    def _past(self, position: int, tag: int, value: int, length: int) -> int:
        if length == UNDEFINED:
            raise OddLayoutError(f"{tag_name(swapped(tag))} has no length")
        if value + length > self.size:
            raise DamagedError(
                f"{tag_name(swapped(tag))} at byte {position} claims {length} bytes, "
                f"{max(0, self.size - value)} are left"
            )
        return value + length

    def _value(self, tag: int, vr: bytes, position: int, length: int) -> Found:
        if length > _MAX_VALUE:
            if length == UNDEFINED:
                raise OddLayoutError(f"{tag_name(swapped(tag))} has no length")
            raise DamagedError(f"{tag_name(swapped(tag))} claims {length} bytes, more than its kind can have")
        self._past(position - 8, tag, position, length)
        start = self.at(position, length)
        if position + length > self.size:  # a deflated stream shows its end only when it is read
            raise DamagedError(f"ends inside {tag_name(swapped(tag))}")
        return self.buffer[start : start + length], vr

    def _skip_sequence(self, position: int, implicit: bool, depth: int) -> int:
        """The byte after the delimiter of a sequence (or of encapsulated fragments) whose items start here."""
        if depth > _MAX_DEPTH:
            raise DamagedError(f"sequences are nested more than {_MAX_DEPTH} deep at byte {position}")
        while True:
            tag, _, length, value = self._element(position, True)
            if tag == _SEQUENCE_END:
                return value
            if tag != _ITEM:
                raise OddLayoutError(f"{tag_name(swapped(tag))} stands between the items of a sequence")
            if length == UNDEFINED:
                position = self._skip_item(value, implicit, depth)
            else:
                position = self._past(position, tag, value, length)

    def _skip_item(self, position: int, implicit: bool, depth: int) -> int:
        while True:
            tag, vr, length, value = self._element(position, implicit)
            if tag == _ITEM_END:
                return value
            if length == UNDEFINED:
                position = self._skip_sequence(value, implicit or vr == b"UN", depth + 1)
            else:
                position = self._past(position, tag, value, length)


def _left(key: int, optional: Container[int], found: dict[int, Found]) -> bool:
    """Whether an element without a sensible length can be left where it is; that it is there is noted."""
    if key not in optional:
        return False
    found[key] = _LEFT
    return True
