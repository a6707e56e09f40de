"""A volume: lazy voxels, their geometry, and what is known about them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from chunkvol.errors import InputError
from chunkvol.geometry import Geometry
from chunkvol.metadata import Metadata, Rescale
from chunkvol.regions import Region, Shape, normalise, region_shape, whole
from chunkvol.sources import ArraySource, Block, CroppedSource, Source
from chunkvol.values import RescaledSource, real_dtype

_DASK_BLOCK = 64 << 20
"""Bytes of a dask block over planes; small enough that two threads and a result fit a laptop."""
_POINT = 24
"""Bytes of a world point."""

__all__ = ["Volume", "check_volume"]


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """Lazy voxels with their geometry and metadata; immutable, nothing is read until it is asked for.

    `Volume(array, geometry)` takes a numpy or dask array with axes (k, j, i), so the result of any dask operation can
    be written back with its place in the world. Truth values become 0 and 1 (uint8), float16 becomes float32.
    `volume[10:20, :, 5:]` is the part that numpy's slices cut out, in its place. A volume itself has no arithmetic and
    is not iterated: compute with `volume.array` (dask), or with `numpy.asarray(volume)` where all voxels fit in memory.

    Raises
    ------
    InputError
        The array's shape is not the geometry's, it does not hold real numbers or truth values, or it is masked, or a
        volume already (`attach` gives a volume another place).
    """

    data: Any
    """A `Source`, or a numpy or dask array, axes (k, j, i), stored values."""
    geometry: Geometry
    """Where the voxels lie."""
    metadata: Metadata = field(default_factory=Metadata)
    """Rescale and provenance."""
    coarser: tuple[Volume, ...] = ()
    """The further levels of a pyramid, finest first."""

    # Python would else ask for volume[0], volume[1] ..., take the refusal of the first for the end, and find nothing.
    __iter__: ClassVar[None] = None
    __hash__ = object.__hash__

    def __post_init__(self) -> None:
        if not isinstance(self.geometry, Geometry):
            raise InputError(f"the place of a volume is a Geometry, not {type(self.geometry).__name__}")
        if not isinstance(self.metadata, Metadata):
            raise InputError(f"what is known about a volume is a Metadata, not {type(self.metadata).__name__}")
        _check_shape(self.data, self.geometry)
        if not isinstance(self.data, Source):
            _check_array(self.data)

    def __eq__(self, other: object) -> bool:
        """Whether it is the same object; numbers are refused, since `volume == 3` would be one False for all voxels."""
        if isinstance(other, int | float | complex | np.generic):
            raise TypeError(f"a volume is not compared with {other!r}: compare volume.array, or numpy.asarray(volume)")
        return NotImplemented

    def __repr__(self) -> str:
        """In one line: a source may know thousands of files."""
        spacing, origin = (
            ", ".join(f"{mm:.9g}" for mm in values) for values in (self.geometry.spacing, self.geometry.origin)
        )
        facts = [
            f"{self.dtype.name} of shape {self.shape}, spacing ({spacing}) mm along (k, j, i)",
            f"origin ({origin}) mm, LPS (x, y, z)",
            *([f"{len(self.levels)} levels"] if self.coarser else []),
            *(["geometry assumed"] if self.metadata.assumed else []),
        ]
        return f"<Volume: {'; '.join(facts)}>"

    @property
    def shape(self) -> Shape:
        """Voxels along (k, j, i)."""
        return self.geometry.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values."""
        return self.source.dtype

    @property
    def source(self) -> Source:
        """The voxels as a source of blocks."""
        return self.data if isinstance(self.data, Source) else ArraySource(self.data)

    @property
    def levels(self) -> tuple[Volume, ...]:
        """All levels, finest first; one where there is no pyramid."""
        return (replace(self, coarser=()), *self.coarser)

    @property
    def array(self) -> Any:
        """The stored values as a lazy dask array, axes (k, j, i)."""
        if not isinstance(self.data, Source):
            import dask.array

            array = self.data if hasattr(self.data, "dask") else dask.array.from_array(self.data)
            return array if array.dtype == self.dtype else array.astype(self.dtype)
        return _dask_array(self.data)

    @property
    def values(self) -> Volume:
        """The volume of real values (slope and intercept applied), in the smallest sufficient type."""
        if self.metadata.rescale.is_identity:
            return self
        kind = real_dtype(self.dtype, self.metadata)
        source = RescaledSource(self.source, self.metadata.rescale, kind)
        unit = Rescale(unit=self.metadata.rescale.unit)
        metadata = replace(self.metadata, rescale=unit, stored_range=None)
        return Volume(source, self.geometry, metadata, tuple(level.values for level in self.coarser))

    def world_coordinates(self) -> Any:
        """The world point (x, y, z) of every voxel centre, LPS mm: a lazy dask array, shape (k, j, i, 3), float64.

        The bits of a point are those of `geometry.index_to_world`, however the array is cut; a block is made when it
        is asked for, and nothing else is held.

        A block has at most 64 MiB and, but for the last ones of an axis, at least 16 where the volume is that large: a
        task for each 0.7 to 2.8 million voxels, some 4000 for 2000 x 2000 x 2000. Within that, blocks are whole
        multiples or even parts of those of `array`.
        """
        import dask.array
        from dask.base import tokenize

        points = _WorldPoints(self.geometry)
        return dask.array.from_array(
            points,
            chunks=(*_point_chunks(self.shape, _dask_chunks(self.source)), 3),
            name=f"chunkvol-world-{tokenize(self.geometry)}",
            asarray=False,
            fancy=False,
            meta=np.empty((0, 0, 0, 0), points.dtype),
        )

    def __getitem__(self, key: object) -> Volume:
        """The part that slices in array order (k, j, i) cut out, where it lies; lazy, without the pyramid.

        Raises
        ------
        IndexError
            The key is made of anything but slices and `...`, has a step, or selects nothing.
        """
        region = normalise(key, self.shape)
        if region == whole(self.shape):
            return replace(self, coarser=())
        data = CroppedSource(self.data, region) if isinstance(self.data, Source) else self.data[region]
        return Volume(data, self.geometry.cropped(region), self.metadata.with_step(f"crop {_text(region)}"))

    def read(self, region: object = None) -> Block:
        """The stored values of a region, or of the whole volume, in memory of the caller's own.

        Parameters
        ----------
        region
            Slices in array order (k, j, i), as `volume[...]` takes them: negative ones count from the end, and what
            lies beyond the volume is left out.

        Raises
        ------
        IndexError
            It is made of anything but slices, has a step, or selects nothing.
        """
        source, wanted = self.source, whole(self.shape) if region is None else normalise(region, self.shape)
        return source.read(wanted, np.empty(region_shape(wanted), source.dtype))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Block:
        """All stored values, for `numpy.asarray(volume)`."""
        if copy is False:
            raise ValueError("a volume's voxels are read into new memory: copy=False cannot be had")
        block = self.read()
        return block if dtype is None else block.astype(dtype, copy=False)


