"""The formats: one file or package each, one row each in FORMATS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chunkvol.errors import FormatError, InputError
from chunkvol.execute import Job
from chunkvol.formats.dicom import is_dicom, open_dicom
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.segmentation import is_segmentation, open_segmentation
from chunkvol.formats.dicom.writer import is_own_series, prepare_image, prepare_series
from chunkvol.formats.metaimage import is_metaimage, open_metaimage, prepare_metaimage
from chunkvol.formats.nifti import is_nifti, open_nifti, prepare_nifti
from chunkvol.formats.npy import is_npy, open_npy, prepare_npy
from chunkvol.formats.nrrd import is_nrrd, open_nrrd, prepare_nrrd
from chunkvol.formats.ome_zarr import is_older_store, is_store, open_store, prepare_store
from chunkvol.formats.place import Place
from chunkvol.formats.png import prepare_png, prepare_png_slices
from chunkvol.formats.scanner.opening import is_scanner_file, open_scanner_file
from chunkvol.formats.seg_nrrd import is_seg_nrrd, open_seg_nrrd, prepare_seg_nrrd
from chunkvol.formats.sidecar import is_own_stack
from chunkvol.formats.stack import is_image_file, is_stack, open_stack
from chunkvol.formats.tiff import prepare_imagej, prepare_ome_tiff, prepare_tiff, prepare_tiff_slices
from chunkvol.formats.traits import Traits
from chunkvol.formats.unread import way_out
from chunkvol.progress import Progress
from chunkvol.volume import Volume

__all__ = [
    "FORMATS",
    "READ_OPTIONS",
    "Format",
    "format_for_reading",
    "format_for_writing",
    "format_rows",
    "formats_table",
]


def _never(path: Path) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the table."""

    name: str
    """For people."""
    key: str
    """What is typed for it."""
    suffixes: tuple[str, ...]
    """Ends of file names, with the dot; the first is the usual one. Empty for folders."""
    traits: Traits
    """What it can keep."""
    matches: Callable[[Path], bool] = _never
    """True when an existing path holds this format, judged by content, cheaply; never where another row, whose reader
    is the same, claims it."""
    read: Callable[..., Volume] | None = None
    """A lazy volume of a path, with a `Progress` to tell and the reading options as keyword arguments; None where
    chunkvol only writes."""
    prepare: Callable[..., Job] | None = None
    """Plans the writing of a volume; None where chunkvol only reads."""
    options: frozenset[str] = frozenset()
    """Keyword arguments that `prepare` takes beyond the common ones."""
    read_options: frozenset[str] = frozenset()
    """Keyword arguments that `read` takes: what a caller may decide about an input that is not plain."""
    is_older: Callable[[Path], bool] = _never
    """Where outputs are folders: whether one that is not empty is an older output, which may be replaced."""
    keeps_stored: bool = False
    """Whether it is written as stored values with slope and intercept beside them; else as real values."""
    keeps_patient: bool = False
    """Whether it tells who was scanned, of a volume that was read with `keep_phi`."""
    overlap: int = 1
    """Units a processor, where units wait for the disk: measured on slices that are not in the page cache."""


def _read_store(path: Path, progress: Progress, **options: Any) -> Volume:
    return open_store(path, **options)


def _read_nrrd(path: Path, progress: Progress, **options: Any) -> Volume:
    return open_nrrd(path, **options)


def _read_dicom(path: Path, progress: Progress, **options: Any) -> Volume:
    return Volume(*open_dicom(path, progress, ReadOptions(**options)))


_STACK = Place.names() | {"pattern", "slices", "reverse", "frame"}
_ITK = "ITK, Slicer, Fiji"
_NAMED_ALIKE = {"tiff": ("imagej", "ome-tiff"), "nrrd": ("seg-nrrd",)}
"""Formats that bear another one's suffix as well, since they are of its kind."""

