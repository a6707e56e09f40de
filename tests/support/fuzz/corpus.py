"""Sound series that the fuzzer damages: every transfer syntax, several types, and what pydicom brings along."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import UID, generate_uid

from chunkvol.phantom import TRANSFER_SYNTAXES, write_phantom
from chunkvol.phantom.packbits import rle_frame
from tests.support.elements import BIG_ENDIAN, DEFLATED, IMPLICIT
from tests.support.enhanced import frames_of, write_dose, write_enhanced, write_nuclear
from tests.support.oddities import ODDITIES
from tests.support.series import oblique, write_series

_SHAPE = (4, 24, 20)
_LARGEST = 200_000
_ODD = ("slopes", "rgb", "signed", "missing", "copy", "duplicate", "uneven", "tilt", "unplaced", "echoes", "localizer")
_EXPLICIT, _RLE, _JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4."
_NATIVE = {"explicit": _EXPLICIT, "implicit": IMPLICIT, "big": BIG_ENDIAN, "deflated": DEFLATED}
_KINDS = {"explicit": ("u2", "i2", "u1", "u4", "f4", "f8"), "big": ("u2", "f4"), "deflated": ("u2", "u1", "f4")}

Pixels = npt.NDArray[Any]
Encode = Callable[[Pixels], bytes]

__all__ = ["write_corpus"]


def write_corpus(folder: Path) -> None:
    """Write each series into a folder of its own below `folder`; the same bytes every time."""
    for name, uid in _NATIVE.items():
        for kind in _KINDS.get(name, ("u2",)):
            write_series(folder / f"{name}_{kind}", _voxels(kind), oblique(_SHAPE), transfer_syntax=uid)
    write_series(folder / "explicit_12bit", _voxels("i2", 12), oblique(_SHAPE), bits_stored=12)
    write_series(folder / "rich", _voxels("u2"), oblique(_SHAPE), edit=_enriched)
    for name, (uid, kind, bits, encode) in _encoders().items():
        _write_compressed(folder / name, uid, _voxels(kind, bits), bits, encode)
    for name in TRANSFER_SYNTAXES:
        write_phantom(folder / f"phantom_{name}", size=(37, 33, 4), beads=1, transfer_syntax=name)
    _write_frames(folder)
    for oddity in ODDITIES:
        if oddity.name in _ODD:
            oddity.write(folder / f"odd_{oddity.name}")
    _copy_pydicom(folder)


def _write_frames(folder: Path) -> None:
    """Several frames in one file."""
    array, grid = _voxels("u2"), oblique(_SHAPE)
    large = np.tile(array, (1, 2, 2))  # the encoder of JPEG 2000 wants 32 pixels
    frames = [frames_of(large, oblique(large.shape))[k] for k in (2, 0, 3, 1)]
    tables: dict[str, dict[str, Any]] = {
        "mr": {},
        "deflated": {"transfer_syntax": DEFLATED},
        "rle": {"transfer_syntax": _RLE, "kind": "CT"},
        "jls": {"transfer_syntax": f"{_JPEG}80", "table": "extended"},
        "j2k": {"transfer_syntax": f"{_JPEG}90", "table": "none", "fragments": 1},
        "fragments": {"transfer_syntax": f"{_JPEG}80", "fragments": 3},
    }
    for name, options in tables.items():
        (folder / f"frames_{name}").mkdir()
        write_enhanced(folder / f"frames_{name}" / "IM0001.dcm", frames, **options)
    for name in ("frames_dose", "frames_nuclear"):
        (folder / name).mkdir()
    write_dose(folder / "frames_dose" / "IM0001.dcm", array, grid, [2.5 * k for k in range(len(array))])
    write_nuclear(folder / "frames_nuclear" / "IM0001.dcm", array, grid, range(1, len(array) + 1))


def _voxels(kind: str, bits: int = 0) -> Pixels:
    """Noise over a gradient, of so many bits."""
    dtype = np.dtype(kind)
    rng = np.random.default_rng(5)
    if dtype.kind == "f":
        return rng.normal(size=_SHAPE).astype(dtype)
    bits = bits or 8 * dtype.itemsize
    ramp = np.add.outer(np.arange(_SHAPE[0]), np.add.outer(np.arange(_SHAPE[1]), np.arange(_SHAPE[2])))
    values = ramp * (1 << bits) // 64 + rng.integers(0, 1 << bits - 3, _SHAPE)
    return (values - (1 << bits - 1 if dtype.kind == "i" else 0)).astype(dtype)


def _encoders() -> dict[str, tuple[str, str, int, Encode]]:
    import imagecodecs as ic

    def jpeg(bits: int, **options: Any) -> Encode:
        return lambda plane: bytes(ic.jpeg8_encode(plane.view(f"u{plane.itemsize}"), bitspersample=bits, **options))

    def jpegls(level: int) -> Encode:
        return lambda plane: bytes(ic.jpegls_encode(plane.view(f"u{plane.itemsize}"), level=level))

    def j2k(**options: Any) -> Encode:
        return lambda plane: bytes(ic.jpeg2k_encode(plane, codecformat="j2k", **options))

    return {
        "rle_u2": (_RLE, "u2", 16, rle_frame),
        "rle_u1": (_RLE, "u1", 8, rle_frame),
        "rle_u4": (_RLE, "u4", 32, rle_frame),
        "rle_i2": (_RLE, "i2", 12, rle_frame),
        "jpeg_50": (f"{_JPEG}50", "u1", 8, jpeg(8, level=92)),
        "jpeg_51": (f"{_JPEG}51", "u2", 12, jpeg(12, level=92)),
        "jpeg_57": (f"{_JPEG}57", "u2", 16, jpeg(16, lossless=True, predictor=4)),
        "jpeg_70": (f"{_JPEG}70", "u2", 16, jpeg(16, lossless=True, predictor=1)),
        "jpeg_70_i2": (f"{_JPEG}70", "i2", 16, jpeg(16, lossless=True, predictor=1)),
        "jpeg_70_u1": (f"{_JPEG}70", "u1", 8, jpeg(8, lossless=True, predictor=1)),
        "jls_80": (f"{_JPEG}80", "u2", 16, jpegls(0)),
        "jls_80_i2": (f"{_JPEG}80", "i2", 16, jpegls(0)),
        "jls_80_u1": (f"{_JPEG}80", "u1", 8, jpegls(0)),
        "jls_81": (f"{_JPEG}81", "u2", 16, jpegls(3)),
        "j2k_90": (f"{_JPEG}90", "u2", 16, j2k(level=0, reversible=True)),
        "j2k_90_i2": (f"{_JPEG}90", "i2", 12, j2k(level=0, reversible=True, bitspersample=12)),
        "j2k_90_u1": (f"{_JPEG}90", "u1", 8, j2k(level=0, reversible=True)),
        "j2k_91": (f"{_JPEG}91", "u2", 16, j2k(level=50)),
        "htj2k_201": (f"{_JPEG}201", "u2", 16, lambda plane: bytes(ic.htj2k_encode(plane, reversible=True))),
    }


def _write_compressed(folder: Path, uid: str, array: Pixels, bits: int, encode: Encode) -> None:
    def edit(k: int, dataset: Dataset) -> None:
        dataset.file_meta.TransferSyntaxUID = UID(uid)
        frame = encode(array[k])
        dataset.PixelData = encapsulate([frame], fragments_per_frame=2 if k == 1 else 1, has_bot=k != 2)
        dataset["PixelData"].is_undefined_length = True
        dataset["PixelData"].VR = "OB"

    write_series(folder, array, oblique(array.shape), bits_stored=bits, edit=edit)


def _enriched(k: int, dataset: Dataset) -> None:
    """Sequences of both kinds of length, nested, private elements, an icon with pixels of its own."""
    code, inner, outer = Dataset(), Dataset(), Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "R-1", "SRT", "something"
    inner.PurposeOfReferenceCodeSequence = Sequence([code])
    inner.ReferencedSOPInstanceUID = generate_uid(entropy_srcs=["other"])
    inner["PurposeOfReferenceCodeSequence"].is_undefined_length = True
    inner.is_undefined_length_sequence_item = True
    outer.Rows, outer.Columns, outer.PixelData = 2, 2, bytes(4)
    outer["PixelData"].VR = "OB"
    dataset.ReferencedImageSequence = Sequence([inner, inner])
    dataset["ReferencedImageSequence"].is_undefined_length = True
    dataset.IconImageSequence = Sequence([outer])
    block = dataset.private_block(0x0009, "MADE UP", create=True)
    block.add_new(0x01, "OB", bytes(range(200)))
    block.add_new(0x02, "SQ", [code])
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SliceThickness, dataset.PixelPaddingValue = "2.5", 0


def _copy_pydicom(folder: Path) -> None:
    """pydicom's own test images: as they are, and where one has a place, as a series of four of them."""
    source = Path(pydicom.__file__).parent / "data" / "test_files"
    for path in sorted(source.glob("*.dcm")) if source.is_dir() else []:
        if path.stat().st_size > _LARGEST:
            continue
        alone = folder / f"alone_{path.stem}"
        alone.mkdir(parents=True)
        (alone / path.name).write_bytes(path.read_bytes())
        _write_copies(path, folder / f"series_{path.stem}")


def _write_copies(path: Path, folder: Path) -> None:
    try:
        dataset = pydicom.dcmread(path)
        place = [float(value) for value in dataset.ImagePositionPatient]
        row, column = np.reshape([float(value) for value in dataset.ImageOrientationPatient], (2, 3))
    except Exception:  # one of many ways in which these files are odd; they are still there, alone
        return
    folder.mkdir()
    for k in range(4):
        dataset.ImagePositionPatient = [f"{value:.6f}" for value in place + k * 2.0 * np.cross(row, column)]
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[path.name, str(k)])
        dataset.save_as(folder / f"IM{k:04d}.dcm")
