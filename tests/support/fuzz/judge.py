"""Whether the planes that were read are those that the files hold, by the opinion of another reader."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.support.elements import parse
from tests.support.fuzz.child import Child
from tests.support.fuzz.reference import READINGS, Opinion, ask

Pixels = npt.NDArray[Any]

_PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_NO_OPINION = "does not support"
"""What pydicom says where no decoder that it knows takes the kind of frame, sound or not."""

__all__ = ["Verdict", "compare", "judge"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison found."""

    name: str
    """One of the outcomes."""
    why: str = ""
    """What the reference said, or where the difference lies."""
    bad: bool = False
    """Whether it is a finding."""


def judge(
    volume: Pixels, origin: Sequence[float], folder: Path, sound: Path, damaged: set[str], child: Child
) -> Verdict:
    """Compare the planes of a volume (k, j, i) with what the reference reads from the files.

    A damaged file whose pixels the reference refuses is judged by the sound file that it was made of, or by that one
    with the damaged file's pixels: what was read in spite of the refusal must be right.
    """
    names = sorted(path.name for path in folder.glob("*.dcm") if path.is_file())
    lost, verdicts = [name for name in names if name in damaged], []
    with TemporaryDirectory() as spare:
        for reading in READINGS:
            opinions = _asked(child, folder, names, reading)
            for other in (sound, Path(spare)):
                if other != sound and not verdicts[1:]:
                    _mix(other, folder, sound, lost)
                verdict = compare(volume, origin, opinions, _asked(child, other, lost, reading))
                if not verdict.bad:
                    return verdict
                verdicts.append(verdict)
    # The opinion that has pixels to show, where only one has.
    return next((verdict for verdict in verdicts if verdict.name != "made up"), verdicts[0])


def _asked(child: Child, folder: Path, names: Sequence[str], reading: tuple[str, str]) -> dict[str, Opinion]:
    return dict(zip(names, ask(child, [str(folder / name) for name in names], reading), strict=True))


def _mix(spare: Path, folder: Path, sound: Path, names: Iterable[str]) -> None:
    """Write sound files with the pixel data of the damaged ones, where it can be taken out."""
    for name in names:
        mixed = (sound / name).read_bytes()
        whole, file = parse(mixed), parse((folder / name).read_bytes())
        if whole is not None and file is not None and whole.syntax == file.syntax:
            for pixels in (file.get(tag) for tag in _PIXELS if whole.at(tag) is not None):
                mixed = mixed if pixels is None else whole.with_element(pixels).encoded()
        (spare / name).write_bytes(mixed)


def compare(
    volume: Pixels, origin: Sequence[float], opinions: dict[str, Opinion], originals: dict[str, Opinion]
) -> Verdict:
    """A verdict on the planes (k, j, i) that were read, by what is said of each file, and of the sound ones."""
    planes = [plane.astype(np.float64 if plane.dtype.kind == "f" else np.int64) for plane in volume]
    refused = {name: opinion for name, opinion in opinions.items() if opinion.frames is None}
    read = {name: opinion for name, opinion in opinions.items() if opinion.frames is not None}
    if any(_NO_OPINION in opinion.reason for opinion in refused.values()):
        return Verdict("no reference")
    left = _take_away(planes, read.values())
    why = "; ".join(f"{name}: {opinion.reason}" for name, opinion in refused.items())[:400]
    if left:
        left = _take_away(left, [one for name, one in originals.items() if name in refused and one.frames is not None])
        if left:
            name, known = ("made up", originals) if refused else ("differs", read)
            return Verdict(name, f"{_difference(left[0], known)}; {why}", True)
        return Verdict("right, refused by the reference", why)
    if sum(len(one.frames) for one in read.values() if one.frames is not None) > len(planes):
        return Verdict("left out", f"{len(planes)} planes of {len(opinions)} files")
    return _placed(planes, origin, read)


def _take_away(planes: list[Pixels], opinions: Any) -> list[Pixels]:
    """The planes that are none of the frames; each frame counts once."""
    frames = [
        (frame, real, opinion.clipped_at)
        for opinion in opinions
        for frame, real in zip(opinion.frames, opinion.rescaled(), strict=True)
    ]
    left = []
    for plane in planes:
        n = next((n for n, one in enumerate(frames) if _is(plane, *one)), None)
        if n is None:
            left.append(plane)
        else:
            del frames[n]
    return left


def _is(plane: Pixels, frame: Pixels, real: Pixels, clipped_at: int | None) -> bool:
    return (
        _equal(plane, frame) or _close(plane, real) or (clipped_at is not None and _clipped(plane, frame, clipped_at))
    )


def _clipped(plane: Pixels, frame: Pixels, largest: int) -> bool:
    """Whether planes of lossy JPEG differ only where one of them is at an end of the range, and not in most pixels.

    A damaged quantization table gives coefficients that no encoder makes. What becomes of them beyond the range T.81
    does not say, and decoders, though they agree in all other pixels, do not: libjpeg wraps them, libjpeg-turbo clips.
    """
    if plane.shape != frame.shape:
        return False
    differ = plane != frame
    ends = np.isin(plane, (0, largest)) | np.isin(frame, (0, largest))
    return bool(ends[differ].all() and 2 * differ.sum() < plane.size)


def _equal(plane: Pixels, frame: Pixels) -> bool:
    return plane.shape == frame.shape and np.array_equal(plane, frame, equal_nan=plane.dtype.kind == "f")


def _close(plane: Pixels, real: Pixels) -> bool:
    """Planes of several slopes are read as real values."""
    return plane.dtype.kind == "f" and plane.shape == real.shape and np.allclose(plane, real, rtol=1e-6, equal_nan=True)


def _difference(plane: Pixels, read: dict[str, Opinion]) -> str:
    """How far the nearest frame is."""
    closest = ""
    fewest = plane.size + 1
    for name, opinion in read.items():
        for frame in opinion.frames if opinion.frames is not None else ():
            if frame.shape != plane.shape:
                closest = closest or f"{name} has frames of {frame.shape}, read was {plane.shape}"
            elif (count := int((frame != plane).sum())) < fewest:
                most = float(np.nanmax(np.abs(frame - plane)))
                fewest, closest = count, f"{count} of {plane.size} pixels of {name}, by up to {most:g}"
    return closest


def _placed(planes: list[Pixels], origin: Sequence[float], read: dict[str, Opinion]) -> Verdict:
    """The volume's origin is the position of the file that holds its first plane."""
    places = [one.position for one in read.values() if one.frames is not None and _equal(planes[0], one.frames[0])]
    known = [place for place in places if place is not None]
    if known and min(float(np.abs(np.subtract(place, origin)).max()) for place in known) > 1e-6:
        return Verdict("misplaced", f"origin {list(origin)}, file {known}", True)
    return Verdict("same pixels")
