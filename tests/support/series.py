"""Write small DICOM series for tests, one plane at a time."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from chunkvol.geometry import Geometry

Order = Literal["forward", "reversed", "shuffled"]
Edit = Callable[[int, Dataset], None]

__all__ = ["oblique", "write_plane", "write_series"]


def oblique(shape: tuple[int, int, int], spacing: tuple[float, float, float] = (2.5, 0.75, 0.5)) -> Geometry:
    """A right-handed grid turned about no axis of the world, with three different spacings."""
    row = np.array([0.9, 0.3, -0.2])
    row /= np.linalg.norm(row)
    column = np.cross([0.1, -0.4, 0.9], row)
    column /= np.linalg.norm(column)
    direction = np.column_stack([np.cross(row, column), column, row])
    return Geometry(shape, (-31.25, 12.5, 100.0), spacing, tuple(map(tuple, direction)))


def write_series(
    folder: Path,
    array: np.ndarray,
    geometry: Geometry,
    *,
    order: Order = "forward",
    transfer_syntax: str = ExplicitVRLittleEndian,
    bits_stored: int | None = None,
    edit: Edit | None = None,
) -> list[Path]:
    """Write each plane of `array` (k, j, i) as one file, placed as `geometry` says; the paths in the order of k.

    `order` is how the names run against the positions. `edit(k, dataset)` may change a plane before it is written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = list(range(len(array)))
    if order == "reversed":
        numbers.reverse()
    elif order == "shuffled":
        random.Random(7).shuffle(numbers)
    paths = [folder / f"IM{number:04d}.dcm" for number in numbers]
    for k, path in enumerate(paths):
        write_plane(path, array[k], geometry, k, transfer_syntax=transfer_syntax, bits_stored=bits_stored, edit=edit)
    return paths


def write_plane(
    path: Path,
    plane: np.ndarray,
    geometry: Geometry,
    k: int,
    *,
    transfer_syntax: str = ExplicitVRLittleEndian,
    bits_stored: int | None = None,
    edit: Edit | None = None,
) -> None:
    """Write plane k of a volume."""
    dataset = _described(plane, geometry, k, bits_stored)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    _set_pixels(dataset, plane, transfer_syntax)
    if edit is not None:
        edit(k, dataset)
    dataset.save_as(path, enforce_file_format=True)


def _described(plane: np.ndarray, geometry: Geometry, k: int, bits_stored: int | None) -> Dataset:
    direction = np.array(geometry.direction)
    dataset = Dataset()
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["plane", str(k)])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame"])
    dataset.PatientName = "Somebody^Secret"
    dataset.Modality = "CT"
    dataset.SeriesDescription = "made for tests"
    dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    dataset.InstanceNumber = 1000 - k  # positions decide the order, not numbers
    dataset.ImagePositionPatient = _decimals(geometry.index_to_world((k, 0, 0)))
    dataset.ImageOrientationPatient = _decimals([*direction[:, 2], *direction[:, 1]])
    dataset.PixelSpacing = _decimals(geometry.spacing[1:])
    dataset.RescaleSlope, dataset.RescaleIntercept = "2", "-1024"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = plane.shape
    if plane.dtype.kind != "f":
        bits = bits_stored or 8 * plane.dtype.itemsize
        dataset.BitsStored, dataset.HighBit = bits, bits - 1
        dataset.PixelRepresentation = int(plane.dtype.kind == "i")
    dataset.BitsAllocated = 8 * plane.dtype.itemsize
    return dataset


def _decimals(values: Any) -> list[str]:
    """Decimal strings of at most 16 characters, the most that DICOM allows."""
    return [f"{float(value):.14f}"[:16] for value in values]


def _set_pixels(dataset: Dataset, plane: np.ndarray, transfer_syntax: str) -> None:
    syntax = dataset.file_meta.TransferSyntaxUID
    if plane.dtype.kind == "f":
        keyword = "FloatPixelData" if plane.dtype.itemsize == 4 else "DoubleFloatPixelData"
        setattr(dataset, keyword, plane.tobytes() if syntax.is_little_endian else plane.byteswap().tobytes())
    elif syntax.is_compressed and not syntax.is_deflated:
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        plugin = "pyjpegls" if "JPEG-LS" in syntax.name else "pylibjpeg"  # gdcm may abort the process while encoding
        dataset.compress(transfer_syntax, plane, encoding_plugin=plugin, generate_instance_uid=False)
    else:
        data = plane.tobytes() if syntax.is_little_endian else plane.byteswap().tobytes()
        dataset.PixelData = data + bytes(len(data) % 2)
        dataset["PixelData"].VR = "OB" if plane.dtype.itemsize == 1 else "OW"