FORMATS = {
    row.name: row
    for row in (
        Format(
            "OME-Zarr",
            "ome-zarr",
            (".ome.zarr", ".zarr"),
            Traits("full", True, "float64", "none", "kept beside the stored values", "SlicerOMEZarr, napari, Fiji"),
            is_store,
            _read_store,
            prepare_store,
            frozenset({"method", "codec", "ngff_version"}),
            Place.names() | {"keep_phi", "time", "channel"},
            is_older=is_older_store,
            keeps_stored=True,
            keeps_patient=True,
        ),
        Format(
            "Slicer segmentation",
            "seg-nrrd",
            (".seg.nrrd",),
            Traits("full", True, "float64 text", "none", "labels", "Slicer"),
            is_seg_nrrd,
            open_seg_nrrd,
            prepare_seg_nrrd,
            frozenset({"encoding"}),
            frozenset({"segment"}),
            overlap=2,
        ),
        Format(
            "NRRD",
            "nrrd",
            (".nrrd", ".nhdr"),
            Traits("full", True, "float64 text", "none", "real values", "Slicer, ITK, Teem, Fiji"),
            is_nrrd,
            _read_nrrd,
            prepare_nrrd,
            frozenset({"encoding"}),
            frozenset({"trust_paths"}),
            overlap=2,
        ),
        Format(
            "NIfTI",
            "nifti",
            (".nii", ".nii.gz"),
            Traits("full", True, "float32", "32767 voxels an axis, NIfTI-2 beyond", "kept as scl_slope", _ITK),
            is_nifti,
            open_nifti,
            prepare_nifti,
            frozenset({"nifti_version"}),
            frozenset({"time"}),
            keeps_stored=True,
            overlap=2,
        ),
        Format(
            "MetaImage",
            "metaimage",
            (".mha", ".mhd"),
            Traits("full", True, "float64 text", "none", "real values", _ITK),
            is_metaimage,
            open_metaimage,
            prepare_metaimage,
            frozenset({"encoding"}),
            frozenset({"trust_paths"}),
            overlap=2,
        ),
        Format(
            "NumPy array",
            "npy",
            (".npy",),
            Traits("sidecar", True, "float64", "none", "real values", "NumPy"),
            is_npy,
            open_npy,
            prepare_npy,
            read_options=Place.names(),
            overlap=2,
        ),
        Format(
            "DICOM segmentation",
            "dicom-seg",
            (),
            Traits("full", False, "16 characters", "none", "labels", "Slicer, ITK"),
            is_segmentation,
            open_segmentation,
            read_options=frozenset({"segment", "keep_phi"}),
        ),
        Format(
            "DICOM series",
            "dicom",
            (),
            Traits("full", True, "16 characters", "65535 voxels within a plane", "kept as RescaleSlope", "all viewers"),
            is_dicom,
            _read_dicom,
            prepare_series,
            frozenset({"slope", "template"}),
            ReadOptions.names(),
            is_older=is_own_series,
            keeps_stored=True,
            keeps_patient=True,
        ),
        Format(
            "DICOM image",
            "dicom-image",
            (".dcm",),
            Traits("full", True, "16 characters", "one plane", "kept as RescaleSlope", "all viewers"),
            read=_read_dicom,
            prepare=prepare_image,
            options=frozenset({"template"}),
            read_options=ReadOptions.names(),
            keeps_stored=True,
            keeps_patient=True,
        ),
        Format(
            "scanner file",
            "scanner",
            (),
            Traits("scaled axes", False, "decimal text", "none", "stored values", "the scanner's programs"),
            is_scanner_file,
            open_scanner_file,
            read_options=_STACK | {"trust_paths"},
        ),
        Format(
            "OME-TIFF",
            "ome-tiff",
            (".ome.tif", ".ome.tiff"),
            Traits("sidecar", True, "float64", "none", "real values", "Fiji, napari, QuPath"),
            read=open_stack,
            prepare=prepare_ome_tiff,
            read_options=_STACK,
        ),
        Format(
            "ImageJ TIFF",
            "imagej",
            (),
            Traits("sidecar", True, "float64", "4 GiB", "real values", "Fiji"),
            read=open_stack,
            prepare=prepare_imagej,
            read_options=_STACK,
        ),
        Format(
            "TIFF",
            "tiff",
            (".tif", ".tiff"),
            Traits("sidecar", True, "float64", "none", "real values", "Fiji, Dragonfly, Avizo"),
            is_image_file,
            open_stack,
            prepare_tiff,
            read_options=_STACK,
            overlap=2,
        ),
        Format(
            "image slices",
            "tiff-slices",
            (),
            Traits("sidecar", True, "float64", "none", "real values", "Fiji, Dragonfly, Avizo"),
            is_stack,
            open_stack,
            prepare_tiff_slices,
            frozenset({"encoding"}),
            _STACK | {"trust_paths"},
            is_older=is_own_stack,
        ),
        Format(
            "PNG image",
            "png",
            (".png",),
            Traits("sidecar", True, "float64", "one plane", "real values of 8 or 16 bits", "any image viewer"),
            read=open_stack,
            prepare=prepare_png,
            read_options=_STACK,
        ),
        Format(
            "PNG slices",
            "png-slices",
            (),
            Traits("sidecar", True, "float64", "none", "real values of 8 or 16 bits", "any image viewer"),
            read=open_stack,
            prepare=prepare_png_slices,
            read_options=_STACK | {"trust_paths"},
            is_older=is_own_stack,
        ),
    )
}