def check_volume(volume: object) -> None:
    """Refuse what is no volume, such as an array or a path.

    Raises
    ------
    InputError
        It is something else.
    """
    if not isinstance(volume, Volume):
        raise InputError(
            f"a Volume is asked for, not {type(volume).__name__}: open_volume(path) opens a file, and "
            "Volume(array, geometry) gives an array its place"
        )


def _check_shape(data: Any, geometry: Geometry) -> None:
    shape = getattr(data, "shape", None)
    if shape == geometry.shape:
        return
    turned = ": arrays of nibabel have their axes the other way round, give array.T" * (shape == geometry.shape[::-1])
    raise InputError(
        f"the array has shape {shape} and the geometry {geometry.shape} (k, j, i); they must be the same{turned}"
    )


def _check_array(array: Any) -> None:
    """Refuse what is no array of voxels."""
    if isinstance(array, Volume):
        raise InputError("the array is a Volume already: attach(volume, geometry) gives it another place")
    if isinstance(array, np.ma.MaskedArray):
        raise InputError("a masked array would lose its mask: give it .filled(value)")
    kind = getattr(array, "dtype", None)
    if not isinstance(kind, np.dtype) or kind.kind not in "biuf":
        raise InputError(f"voxels are real numbers or truth values, and the array holds {kind}: convert it first")


def _text(region: Region) -> str:
    return ",".join(f"{s.start}:{s.stop}" for s in region)


def _dask_array(source: Source) -> Any:
    import dask.array
    from dask.base import tokenize

    return dask.array.from_array(
        _Sliceable(source),
        chunks=_dask_chunks(source),
        name=f"chunkvol-{tokenize(source)}",
        asarray=False,
        fancy=False,
        meta=np.empty((0, 0, 0), source.dtype),
    )


def _dask_chunks(source: Source) -> Shape:
    """Whole planes up to a fixed size for planes; whole chunks, a row of them at least, for chunked stores."""
    grain, (planes, rows, columns) = source.grain, source.shape
    if grain[2] < columns:
        k, j, i = (min(n, 2 * g) for n, g in zip(source.shape, grain, strict=True))
        return k, j, i
    plane = rows * columns * source.dtype.itemsize
    return min(planes, max(grain[0], _DASK_BLOCK // plane)), rows, columns


@dataclass(frozen=True)
class _Sliceable:
    """A source as dask wants it: shape, dtype and slicing."""

    source: Source

    @property
    def shape(self) -> Shape:
        return self.source.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.source.dtype

    @property
    def ndim(self) -> int:
        return 3

    def __getitem__(self, key: Any) -> Block:
        return self.source.read(normalise(key, self.source.shape))


def _point_chunks(shape: Shape, chunks: Shape) -> Shape:
    """Chunks as near to `chunks` as the size of points allows."""
    k, j, i = (min(n, c) for n, c in zip(shape, chunks, strict=True))
    most = _DASK_BLOCK // _POINT
    if k * j * i > most:
        k = _part(k, most // (j * i))
        j = _part(j, most // (k * i))
        i = _part(i, most // (k * j))
        return k, j, i
    i = min(shape[2], most // (k * j * i) * i)
    j = min(shape[1], most // (k * j * i) * j)
    k = min(shape[0], most // (k * j * i) * k)
    return k, j, i


def _part(length: int, most: int) -> int:
    """The largest even part of a length that is not above `most`, and not under half of it; at least 1."""
    most = max(1, min(length, most))
    even = [part for part in range(most, most // 2, -1) if length % part == 0]
    return even[0] if even else most


@dataclass(frozen=True)
class _WorldPoints:
    """The world points of a grid as dask wants them: shape, dtype and slicing."""

    geometry: Geometry

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (*self.geometry.shape, 3)

    @property
    def dtype(self) -> np.dtype[np.float64]:
        return np.dtype(np.float64)

    @property
    def ndim(self) -> int:
        return 4

    def __getitem__(self, key: Any) -> npt.NDArray[np.float64]:
        region = normalise(key[:3], self.geometry.shape)
        k, j, i = np.ogrid[region]
        out = np.empty((*region_shape(region), 3))
        # As `index_to_world` adds them, and without an index for each voxel: the same bits in less memory.
        for axis, (to_k, to_j, to_i, origin) in enumerate(self.geometry.affine[:3]):
            part = out[..., axis]
            np.add(k * to_k + j * to_j, i * to_i, out=part)
            part += origin
        return out[..., key[3]]
