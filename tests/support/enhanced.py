"""Write multi-frame DICOM objects for tests: Enhanced MR and CT, dose grids, nuclear medicine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    NuclearMedicineImageStorage,
    RTDoseStorage,
    generate_uid,
)

from chunkvol.geometry import Geometry

Table = Literal["basic", "extended", "none"]
Edit = Callable[[Dataset], None]
Vector = Sequence[float]

__all__ = ["Frame", "frames_of", "write_dose", "write_enhanced", "write_nuclear"]


@dataclass(frozen=True)
class Frame:
    """One frame and what is said of it."""

    pixels: np.ndarray
    """Shape (rows, columns)."""
    position: Vector
    """Centre of the first pixel, LPS mm."""
    orientation: Vector
    """Directions of growing i, then of growing j."""
    spacing: Vector
    """Between rows, then between columns, mm."""
    thickness: float = 1.25
    """mm."""
    slope: float = 2.0
    """Rescale Slope."""
    intercept: float = -1024.0
    """Rescale Intercept."""
    frame_type: Sequence[str] = ("ORIGINAL", "PRIMARY", "VOLUME", "NONE")
    """Frame Type."""
    stack: str = "1"
    """Stack ID."""
    temporal: int = 1
    """Temporal Position Index."""
    echo_time: float | None = None
    """ms; of MR only."""
    b_value: float | None = None
    """s/mm2; of MR only."""
    gradient: Vector | None = None
    """Direction of the diffusion gradient; of MR only."""
    trigger_time: float | None = None
    """ms after the R peak."""


def frames_of(array: np.ndarray, geometry: Geometry, **facts: Any) -> list[Frame]:
    """The planes of `array` (k, j, i) as frames, placed as `geometry` says."""
    direction = np.array(geometry.direction)
    orientation = _decimals([*direction[:, 2], *direction[:, 1]])
    spacing = _decimals(geometry.spacing[1:])
    positions = [_decimals(geometry.index_to_world((k, 0, 0))) for k in range(len(array))]
    return [Frame(plane, at, orientation, spacing, **facts) for plane, at in zip(array, positions, strict=True)]


def _decimals(values: Any) -> tuple[float, ...]:
    """What is left of numbers that are written as decimal strings of 16 characters."""
    return tuple(float(f"{float(value):.14f}"[:16]) for value in values)


def write_enhanced(
    path: Path,
    frames: Sequence[Frame],
    *,
    kind: Literal["MR", "CT"] = "MR",
    shared: Sequence[str] = ("PlaneOrientationSequence", "PixelMeasuresSequence"),
    transfer_syntax: str = ExplicitVRLittleEndian,
    table: Table = "basic",
    fragments: int = 1,
    edit: Edit | None = None,
) -> Path:
    """Write an Enhanced object; what all frames have in common and `shared` names stands in the shared groups."""
    dataset = _described(frames[0].pixels, len(frames))
    dataset.SOPClassUID = EnhancedMRImageStorage if kind == "MR" else EnhancedCTImageStorage
    dataset.Modality = kind
    groups = [_groups(frame, kind) for frame in frames]
    common = Dataset()
    for keyword in shared:
        setattr(common, keyword, getattr(groups[0], keyword))
        for group in groups:
            delattr(group, keyword)
    dataset.SharedFunctionalGroupsSequence = [common]
    dataset.PerFrameFunctionalGroupsSequence = groups
    _set_pixels(dataset, np.stack([frame.pixels for frame in frames]), transfer_syntax, table, fragments)
    return _saved(dataset, path, edit)


def write_dose(path: Path, array: np.ndarray, geometry: Geometry, offsets: Vector, edit: Edit | None = None) -> Path:
    """Write a dose grid (k, j, i) with this Grid Frame Offset Vector."""
    dataset = _described(array[0], len(array))
    dataset.SOPClassUID, dataset.Modality = RTDoseStorage, "RTDOSE"
    _set_first_place(dataset, geometry)
    dataset.GridFrameOffsetVector = list(offsets)
    dataset.FrameIncrementPointer = 0x3004000C
    dataset.DoseUnits, dataset.DoseGridScaling = "GY", "0.0025"
    _set_pixels(dataset, array, ExplicitVRLittleEndian, "none", 1)
    return _saved(dataset, path, edit)


def write_nuclear(
    path: Path, array: np.ndarray, geometry: Geometry, slices: Sequence[int], edit: Edit | None = None
) -> Path:
    """Write frames (n, j, i) of a reconstruction, each of the slice (from 1) that `slices` says."""
    dataset = _described(array[0], len(array))
    dataset.SOPClassUID, dataset.Modality = NuclearMedicineImageStorage, "NM"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "RECON TOMO", "EMISSION"]
    _set_first_place(dataset, geometry)
    dataset.SpacingBetweenSlices = geometry.spacing[0]
    dataset.SliceVector = list(slices)
    dataset.FrameIncrementPointer = 0x00540080
    _set_pixels(dataset, array, ExplicitVRLittleEndian, "none", 1)
    return _saved(dataset, path, edit)


def _set_first_place(dataset: Dataset, geometry: Geometry) -> None:
    direction = np.array(geometry.direction)
    dataset.ImagePositionPatient = list(_decimals(geometry.origin))
    dataset.ImageOrientationPatient = list(_decimals([*direction[:, 2], *direction[:, 1]]))
    dataset.PixelSpacing = list(_decimals(geometry.spacing[1:]))


def _described(plane: np.ndarray, frames: int) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["object"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame of reference"])
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.InstanceNumber = 1
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.NumberOfFrames = frames
    dataset.Rows, dataset.Columns = plane.shape
    bits = 8 * plane.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    dataset.PixelRepresentation = int(plane.dtype.kind == "i")
    return dataset


def _groups(frame: Frame, kind: str) -> Dataset:
    out = Dataset()
    out.PlanePositionSequence = [_item(ImagePositionPatient=list(frame.position))]
    out.PlaneOrientationSequence = [_item(ImageOrientationPatient=list(frame.orientation))]
    out.PixelMeasuresSequence = [_item(PixelSpacing=list(frame.spacing), SliceThickness=frame.thickness)]
    out.PixelValueTransformationSequence = [
        _item(RescaleSlope=frame.slope, RescaleIntercept=frame.intercept, RescaleType="US" if kind == "MR" else "HU")
    ]
    out.FrameContentSequence = [_item(StackID=frame.stack, TemporalPositionIndex=frame.temporal)]
    frame_type = _item(FrameType=list(frame.frame_type))
    setattr(out, f"{kind}ImageFrameTypeSequence", [frame_type])
    if frame.echo_time is not None:
        out.MREchoSequence = [_item(EffectiveEchoTime=frame.echo_time)]
    if frame.b_value is not None:
        out.MRDiffusionSequence = [_item(DiffusionBValue=frame.b_value)]
        if frame.gradient is not None:
            direction = [_item(DiffusionGradientOrientation=list(frame.gradient))]
            out.MRDiffusionSequence[0].DiffusionGradientDirectionSequence = direction
    if frame.trigger_time is not None:
        out.CardiacSynchronizationSequence = [_item(NominalCardiacTriggerDelayTime=frame.trigger_time)]
    return out


def _item(**elements: Any) -> Dataset:
    out = Dataset()
    for keyword, value in elements.items():
        setattr(out, keyword, value)
    return out


def _set_pixels(dataset: Dataset, array: np.ndarray, transfer_syntax: str, table: Table, fragments: int) -> None:
    data = array.tobytes()
    dataset.PixelData = data + bytes(len(data) % 2)
    dataset["PixelData"].VR = "OB" if array.dtype.itemsize == 1 else "OW"
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed or syntax.is_deflated:
        return
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    plugin = "pyjpegls" if "JPEG-LS" in syntax.name else "pylibjpeg"  # gdcm may abort the process while encoding
    dataset.compress(
        transfer_syntax, array if len(array) > 1 else array[0], encoding_plugin=plugin, generate_instance_uid=False
    )
    frames = list(generate_frames(dataset.PixelData, number_of_frames=len(array)))
    if table == "extended":
        dataset.PixelData, dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = encapsulate_extended(
            frames
        )
    else:
        dataset.PixelData = encapsulate(frames, fragments_per_frame=fragments, has_bot=table == "basic")


def _saved(dataset: Dataset, path: Path, edit: Edit | None) -> Path:
    if edit is not None:
        edit(dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)
    return path
