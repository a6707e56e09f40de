"""Write DICOM segmentation objects for tests: by hand with pydicom, every encoding, and with highdicom."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

from chunkvol.geometry import Geometry

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
COLORS = ((221, 130, 101), (10, 200, 40), (0, 0, 255), (255, 255, 255), (128, 0, 0), (17, 91, 203))
"""Red, green, blue of segment 1, 2 ..."""

Edit = Callable[[Dataset], None]

__all__ = [
    "COLORS",
    "DEFLATED_FRAMES",
    "LABEL_MAP",
    "SEGMENTATION",
    "balls",
    "by_highdicom",
    "cielab",
    "code",
    "write_label_map",
    "write_segmentation",
]


def balls(shape: tuple[int, int, int], count: int, *, seed: int = 5, overlap: bool = False) -> np.ndarray:
    """Masks of so many segments, shape (segments, k, j, i), each of which leaves planes empty."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, count + 1, shape)
    masks = np.stack([label == n for n in range(1, count + 1)])
    if overlap:
        masks |= rng.random(masks.shape) < 0.2
    for n, mask in enumerate(masks):
        mask[(n + 1) % shape[0]] = False
    return masks


def cielab(color: Sequence[int]) -> list[int]:
    """The CIELab value of a colour of 0 to 255, as highdicom computes it."""
    from highdicom.color import CIELabColor

    return [int(part) for part in CIELabColor.from_rgb(*color).value]


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """An item of a code sequence."""
    return _item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


def write_segmentation(
    path: Path,
    masks: np.ndarray,
    geometry: Geometry,
    *,
    fractions: int = 0,
    syntax: str = ExplicitVRLittleEndian,
    numbers: Sequence[int] = (),
    omit_empty: bool = True,
    shuffle: int = 0,
    edit: Edit | None = None,
) -> Path:
    """Write masks (segments, k, j, i) as BINARY, or with `fractions`, their maximum, as FRACTIONAL segmentation."""
    numbers = numbers or range(1, len(masks) + 1)
    frames = [
        (number, k, masks[n, k])
        for n, number in enumerate(numbers)
        for k in range(masks.shape[1])
        if masks[n, k].any() or not omit_empty
    ]
    if shuffle:
        np.random.default_rng(shuffle).shuffle(frames)
    dataset = _described(geometry, len(frames), numbers)
    dataset.SOPClassUID = SEGMENTATION
    dataset.SegmentationType = "FRACTIONAL" if fractions else "BINARY"
    if fractions:
        dataset.SegmentationFractionalType, dataset.MaximumFractionalValue = "PROBABILITY", fractions
    groups = [_place(geometry, k) for _, k, _ in frames]
    for group, (number, _, _) in zip(groups, frames, strict=True):
        group.SegmentIdentificationSequence = [_item(ReferencedSegmentNumber=int(number))]
    dataset.PerFrameFunctionalGroupsSequence = groups
    pixels = np.stack([plane for _, _, plane in frames])
    bits = 8 if fractions else 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    _set_pixels(dataset, pixels.astype(np.uint8), syntax)
    return _saved(dataset, path, edit)


def write_label_map(
    path: Path,
    labels: np.ndarray,
    geometry: Geometry,
    *,
    numbers: Sequence[int],
    syntax: str = ExplicitVRLittleEndian,
    padding: int | None = None,
    edit: Edit | None = None,
) -> Path:
    """Write labels (k, j, i) of 8 or 16 bits as LABELMAP segmentation; planes that are all background are left out."""
    there = [k for k in range(len(labels)) if (labels[k] != (padding or 0)).any()]
    dataset = _described(geometry, len(there), numbers)
    dataset.SOPClassUID, dataset.SegmentationType = LABEL_MAP, "LABELMAP"
    dataset.PerFrameFunctionalGroupsSequence = [_place(geometry, k) for k in there]
    bits = 8 * labels.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    if padding is not None:
        dataset.PixelPaddingValue = padding
    _set_pixels(dataset, labels[there], syntax)
    return _saved(dataset, path, edit)


def by_highdicom(
    path: Path, array: np.ndarray, geometry: Geometry, *, kind: str = "BINARY", segments: int = 0, **options: Any
) -> Path:
    """Let highdicom write masks (k, j, i, segments) or labels (k, j, i) on the grid of images that it is given."""
    import highdicom as hd
    from highdicom.sr.coding import CodedConcept

    tissue = CodedConcept("85756007", "SCT", "Tissue")
    count = segments or (array.shape[-1] if array.ndim == 4 else int(array.max()))
    descriptions = [
        hd.seg.SegmentDescription(
            n,
            f"Name of {n}",
            tissue,
            tissue,
            hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            display_color=hd.color.CIELabColor.from_rgb(*COLORS[n - 1]),
        )
        for n in range(1, count + 1)
    ]
    made = hd.seg.Segmentation(
        _images(geometry),
        array,
        kind,
        descriptions,
        hd.UID(),
        1,
        hd.UID(),
        1,
        "Maker",
        "Model",
        "1",
        "1",
        **options,
    )
    made.save_as(path)
    return path


