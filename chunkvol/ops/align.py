"""Two volumes on one grid."""

from __future__ import annotations

from dataclasses import replace

from chunkvol.errors import GeometryError
from chunkvol.geometry.fields import overlap
from chunkvol.ops.resample import LABEL, resample
from chunkvol.volume import Volume, check_volume

__all__ = ["align", "meeting"]


def align(
    moving: Volume,
    fixed: Volume,
    *,
    labels: bool | None = None,
    method: str | None = None,
    antialias: bool = True,
    outside: float | None = None,
) -> tuple[Volume, Volume]:
    """Both volumes on the grid of `fixed`, so that voxels of the same index lie at the same place; lazy.

    `numpy.asarray` of each, or its `.array` for dask, is then an array on the one grid.

    Parameters
    ----------
    moving
        The one that is resampled; its place in the world is believed.
    fixed
        Its grid stays; it comes back without its pyramid.
    labels
        Whether `moving` holds labels, which are chosen and never mixed; None asks the format (`.seg.nrrd`, DICOM SEG).
    method, antialias, outside
        As in `resample`.

    Raises
    ------
    GeometryError
        Their fields of view have no point in common, or the place of one is not known.
    InputError
        As `resample`.
    """
    for name, volume in (("moving", moving), ("fixed", fixed)):
        check_volume(volume)
        if volume.metadata.assumed:
            raise GeometryError(
                f"nobody stated where the {name} volume lies ({'; '.join(volume.metadata.problems) or 'assumed'}): "
                "say it with spacing, origin and orientation, or a geometry, when it is opened"
            )
    if labels and method is None:
        method = LABEL
    made = resample(moving, fixed, method=method, antialias=antialias, outside=outside)
    return made, replace(fixed, coarser=())


def meeting(moving: Volume, fixed: Volume) -> list[str]:
    """What there is to say of how two volumes lie before they are aligned, a sentence each."""
    share = overlap(moving.geometry, fixed.geometry)
    said = [
        f"{share.of_a:.1%} of the moving field of view lies within the fixed one, "
        f"and {share.of_b:.1%} of the fixed one within the moving one"
    ]
    frames = [volume.metadata.frame_of_reference for volume in (moving, fixed)]
    if all(frames) and frames[0] != frames[1]:
        said.append(
            "their Frame of Reference UIDs differ: nobody promises that the two share one world; check the result"
        )
    return said
