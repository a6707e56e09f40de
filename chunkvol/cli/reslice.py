"""The verb that cuts one plane out of a scan: slice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np

from chunkvol.cli.params import POINT, parse_length, parse_signed_length
from chunkvol.cli.reading import ReadingCommand, reading_options
from chunkvol.cli.running import Run, making_options, run_options, source_argument, write
from chunkvol.errors import InputError
from chunkvol.geometry import Affine
from chunkvol.geometry.planes import VIEWS, SlicePlane
from chunkvol.kernels.resampling import METHODS
from chunkvol.markups import read_markup
from chunkvol.ops.reslice import COMBINED, reslice
from chunkvol.pipeline import open_volume
from chunkvol.progress import Progress
from chunkvol.transforms import read_transform
from chunkvol.volume import Volume

_ALIASES = {"mip": "max", "minip": "min"}
_FRAMES = {"markup": "plane", "frame_matrix": "frame-matrix"}
"""What states axes of its own, and the option's name."""
_ITK = b"#Insight Transform File"

__all__ = ["slice_"]


class _Parsed(click.ParamType):  # type: ignore[type-arg]  # generic only in newer releases of click
    """Numbers with a separator between them, each parsed alike, of which there may be so many."""

    def __init__(self, name: str, parse: Callable[[str], Any], counts: tuple[int, ...], separator: str = ",") -> None:
        self.name = name
        self._parse, self._counts, self._separator = parse, counts, separator

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        parts = value.split(self._separator)
        if len(parts) not in self._counts:
            self.fail(f"{value!r} has {len(parts)} values; write it as {self.name}", param, ctx)
        try:
            return tuple(self._parse(part) for part in parts)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _point(text: str) -> Any:
    return POINT.convert(text, None, None)


_PLACE = _Parsed("MM", parse_signed_length, (1,))
_PAIR = _Parsed("W,H", parse_length, (2,))
_ONE_OR_TWO = _Parsed("LENGTH|W,H", parse_length, (1, 2))
_POINTS = _Parsed("X,Y,Z;X,Y,Z;X,Y,Z", _point, (3,), ";")

_PLANES = (
    click.option("--axial", type=_PLACE, help="The axial plane at this z."),
    click.option("--coronal", type=_PLACE, help="The coronal plane at this y."),
    click.option("--sagittal", type=_PLACE, help="The sagittal plane at this x."),
    click.option("--point", type=POINT, help="A point of the plane, mm; with --normal."),
    click.option("--normal", type=POINT, help="A direction at right angles to the plane."),
    click.option("--through", type=_POINTS, help="Three points of the plane, mm."),
    click.option(
        "--plane",
        "markup",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The plane that was drawn in Slicer, a .mrk.json.",
    ),
    click.option(
        "--frame-matrix",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="4 x 4 text, mm: columns are x axis, y axis, normal and origin.",
    ),
    click.option(
        "--keep-axes", is_flag=True, help="Rows, columns along x, y of --frame-matrix or --plane as they are."
    ),
    click.option(
        "--coordinates",
        type=click.Choice(["lps", "ras"]),
        default="lps",
        show_default=True,
        help="Of what is typed, and of --frame-matrix; Slicer shows RAS.",
    ),
)
_IMAGE = (
    click.option("--pixel", type=_ONE_OR_TWO, help="Spacing of pixels: 0.1, 50um, or 0.1,0.2 for width, height."),
    click.option("--fov", type=_PAIR, help="Width, height of the image in mm (default all of the volume)."),
    click.option("--centre", type=POINT, help="Point whose nearest one in the plane is the middle of the image."),
    click.option("--slab", type=_Parsed("LENGTH", parse_length, (1,)), help="Thickness (default thin)."),
    click.option(
        "--combine",
        type=click.Choice([*COMBINED, *_ALIASES]),
        default="mean",
        show_default=True,
        help="What is shown of a slab.",
    ),
    click.option(
        "--method",
        type=click.Choice(METHODS),
        help="How values between voxels are found (default linear; of segments nearest).",
    ),
    click.option(
        "--outside", type=float, help="Real value beyond the field of view (default: stated padding, -1000 HU, or 0)."
    ),
)


def _with(options: tuple[Any, ...]) -> Callable[[Any], Any]:
    """Add options, in this order."""

    def decorate(verb: Any) -> Any:
        for option in reversed(options):
            verb = option(verb)
        return verb

    return decorate