def _images(geometry: Geometry) -> list[Dataset]:
    """Headers of CT images on a grid, as many as highdicom looks at."""
    study, series, frame = generate_uid(), generate_uid(), generate_uid()
    out = []
    for k in range(geometry.shape[0]):
        image = _plain(geometry)
        image.SOPClassUID, image.SOPInstanceUID, image.Modality = "1.2.840.10008.5.1.4.1.1.2", generate_uid(), "CT"
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.PatientName, image.PatientID, image.PatientBirthDate, image.PatientSex = "Doe^John", "77", "19700101", "M"
        image.AccessionNumber, image.StudyID, image.StudyDate, image.StudyTime = "", "", "20200101", "101010"
        image.PositionReferenceIndicator = ""
        image.BitsAllocated, image.BitsStored, image.HighBit, image.InstanceNumber = 16, 16, 15, k + 1
        image.ImagePositionPatient = _decimals(geometry.index_to_world((k, 0, 0)))
        image.ImageOrientationPatient = _orientation(geometry)
        image.PixelSpacing = _decimals(geometry.spacing[1:])
        image.SliceThickness = _decimals(geometry.spacing[:1])[0]
        out.append(image)
    return out


def _plain(geometry: Geometry) -> Dataset:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.Rows, dataset.Columns = geometry.shape[1:]
    return dataset


def _described(geometry: Geometry, frames: int, numbers: Sequence[int]) -> Dataset:
    dataset = _plain(geometry)
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["object"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=["series"])
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=["frame of reference"])
    dataset.PatientName, dataset.PatientID, dataset.Modality = "Doe^John", "77", "SEG"
    dataset.SeriesDescription, dataset.ContentCreatorName = "Segments of Doe", "Roe^Jane"
    dataset.NumberOfFrames = frames
    dataset.SegmentSequence = [_segment(int(number)) for number in numbers]
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=_orientation(geometry))]
    thickness, *spacing = _decimals(geometry.spacing)
    shared.PixelMeasuresSequence = [_item(PixelSpacing=spacing, SliceThickness=thickness)]
    dataset.SharedFunctionalGroupsSequence = [shared]
    return dataset


def _segment(number: int) -> Dataset:
    item = _item(SegmentNumber=number, SegmentLabel=f"Name of {number}", SegmentAlgorithmType="MANUAL")
    item.SegmentDescription = "as Doe asked"
    item.SegmentedPropertyCategoryCodeSequence = [code("85756007", "SCT", "Tissue")]
    item.SegmentedPropertyTypeCodeSequence = [code("10200004", "SCT", "Liver")]
    item.RecommendedDisplayCIELabValue = cielab(COLORS[(number - 1) % len(COLORS)])
    return item


def _place(geometry: Geometry, k: int) -> Dataset:
    position = _decimals(geometry.index_to_world((k, 0, 0)))
    return _item(PlanePositionSequence=[_item(ImagePositionPatient=position)])


def _orientation(geometry: Geometry) -> list[float]:
    direction = np.array(geometry.direction)
    return _decimals([*direction[:, 2], *direction[:, 1]])


def _decimals(values: Any) -> list[float]:
    """What is left of numbers that are written as decimal strings of 16 characters."""
    return [float(f"{float(value):.14f}"[:16]) for value in values]


def _item(**elements: Any) -> Dataset:
    out = Dataset()
    for keyword, value in elements.items():
        setattr(out, keyword, value)
    return out


def _set_pixels(dataset: Dataset, frames: np.ndarray, syntax: str) -> None:
    single = dataset.BitsAllocated == 1
    data = np.packbits(frames.reshape(-1), bitorder="little").tobytes() if single else frames.tobytes()
    uid = UID(syntax)
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless if syntax == DEFLATED_FRAMES else uid
    if syntax == DEFLATED_FRAMES:
        dataset.PixelData = encapsulate([_deflated(frame, single=single) for frame in frames])
        dataset.is_deflated_by_frame = True
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = _words(data) if single else frames.astype(frames.dtype.newbyteorder(">")).tobytes()
    elif not uid.is_compressed or uid.is_deflated:
        dataset.PixelData = data
    else:
        dataset.PixelData = encapsulate(_coded(frames, uid))
    dataset.PixelData += bytes(len(dataset.PixelData) % 2)
    dataset["PixelData"].VR = "OB" if frames.dtype.itemsize == 1 and not (single and len(data) > 1) else "OW"


def _words(data: bytes) -> bytes:
    """Bits as big endian words."""
    even = data + bytes(len(data) % 2)
    return np.frombuffer(even, "<u2").astype(">u2").tobytes()


def _deflated(frame: np.ndarray, *, single: bool) -> bytes:
    data = np.packbits(frame.reshape(-1), bitorder="little").tobytes() if single else frame.tobytes()
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _coded(frames: np.ndarray, uid: UID) -> list[bytes]:
    """Each frame as a compressed one of 8 or 16 bits."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.SOPInstanceUID, dataset.NumberOfFrames = "1.2.3", len(frames)
    dataset.Rows, dataset.Columns = frames.shape[1:]
    bits = 8 * frames.dtype.itemsize
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = bits, bits, bits - 1
    plugin = "pyjpegls" if "JPEG-LS" in uid.name else "pylibjpeg"
    dataset.compress(uid, frames if len(frames) > 1 else frames[0], encoding_plugin=plugin, generate_instance_uid=False)
    return list(generate_frames(dataset.PixelData, number_of_frames=len(frames)))


def _saved(dataset: Dataset, path: Path, edit: Edit | None) -> Path:
    if edit is not None:
        edit(dataset)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID

    dataset.save_as(path, enforce_file_format=True)
    if getattr(dataset, "is_deflated_by_frame", False):  # pydicom does not know it; the two UIDs are as long
        path.write_bytes(path.read_bytes().replace(JPEG2000Lossless.encode(), DEFLATED_FRAMES.encode() + b"\0", 1))
    return path
