"""What a multi-frame object says of each of its frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from chunkvol.errors import FormatError, GeometryError
from chunkvol.formats.dicom.headers import values
from chunkvol.formats.dicom.headers.fallback import as_found
from chunkvol.formats.dicom.headers.fields import TAGS, checked
from chunkvol.formats.dicom.headers.header import Header
from chunkvol.formats.dicom.headers.walker import Found

NUCLEAR_MEDICINE = "1.2.840.10008.5.1.4.1.1.20"
RT_DOSE = "1.2.840.10008.5.1.4.1.1.481.2"

_SHARED, _PER_FRAME = 0x52009229, 0x52009230
_UNASSIGNED = 0x00209170, 0x00209171  # shared, per frame: what had no other place when single frames were converted
_STACK_ID = 0x00209056
_IN_GROUPS: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("position", (0x00209113, 0x00200032)),
    ("orientation", (0x00209116, 0x00200037)),
    ("pixel_spacing", (0x00289110, 0x00280030)),
    ("slice_thickness", (0x00289110, 0x00180050)),
    ("spacing_between", (0x00289110, 0x00180088)),
    ("slope", (0x00289145, 0x00281053)),
    ("intercept", (0x00289145, 0x00281052)),
    ("rescale_type", (0x00289145, 0x00281054)),
    ("image_type", (0x00189226, 0x00089007)),  # MR
    ("image_type", (0x00189329, 0x00089007)),  # CT
    ("image_type", (0x00189751, 0x00089007)),  # PET
    ("image_type", (0x00189504, 0x00089007)),  # X-ray 3D
    ("image_type", (0x00409092, 0x00089007)),  # parametric map
    ("echo_time", (0x00189114, 0x00189082)),
    ("b_value", (0x00189117, 0x00189087)),
    ("gradient", (0x00189117, 0x00189076, 0x00189089)),
    ("temporal_position", (0x00209111, 0x00209128)),
    ("trigger_time", (0x00189118, 0x00209153)),
    *(
        (field, (sequence, TAGS[field]))
        for sequence in _UNASSIGNED
        for field in ("echo_time", "echo_number", "b_value", "gradient", "temporal_position", "trigger_time")
    ),
)
"""Where a field stands in the functional groups (PS3.3 section C.7.6.16); the first that is there counts."""

_OFFSETS, _SCALING, _UNITS = 0x3004000C, 0x3004000E, 0x30040002
_DETECTORS, _SLICE_VECTOR, _POINTER = 0x00540022, 0x00540080, 0x00280009
_VECTORS = {
    0x00540010: "energy window",
    0x00540030: "phase",
    0x00540060: "R-R interval",
    0x00540070: "time slot",
    0x00540100: "time slice",
}
"""What tells stacks of a nuclear medicine object apart (PS3.3 section C.8.4.8)."""
_FRAME_TIMES = {0x00181063, 0x00181065}
"""Frame Time and Frame Time Vector: what the Frame Increment Pointer of a film points to (PS3.3 section C.7.6.5)."""

_LARGEST = 1e30

Facts = dict[str, Any]
Vector = npt.NDArray[np.float64]

__all__ = ["NEEDED", "NUCLEAR_MEDICINE", "RT_DOSE", "facts_of_frames"]

NEEDED = (_SHARED, _PER_FRAME, _OFFSETS, _SCALING, _UNITS, _DETECTORS, _SLICE_VECTOR, _POINTER, *_VECTORS)
"""Elements of the top level that are looked at, besides those in the header."""


def facts_of_frames(dataset: Any, header: Header, frames: int) -> list[Facts]:
    """Fields of each frame's header that differ from the file's.

    Raises
    ------
    FormatError, GeometryError
        When the file contradicts itself, or a value that matters is nonsense.
    """
    per_frame = _items(dataset, _PER_FRAME)
    shared = _items(dataset, _SHARED)
    if per_frame or shared:
        return _from_groups(header, frames, shared, per_frame)
    facts: list[Facts] = [{} for _ in range(frames)]
    if header.sop_class == RT_DOSE:
        dose = checked(header.path, _found({"slope": dataset.get(_SCALING), "rescale_type": dataset.get(_UNITS)}))
        facts = [dict(dose) for _ in facts]
    if frames > 1:
        _place(dataset, header, facts)
    return facts


def _from_groups(header: Header, frames: int, shared: Sequence[Any], per_frame: Sequence[Any]) -> list[Facts]:
    if per_frame and len(per_frame) != frames:
        raise FormatError(
            f"{header.path} has {len(per_frame)} items in its PerFrameFunctionalGroupsSequence for {frames} frames; "
            "export it again"
        )
    unplaced: Facts = {"position": None} if frames > 1 else {}  # what the top level says is true of one frame at most
    common = _raw(shared[0]) if shared else {}
    out = []
    for n, item in enumerate(per_frame or [None] * frames):
        found = dict(common)
        if item is not None:
            found.update(_raw(item))
            item.clear()  # pydicom holds some 20 KB a frame
        stack = found.pop(_STACK_ID, None)
        facts = {**unplaced, **checked(f"{header.path} (frame {n})", found)}
        if stack is not None:
            facts["stack"] = values.text(*stack)
        out.append(facts)
    return out


def _raw(item: Any) -> dict[int, Found]:
    """The elements of one item of the functional groups, under the tags of their fields."""
    elements: dict[str, Any] = {}
    for field, path in _IN_GROUPS:
        if field not in elements and (element := _follow(item, path)) is not None:
            elements[field] = element
    found = _found(elements)
    stack = as_found(_follow(item, (0x00209111, _STACK_ID)))
    return found if stack is None else {**found, _STACK_ID: stack}


def _follow(item: Any, path: Sequence[int]) -> Any:
    for tag in path[:-1]:
        inner = _items(item, tag)
        if not inner:
            return None
        item = inner[0]
    return item.get(path[-1])


def _items(dataset: Any, tag: int) -> Sequence[Any]:
    element = dataset.get(tag)
    return element.value if element is not None and element.VR == "SQ" else ()


def _found(elements: dict[str, Any]) -> dict[int, Found]:
    raw = ((TAGS[field], as_found(element)) for field, element in elements.items())
    return {tag: value for tag, value in raw if value is not None}


def _place(dataset: Any, header: Header, facts: list[Facts]) -> None:
    """Positions of the frames of an object without functional groups, where its kind has a way to tell them."""
    for fact in facts:
        fact["position"] = None
    offsets = _numbers(dataset.get(_OFFSETS))
    if offsets is not None:
        _at_offsets(header, facts, offsets)
    elif header.sop_class == NUCLEAR_MEDICINE and any(word.startswith("RECON") for word in header.image_type):
        _in_slices(dataset, header, facts)
    elif (pointers := _pointers(dataset)) and pointers <= _FRAME_TIMES:
        for n, fact in enumerate(facts, start=1):
            fact["temporal_position"] = n


def _at_offsets(header: Header, facts: list[Facts], offsets: Vector) -> None:
    """Grid Frame Offset Vector (PS3.3 section C.8.8.3.2): along the normal, or z itself."""
    if len(offsets) != len(facts):
        raise GeometryError(
            f"{header.path} has {len(offsets)} values in its GridFrameOffsetVector for {len(facts)} frames; "
            "export it again"
        )
    if header.position is None or header.orientation is None:
        return
    if offsets[0] != 0:
        if header.orientation != (1, 0, 0, 0, 1, 0) or abs(offsets[0] - header.position[2]) > 1e-3:
            raise GeometryError(
                f"{header.path} has a GridFrameOffsetVector that starts with {offsets[0]:g}, expected 0, or z of "
                f"ImagePositionPatient ({header.position[2]:g}) in axial planes; export it again"
            )
        offsets = offsets - header.position[2]
    _stack(facts, header.position, header.orientation, offsets)


def _in_slices(dataset: Any, header: Header, facts: list[Facts]) -> None:
    """Slices of nuclear medicine: evenly along the normal, backwards where the spacing is negative (C.8.4.15)."""
    slices = _numbers(dataset.get(_SLICE_VECTOR))
    pointers = _pointers(dataset)
    if slices is None and pointers <= {_SLICE_VECTOR}:
        slices = np.arange(1.0, len(facts) + 1)
    if slices is None or len(slices) != len(facts) or pointers - {_SLICE_VECTOR, *_VECTORS, 0x00540020}:
        return
    for tag, name in _VECTORS.items():
        vector = _numbers(dataset.get(tag))
        if vector is not None and len(vector) == len(facts) and len(set(vector)) > 1:
            for fact, value in zip(facts, vector, strict=True):
                fact["stack"] = ", ".join([*filter(None, [fact.get("stack")]), f"{name} {value:g}"])
    place = _detector_place(dataset, header)
    if place is not None and header.spacing_between:
        _stack(facts, *place, (slices - 1) * header.spacing_between)


def _detector_place(dataset: Any, header: Header) -> tuple[Any, Any] | None:
    """Position and orientation of the first slice: of the object, or of its detectors where they agree."""
    places = {(header.position, header.orientation)}
    if places == {(None, None)}:
        raw = (
            _found({"position": item.get(0x00200032), "orientation": item.get(0x00200037)})
            for item in _items(dataset, _DETECTORS)
        )
        read = [checked(f"{header.path} (detector)", found) for found in raw]
        places = {(facts.get("position"), facts.get("orientation")) for facts in read}
    if len(places) != 1 or None in (place := places.pop()):
        return None
    return place


def _stack(facts: list[Facts], position: Sequence[float], orientation: Sequence[float], heights: Vector) -> None:
    row, column = np.reshape(np.array(orientation), (2, 3))
    normal = np.cross(row, column)
    length = float(np.linalg.norm(normal))
    if not length:
        return
    points = np.asarray(position) + np.outer(heights, normal / length)
    shared = tuple(orientation)
    for fact, point in zip(facts, points.tolist(), strict=True):
        fact.update(position=tuple(point), orientation=shared)


def _pointers(dataset: Any) -> set[int]:
    element = dataset.get(_POINTER)
    if element is None or element.value is None:
        return set()
    parts: Iterable[Any] = element.value if type(element.value).__name__ == "MultiValue" else [element.value]
    return {int(part) for part in parts}


def _numbers(element: Any) -> Vector | None:
    """Finite numbers of a multi-valued element, not beyond all sense."""
    found = as_found(element)
    if not found or not found[0]:
        return None
    out = np.array([float(part) for part in found[0].split(b"\\")])
    return out if (np.abs(out) < _LARGEST).all() else None  # of NaN too this is false