@click.command("slice", cls=ReadingCommand)
@source_argument
@_with((*_PLANES, *_IMAGE))
@click.option("--level", type=click.IntRange(0), default=0, show_default=True, help="Of a pyramid; 0 is the finest.")
@making_options
@reading_options
@run_options
def slice_(
    run: Run,
    source: Path,
    reading: dict[str, Any],
    pixel: tuple[float, ...] | None,
    fov: tuple[float, float] | None,
    centre: tuple[float, float, float] | None,
    slab: tuple[float] | None,
    combine: str,
    method: str | None,
    outside: float | None,
    level: int,
    making: dict[str, Any],
    **plane: Any,
) -> None:
    """Cut one plane out of SOURCE, of any orientation, as one image with its true place, spacing and orientation.

    Rows and columns run as radiologists see the nearest anatomical plane: axial to L and P, coronal to L and I,
    sagittal to P and I; never a mirror. Lengths are in mm.

    \b
    Examples:
      chunkvol slice dicom/ --coronal -12.5 -o coronal.dcm --template dicom/
      chunkvol slice scan.ome.zarr --point 10,-4,88 --normal 0.2,0,1 --pixel 0.05 -o oblique.nrrd
      chunkvol slice scan.ome.zarr --axial 40 --slab 5 --combine mip -o mip.png --dtype uint8 --window 0,3000
    """
    cut = _plane(plane)
    if not slab and combine != "mean":
        raise InputError(f"--combine {combine} is about the planes of a slab: give --slab LENGTH with it")
    asked: dict[str, Any] = {
        "spacing": None if pixel is None else (pixel[-1], pixel[0]),
        "fov": None if fov is None else fov[::-1],
        "centre": None if centre is None else _lps(centre, plane["coordinates"]),
        "slab": slab[0] if slab else 0.0,
        "combine": _ALIASES.get(combine, combine),
        "method": method,
        "outside": outside,
    }

    def make(progress: Progress) -> Volume:
        return reslice(open_volume(source, level=level, progress=progress, **reading), cut, **asked)

    write(run, make, **making)


# --------------------------------------------------------------------------------------------------------- the plane


def _plane(asked: dict[str, Any]) -> SlicePlane:
    """The one plane that was asked for."""
    coordinates = asked["coordinates"]
    if (asked["point"] is None) != (asked["normal"] is None):
        raise InputError("--point and --normal make a plane together: give both")
    ways = [name for name in (*VIEWS, "point", "through", *_FRAMES) if asked[name] is not None]
    if len(ways) != 1:
        given = " and ".join(f"--{_FRAMES.get(name, name)}" for name in ways)
        raise InputError(
            "name one plane: --axial, --coronal or --sagittal MM, --point with --normal, --through, --plane or "
            "--frame-matrix" + f"; found {given}" * bool(ways)
        )
    if asked["keep_axes"] and ways[0] not in _FRAMES:
        raise InputError(f"--{ways[0]} states no axes that --keep-axes could keep; --frame-matrix and --plane do")
    way = ways[0]
    if way in VIEWS:
        sign = -1.0 if coordinates == "ras" and way != "axial" else 1.0
        return SlicePlane.anatomical(way, sign * asked[way][0])
    if way == "point":
        return SlicePlane.facing(_lps(asked["point"], coordinates), _lps(asked["normal"], coordinates))
    if way == "through":
        return SlicePlane.through([_lps(point, coordinates) for point in asked["through"]])
    matrix = _matrix(asked[way], coordinates) if way == "frame_matrix" else _drawn(asked[way])
    return SlicePlane.framed(matrix, keep_axes=asked["keep_axes"])


def _lps(point: tuple[float, float, float], coordinates: str) -> tuple[float, float, float]:
    x, y, z = point
    return (-x, -y, z) if coordinates == "ras" else (x, y, z)


def _drawn(path: Path) -> Affine:
    """The frame of a plane of Slicer's."""
    box = read_markup(path, "Plane").box
    assert box is not None, "planes have one"
    frame = np.eye(4)
    frame[:3, :3], frame[:3, 3] = box.axes, box.origin
    return frame


def _matrix(path: Path, coordinates: str) -> Affine:
    """The 16 numbers of a file; a transform of ITK leads the other way, and is none."""
    matrix = read_transform(path, "output-to-input")
    with open(path, "rb") as file:
        if file.read(len(_ITK)) == _ITK:
            raise InputError(
                f"{path} is a transform of ITK, which leads from a result to its input and is no frame: write 4 x 4 "
                "numbers, columns x axis, y axis, normal and origin (mm)"
            )
    signs = (-1.0, -1.0, 1.0, 1.0) if coordinates == "ras" else (1.0, 1.0, 1.0, 1.0)
    return np.asarray(np.diag(signs) @ matrix)
