"""Series that are odd in one way each, with the truth about every voxel."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.uid import (
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from chunkvol import Geometry
from tests.support.elements import BIG_ENDIAN
from tests.support.enhanced import frames_of, write_enhanced
from tests.support.series import write_series
from tests.support.truth import Truth

_SHAPE, _ORIGIN, _SPACING = (7, 8, 6), (-20.25, 12.5, 100.0), (1.5, 0.8, 0.5)
_EVERY = tuple(map(float, range(_SHAPE[0])))
_ECHO = 20_000.0
_TILT = 15.0

Edit = Callable[[int, Dataset], None]
Write = Callable[[Path], tuple[Truth, ...]]

__all__ = ["ODDITIES", "Oddity"]


@dataclass(frozen=True, slots=True)
class Oddity:
    """One way of being odd."""

    name: str
    """Short, for tests."""
    title: str
    """What happens with ..."""
    write: Write
    """Fills a new folder, and tells the truth about its volumes."""
    options: tuple[dict[str, Any], ...] = field(default=())
    """Ways of reading it with chunkvol once the caller has decided."""


def _truth(shape: tuple[int, int, int] = _SHAPE, planes: Sequence[float] = _EVERY, **more: Any) -> Truth:
    spacing = more.pop("spacing", _SPACING)
    direction = more.pop("direction", Geometry((1, 1, 1)).direction)
    geometry = Geometry(shape, more.pop("origin", _ORIGIN), spacing, direction)
    return Truth(geometry, tuple(planes), **more)


def _write(
    folder: Path,
    truth: Truth,
    *,
    numbers: Sequence[int] | None = None,
    dtype: str = "u2",
    slopes: Sequence[float] | None = None,
    intercept: float = 0.0,
    edit: Edit | None = None,
    **options: Any,
) -> None:
    """One file for each plane of a truth, with InstanceNumber ascending along k unless `numbers` say otherwise."""
    _, rows, columns = truth.geometry.shape
    slopes = slopes or [1.0] * len(truth.planes)
    grid = np.stack(np.meshgrid(truth.planes, np.arange(rows), np.arange(columns), indexing="ij"), -1)
    stored = (truth.values(grid) - intercept) / np.array(slopes)[:, None, None]
    array = np.rint(stored).astype(dtype)
    assert np.array_equal(array, stored)  # the truth must fit the type
    normal = np.cross(*np.array(truth.geometry.direction).T[[2, 1]])

    def plane(n: int, dataset: Dataset) -> None:
        position = truth.geometry.index_to_world((truth.planes[n], 0, 0))
        dataset.ImagePositionPatient = [f"{value:.12f}"[:16] for value in position]
        dataset.InstanceNumber = n + 1 if numbers is None else numbers[n]
        dataset.RescaleSlope, dataset.RescaleIntercept = str(slopes[n]), str(intercept)
        dataset.SliceLocation = f"{float(position @ normal):.6f}"
        dataset.SliceThickness = f"{truth.geometry.spacing[0]:g}"
        _complete(dataset)
        if edit is not None:
            edit(n, dataset)

    write_series(folder, array, truth.geometry, edit=plane, **options)


def _complete(dataset: Dataset) -> None:
    """What other readers want to see before they look at the voxels."""
    dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex = "1", "", ""
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = "20200102"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = "101112"
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.StudyID = ""
    dataset.SeriesNumber, dataset.AcquisitionNumber = dataset.get("SeriesNumber", 3), 1
    dataset.Manufacturer, dataset.PositionReferenceIndicator, dataset.KVP = "Made up", "", "120"
    dataset.PatientPosition = "HFS"


def _plain(truth: Truth, **options: Any) -> Write:
    def write(folder: Path) -> tuple[Truth, ...]:
        _write(folder, truth, **options)
        return (truth,)

    return write


def _setting(**values: Any) -> Edit:
    """An edit that gives each plane the same values."""

    def edit(_: int, dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return edit


def _copied(folder: Path) -> tuple[Truth, ...]:
    """One plane comes twice, with the same pixels under another instance."""
    truth = _truth()
    _write(folder, replace(truth, planes=(*_EVERY[:4], 3.0, *_EVERY[4:])))
    return (truth,)


def _another_at_one_place(folder: Path) -> tuple[Truth, ...]:
    """One plane comes twice, the second time with other pixels: reconstructed again."""
    truth = _truth()
    _write(folder, truth)

    def edit(_: int, dataset: Dataset) -> None:
        dataset.SOPInstanceUID, dataset.InstanceNumber = generate_uid(entropy_srcs=["again"]), 99

    lone = replace(truth, planes=(3.0,), offset=_ECHO)
    _write(folder / "again", lone, edit=edit)
    return _flattened(folder, (truth,))


def _tilted(folder: Path) -> tuple[Truth, ...]:
    angle = np.radians(_TILT)
    truth = _truth(direction=((0, 0, 1), (np.sin(angle), 1, 0), (np.cos(angle), 0, 0)))
    _write(folder, truth, edit=_setting(GantryDetectorTilt=str(_TILT)))
    return (truth,)


def _unplaced(folder: Path) -> tuple[Truth, ...]:
    truth = _truth(placed=False)

    def edit(_: int, dataset: Dataset) -> None:
        del dataset.ImagePositionPatient, dataset.ImageOrientationPatient, dataset.SliceLocation
        dataset.SOPClassUID = SecondaryCaptureImageStorage

    _write(folder, truth, edit=edit)
    return (truth,)


def _pet(folder: Path) -> tuple[Truth, ...]:
    truth = _truth(scale=8.25)
    halves = [8.25 / 2 ** (n % 3) for n in range(_SHAPE[0])]
    pet = {"SOPClassUID": PositronEmissionTomographyImageStorage, "Modality": "PT", "Units": "BQML"}
    _write(folder, truth, slopes=halves, edit=_setting(**pet, RescaleType="BQML"))
    return (truth,)


def _pet_from_one(folder: Path) -> tuple[Truth, ...]:
    """The first slope is 1, and its values are whole; those of other planes are not."""
    truth = _truth(plane_units=64.0625)
    halves = [1.0 if n % 2 == 0 else 0.5 for n in range(_SHAPE[0])]
    pet = {"SOPClassUID": PositronEmissionTomographyImageStorage, "Modality": "PT", "Units": "BQML"}
    _write(folder, truth, slopes=halves, edit=_setting(**pet, RescaleType="BQML"))
    return (truth,)


def _two_echoes(folder: Path) -> tuple[Truth, ...]:
    truths = _truth(), _truth(offset=_ECHO)
    for n, truth in enumerate(truths):

        def edit(k: int, dataset: Dataset, n: int = n) -> None:
            dataset.SOPClassUID, dataset.Modality = MRImageStorage, "MR"
            dataset.EchoNumbers, dataset.EchoTime = n + 1, str(2.46 * (n + 1))
            dataset.InstanceNumber = 2 * k + n + 1
            dataset.SOPInstanceUID = generate_uid(entropy_srcs=["echo", str(n), str(k)])

        _write(folder / f"echo{n}", truth, edit=edit)
    return _flattened(folder, truths)


def _two_orientations(folder: Path) -> tuple[Truth, ...]:
    sagittal = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
    truths = _truth(), _truth(offset=_ECHO, direction=sagittal)
    for n, truth in enumerate(truths):

        def edit(k: int, dataset: Dataset, n: int = n) -> None:
            dataset.InstanceNumber = n * _SHAPE[0] + k + 1
            dataset.SOPInstanceUID = generate_uid(entropy_srcs=["orientation", str(n), str(k)])

        _write(folder / f"orientation{n}", truth, edit=edit)
    return _flattened(folder, truths)


def _localizer(folder: Path) -> tuple[Truth, ...]:
    sagittal = ((1.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0))
    truths = _truth(), _truth((1, 8, 6), (0.0,), offset=_ECHO, direction=sagittal)
    _write(folder / "scan", truths[0])

    def edit(k: int, dataset: Dataset) -> None:
        dataset.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        dataset.SeriesInstanceUID, dataset.SeriesNumber = generate_uid(entropy_srcs=["localizer"]), 1
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=["localizer", str(k)])

    _write(folder / "localizer", truths[1], edit=edit)
    return _flattened(folder, truths)


def _flattened(folder: Path, truths: tuple[Truth, ...]) -> tuple[Truth, ...]:
    """All files into the folder itself, where every reader looks."""
    for n, path in enumerate(sorted(folder.rglob("*.dcm"))):
        path.rename(folder / f"A{n:04d}.dcm")
    for empty in [path for path in folder.iterdir() if path.is_dir()]:
        empty.rmdir()
    return truths


def _enhanced(folder: Path) -> tuple[Truth, ...]:
    truth = _truth()
    grid = np.stack(np.meshgrid(*map(np.arange, _SHAPE), indexing="ij"), -1)
    frames = frames_of(truth.values(grid).astype("u2"), truth.geometry, slope=1.0, intercept=0.0, thickness=1.5)
    order = list(range(len(frames)))
    random.Random(3).shuffle(order)

    def edit(dataset: Dataset) -> None:
        """The dimensions that readers may sort by."""
        _complete(dataset)
        organization, stack, place = Dataset(), Dataset(), Dataset()
        organization.DimensionOrganizationUID = generate_uid(entropy_srcs=["dimensions"])
        dataset.DimensionOrganizationSequence = [organization]
        for item, pointer in ((stack, 0x00209056), (place, 0x00209057)):
            item.DimensionIndexPointer, item.FunctionalGroupPointer = pointer, 0x00209111
            item.DimensionOrganizationUID = organization.DimensionOrganizationUID
        dataset.DimensionIndexSequence = [stack, place]
        for group, k in zip(dataset.PerFrameFunctionalGroupsSequence, order, strict=True):
            content = group.FrameContentSequence[0]
            content.InStackPositionNumber, content.DimensionIndexValues = k + 1, [1, k + 1]

    folder.mkdir()
    write_enhanced(folder / "IM0001.dcm", [frames[k] for k in order], kind="CT", edit=edit)
    return (truth,)


def _rgb(folder: Path) -> tuple[Truth, ...]:
    truth = _truth((4, 8, 6), _EVERY[:4], scale=1.0)

    def edit(_: int, dataset: Dataset) -> None:
        grey: npt.NDArray[np.uint8] = np.frombuffer(dataset.PixelData, np.uint8)
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PlanarConfiguration = 3, "RGB", 0
        dataset.PixelData = np.repeat(grey, 3).tobytes()
        dataset.SOPClassUID = SecondaryCaptureImageStorage
        del dataset.RescaleSlope, dataset.RescaleIntercept

    _write(folder, truth, dtype="u1", edit=edit)
    return (truth,)


def _signed_12_bit(folder: Path) -> tuple[Truth, ...]:
    """Two's complement in the lower 12 bits, zeros above."""
    truth = _truth(offset=-1752.0)

    def edit(_: int, dataset: Dataset) -> None:
        words: npt.NDArray[np.uint16] = np.frombuffer(dataset.PixelData, "<u2")
        dataset.PixelData = (words & 0x0FFF).astype("<u2").tobytes()

    _write(folder, truth, dtype="i2", bits_stored=12, edit=edit)
    return (truth,)


