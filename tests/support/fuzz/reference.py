"""What pydicom and its decoders make of a file; in a process of its own, because some of them crash."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.support.fuzz.child import Child, CrashedError, HungError, serve

_PATIENCE = 30.0
_DATA = 12 << 30  # it allocates what a length claims before it reads; untouched, that costs nothing
_LARGEST = 256 << 20
_CLEARED = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (50, 57, 70))
"""Where GDCM clears all but the lowest BitsStored bits, so that nobody can see the bits up to a higher HighBit."""
_LOSSY = ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51")

__all__ = ["READINGS", "Opinion", "ask"]

READINGS = (("", ""), ("gdcm", ""), ("", "high bit"), ("", "own bits"))
"""Decoder (pydicom's own choice, or the one that shares no code with it), and which bits of a codestream are the value:
those of BitsStored, those up to HighBit, or no more than the codestream says that it has; the standard does not say."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the reference says of one file."""

    frames: npt.NDArray[Any] | None
    """Stored values (frames, rows, columns), as int64 or float64; None where it refuses."""
    reason: str = ""
    """Why it refuses."""
    position: tuple[float, ...] | None = None
    """Image Position (Patient), where it has three numbers."""
    scales: tuple[tuple[float, float], ...] = ()
    """Rescale Slope and Rescale Intercept of each frame; where there are fewer, the last one is that of the others."""
    clipped_at: int | None = None
    """Largest value of lossy JPEG, at which decoders clip what is beyond it."""

    def rescaled(self) -> list[npt.NDArray[Any]]:
        """The real values of the frames."""
        frames = () if self.frames is None else self.frames
        last = self.scales[-1] if self.scales else (1.0, 0.0)
        with np.errstate(all="ignore"):  # a slope may be anything
            return [
                np.asarray(frame * slope + intercept)
                for frame, (slope, intercept) in zip_longest(frames, self.scales[: len(frames)], fillvalue=last)
            ]


def ask(child: Child, paths: Sequence[str], reading: tuple[str, str]) -> list[Opinion]:
    """An opinion on each file."""
    out = []
    for path in paths:
        try:
            out.append(child.ask((path, *reading), _PATIENCE))
        except (CrashedError, HungError) as error:
            out.append(Opinion(None, f"{type(error).__name__}: {str(error)[:200]}"))
    return out


def _answer(question: tuple[str, str, str]) -> Opinion:
    try:
        return _opinion(*question)
    except Exception as error:  # pydicom and its plugins raise what they like
        return Opinion(None, f"{type(error).__name__}: {str(error)[:200]}")


def _opinion(path: str, plugin: str, which: str) -> Opinion:
    import pydicom
    from pydicom.pixels.utils import pixel_array

    dataset = pydicom.dcmread(path, force=True)
    claimed = int(dataset.Rows) * int(dataset.Columns) * int(dataset.get("NumberOfFrames") or 1)
    if claimed * 8 > _LARGEST:
        raise ValueError(f"{claimed} pixels")
    _complete(dataset)
    options: dict[str, Any] = (
        {"decoding_plugin": plugin} if plugin and dataset.file_meta.TransferSyntaxUID.is_encapsulated else {}
    )
    stated = dataset.get("BitsStored")
    if which == "high bit" and dataset.file_meta.TransferSyntaxUID in _CLEARED:
        dataset.BitsStored = dataset.BitsAllocated
    pixels = pixel_array(dataset, correct_unused_bits=False, **options)
    dataset.BitsStored = stated
    if dataset.SamplesPerPixel == 3:
        if (pixels != pixels[..., :1]).any():
            raise ValueError("colour")
        pixels = pixels[..., 0]
    frames = pixels.reshape(-1, *pixels.shape[-2:])
    if frames.dtype.kind != "f":
        native = not dataset.file_meta.TransferSyntaxUID.is_encapsulated or _is_rle(dataset)
        own = _precision(dataset) if which == "own bits" and not native else 64
        frames = _stored_bits(frames.astype(np.int64), dataset, native or which == "high bit", own)
    return Opinion(
        frames.astype(np.float64 if frames.dtype.kind == "f" else np.int64),
        "",
        _place(dataset),
        tuple(_scale(dataset, n) for n in range(len(frames))),
        (1 << _precision(dataset)) - 1 if dataset.file_meta.TransferSyntaxUID in _LOSSY else None,
    )


def _complete(dataset: Any) -> None:
    """Say what goes without saying: these are required, but grey pixels are clear without them."""
    from pydicom.uid import UID

    if not dataset.file_meta.get("TransferSyntaxUID"):  # absent, or empty
        implicit, little = dataset.original_encoding
        explicit = "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2"
        dataset.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2" if implicit else explicit)
    dataset.setdefault("SamplesPerPixel", 1)
    dataset.setdefault("PhotometricInterpretation", "MONOCHROME2")
    if "BitsAllocated" in dataset:
        dataset.setdefault("BitsStored", dataset.BitsAllocated)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _drop_odd_table(dataset)


def _drop_odd_table(dataset: Any) -> None:
    """Leave out a Basic Offset Table without one entry a frame: pydicom looks frames up in it and finds none there.

    Without a table it goes by the fragments, or by the marks of their frames (PS3.5 section A.4).
    """
    data = dataset.get("PixelData") or b""
    end = 8 + int.from_bytes(data[4:8], "little")
    if data[:4] == b"\xfe\xff\x00\xe0" and end not in (8, 8 + 4 * int(dataset.get("NumberOfFrames") or 1)):
        dataset.PixelData = data[:4] + bytes(4) + data[end:]


def _stored_bits(values: npt.NDArray[np.int64], dataset: Any, shifted: bool, most: int) -> npt.NDArray[np.int64]:
    """The value's own bits, sign extended (PS3.5 section 8.1.1), which pydicom leaves to its callers."""
    bits, allocated = dataset.get("BitsStored"), dataset.BitsAllocated
    bits = allocated if bits is None else bits
    high = bits - 1 if dataset.get("HighBit") is None else dataset.HighBit
    if not 1 <= bits <= high + 1 <= allocated:
        raise ValueError(f"BitsStored {bits}, HighBit {high} of {allocated}")
    bits = min(bits, most)
    values = (values >> (high + 1 - bits if shifted else 0)) & ((1 << bits) - 1)
    if dataset.PixelRepresentation == 1:
        values = np.where(values >> (bits - 1) & 1, values - (1 << bits), values)
    return values


def _precision(dataset: Any) -> int:
    """Bits of a sample, as the first frame says itself."""
    from pydicom.encaps import get_frame

    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if frame[:4] == b"\xff\x4f\xff\x51":
        return (frame[42] & 0x7F) + 1
    start = next(n for n in range(len(frame) - 5) if frame[n] == 0xFF and frame[n + 1] in (*range(0xC0, 0xC4), 0xF7))
    return frame[start + 4]


def _is_rle(dataset: Any) -> bool:
    return bool(dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5")


def _place(dataset: Any) -> tuple[float, ...] | None:
    try:
        position = tuple(float(value) for value in dataset.ImagePositionPatient)
    except Exception:  # absent, or no numbers: then only the pixels are compared
        return None
    return position if len(position) == 3 else None


def _scale(dataset: Any, n: int) -> tuple[float, float]:
    """Slope and intercept of a frame: its own, those that frames share, or those of the file (PS3.3 C.7.6.16.2.9)."""
    for keyword, at in (("PerFrameFunctionalGroupsSequence", n), ("SharedFunctionalGroupsSequence", 0)):
        try:
            dataset = dataset[keyword][at].PixelValueTransformationSequence[0]
        except Exception:  # absent, or no sequence
            continue
        break
    slope = _number(dataset, "RescaleSlope", _number(dataset, "DoseGridScaling", 1))
    return slope, _number(dataset, "RescaleIntercept", 0)


def _number(dataset: Any, keyword: str, otherwise: float) -> float:
    try:
        return float(dataset.get(keyword, otherwise))
    except Exception:  # as above
        return otherwise


def main() -> None:
    """Answer with opinions."""
    resource.setrlimit(resource.RLIMIT_DATA, (_DATA, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    serve(_answer)
