"""Frames in which other programs load stacks of slices, so that landmarks placed there still fit.

Both programs are modules of SlicerMorph; what they do was read from their sources. Slicer's world is RAS; here it is
LPS, so x and y change sign: a step of (R, A, S) is one of (-R, -A, S).
"""

from __future__ import annotations

from chunkvol.errors import InputError
from chunkvol.formats.place import Place
from chunkvol.geometry import Geometry
from chunkvol.geometry.grid import Matrix

_DIRECTIONS: dict[str, Matrix] = {
    # ImageStacks: IJK to RAS is diag(-s, -s, s), which is i, j, k along L, P, S.
    "imagestacks": ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)),
    # SkyscanReconImport: the same, after which A and S are exchanged and the result is kept. i grows to the left,
    # j (rows) from -j s along A to -j s along S, that is downwards (I), k from k s along S to k s along A. The
    # determinant is the other one: sections of NRecon in their order show a mirror image, and this undoes it.
    "skyscan": ((0.0, 0.0, 1.0), (-1.0, 0.0, 0.0), (0.0, -1.0, 0.0)),
}
"""Rows are world x, y, z (LPS), columns the array axes k, j, i."""

FRAMES = tuple(_DIRECTIONS)
"""SlicerMorph's ImageStacks and SkyscanReconImport modules."""

__all__ = ["FRAMES", "check_frame", "framed"]


def framed(geometry: Geometry, frame: str) -> Geometry:
    """The grid of the same voxels where the other program puts them; its origin and axes are those of that program.

    Both put the centre of voxel (0, 0, 0) at the world's origin. With "imagestacks" i, j, k grow along L, P, S; with
    "skyscan" along L, I, A (a left-handed grid). The spacing is kept: SkyscanReconImport itself gives all three axes
    the pixel size of the log, so where NRecon skipped sections, landmarks of that module need `spacing` as well.

    Parameters
    ----------
    geometry
        Its shape and spacing are used.
    frame
        One of `FRAMES`.

    Raises
    ------
    InputError
        There is no such frame.
    """
    if frame not in _DIRECTIONS:
        raise InputError(f"there is no frame {frame!r}: choose one of {', '.join(FRAMES)}")
    return Geometry(geometry.shape, (0.0, 0.0, 0.0), geometry.spacing, _DIRECTIONS[frame])


def check_frame(frame: str, place: Place) -> None:
    """Refuse a frame that does not exist, or one beside what says as much: an origin, an orientation, a whole grid.

    Raises
    ------
    InputError
        The request contradicts itself.
    """
    if not frame:
        return
    if frame not in _DIRECTIONS:
        raise InputError(f"there is no frame {frame!r}: choose one of {', '.join(FRAMES)}")
    given = [name for name in ("origin", "orientation", "geometry") if getattr(place, name)]
    if given:
        raise InputError(
            f"--frame {frame} says where the voxels lie, and so does --{given[0]}: leave out one of them; "
            "--spacing goes with both"
        )