_JITTERED = (0.0, 1.0, 2.125, 3.0, 3.875, 5.0, 6.0)
_WITHOUT_3 = (0.0, 1.0, 2.0, 4.0, 5.0, 6.0)
_MICRONS = (0.005, 0.004, 0.003)
_SHUFFLED = (4, 1, 7, 2, 6, 3, 5)

ODDITIES: tuple[Oddity, ...] = (
    Oddity("plain", "nothing odd", _plain(_truth())),
    Oddity("reversed", "file names against the positions", _plain(_truth(), order="reversed")),
    Oddity("numbers", "InstanceNumber shuffled", _plain(_truth(), numbers=_SHUFFLED)),
    Oddity("missing", "a missing plane", _plain(_truth(planes=_WITHOUT_3)), ({"gaps": "fill"},)),
    Oddity(
        "missing_fine",
        "a missing plane, 5 um spacing",
        _plain(_truth(planes=_WITHOUT_3, spacing=_MICRONS)),
        ({"gaps": "fill"},),
    ),
    Oddity("fine", "5 um spacing", _plain(_truth(spacing=_MICRONS))),
    Oddity("copy", "a file that is there twice", _copied, ({"duplicates": "first"},)),
    Oddity("duplicate", "two different images at one position", _another_at_one_place, ({"duplicates": "first"},)),
    Oddity("uneven", "uneven spacing", _plain(_truth(planes=_JITTERED)), ({"uneven": "resample"}, {"uneven": "mean"})),
    Oddity("tilt", "a gantry tilted by 15 degrees", _tilted, ({"tilt": "keep"}, {"tilt": "resample"})),
    Oddity("unplaced", "no positions", _unplaced, ({"spacing": _SPACING},)),
    Oddity("thickness", "SliceThickness that lies", _plain(_truth(), edit=_setting(SliceThickness="3"))),
    Oddity("pixels", "PixelSpacing of 4 : 1, rows are not columns", _plain(_truth(spacing=(1.5, 2.0, 0.5)))),
    Oddity("slopes", "a slope for each plane (PET)", _pet),
    Oddity("slopes_from_one", "a slope for each plane, the first is 1", _pet_from_one),
    Oddity("intercept", "uint16 and intercept -1024", _plain(_truth(offset=-1024.0), intercept=-1024.0)),
    Oddity("monochrome1", "MONOCHROME1", _plain(_truth(), edit=_setting(PhotometricInterpretation="MONOCHROME1"))),
    Oddity("signed", "signed 12 bit in 16, sign not extended", _signed_12_bit),
    Oddity("big", "big endian", _plain(_truth(), transfer_syntax=BIG_ENDIAN)),
    Oddity("rgb", "grey stored as RGB", _rgb),
    Oddity("echoes", "two echoes in one series", _two_echoes, ({"series": "each"},)),
    Oddity("orientations", "two orientations in one series", _two_orientations, ({"series": "each"},)),
    Oddity("localizer", "a localizer beside the scan", _localizer),
    Oddity("enhanced", "Enhanced CT, frames shuffled", _enhanced),
)
"""All of them; `series="each"` stands for the ids that a listing gives."""