READ_OPTIONS = frozenset[str]().union(*(row.read_options for row in FORMATS.values()))
"""Every option of reading; none has the name of an option of writing."""


def format_for_reading(path: Path) -> Format:
    """The format of an existing file or folder, judged by content.

    Raises
    ------
    InputError
        Nothing is there.
    FormatError
        It is nothing that chunkvol reads.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist")
    if not (path.is_file() or path.is_dir()):  # nothing may ever come out of a pipe, and it cannot be read twice
        raise InputError(f"{path} is a pipe or a device, and scans are files or folders: save it as a file first")
    for row in FORMATS.values():
        if row.matches(path):
            return row
    if path.is_file() and not path.stat().st_size:
        raise FormatError(f"{path} is empty, 0 bytes: copy or export it again")
    if path.is_dir():
        if not any(path.iterdir()):
            raise InputError(f"{path} is an empty folder; name the one that holds the slices")
        # The DICOM reader looks at every file and says best what it found.
        return FORMATS["DICOM series"]
    known = ", ".join(row.name for row in FORMATS.values() if row.read is not None)
    raise FormatError(f"{path} is none of {known}; {way_out(path.name)}")


def format_for_writing(target: Path, key: str = "") -> Format:
    """The format of that key, or else the one that a name's suffix asks for; a name without suffix is a DICOM folder.

    Raises
    ------
    InputError
        No format is written with this key or suffix, or the suffix is another format's, by which programs would take
        the output for what it is not.
    """
    writers = [row for row in FORMATS.values() if row.prepare is not None]
    name = target.name.lower()
    found = [(len(suffix), row) for row in writers for suffix in row.suffixes if name.endswith(suffix)]
    named = max(found, key=lambda one: one[0])[1] if found else None
    if key:
        chosen = next((row for row in writers if row.key == key), None)
        if chosen is None:
            raise InputError(f"no format {key!r} is written; choose one of {', '.join(row.key for row in writers)}")
        if named is not None and chosen is not named and key not in _NAMED_ALIKE.get(named.key, ()):
            ends = f"end its name in {chosen.suffixes[0]} alone" if chosen.suffixes else "give it no suffix"
            raise InputError(f"{target.name} is named as {named.name}, and --format {key} makes {chosen.name}: {ends}")
        return chosen
    if named is not None:
        return named
    if not target.suffix and not name.startswith("."):
        return FORMATS["DICOM series"]
    known = [suffix for row in writers for suffix in row.suffixes]
    raise InputError(
        f"{target.name} has no suffix that chunkvol writes; use one of {', '.join(known)}, or --format says what it is"
    )


def format_rows() -> list[dict[str, str]]:
    """The table of formats for people, a column a key."""
    return [
        {
            "format": row.name,
            "name": ", ".join(row.suffixes) or "a folder or file, by content",
            "--format": row.key,
            "is": ", ".join(word for word, does in (("read", row.read), ("written", row.prepare)) if does is not None),
            "affine": row.traits.affine,
            "shear": "yes" if row.traits.shear else "no",
            "precision": row.traits.precision,
            "largest": row.traits.limit,
            "slope, intercept": row.traits.values,
            "other readers": row.traits.readers,
        }
        for row in FORMATS.values()
    ]


def formats_table() -> str:
    """The same as a table in Markdown."""
    rows = format_rows()
    lines = [list(rows[0]), ["---"] * len(rows[0]), *([row[name] for name in rows[0]] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
