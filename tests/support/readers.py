"""Other programs, and chunkvol, as functions from a folder of DICOM files to volumes."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

import chunkvol
from chunkvol.formats.dicom.catalogue.listing import find_volumes
from tests.support.truth import Result, Truth, Verdict, judge

Read = Callable[[Path], list[Result]]

__all__ = ["PEERS", "Read", "RefusedError", "by_chunkvol", "installed", "verdict_on"]


class RefusedError(Exception):
    """The program gives no volume, and says why."""


def installed(name: str) -> bool:
    """Whether a peer is here."""
    return find_spec({"SimpleITK": "SimpleITK", "dcm2niix": "dcm2niix", "highdicom": "highdicom"}[name]) is not None


def by_simpleitk(folder: Path) -> list[Result]:
    """ImageSeriesReader with the names that GDCM gives, series by series."""
    sitk: Any = import_module("SimpleITK")
    sitk.ProcessObject.GlobalWarningDisplayOff()
    out = []
    try:
        for series in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder)):
            reader = sitk.ImageSeriesReader()
            names = reader.GetGDCMSeriesFileNames(str(folder), series)
            reader.SetFileNames(names)
            # A series of one volume would have four dimensions.
            out.append(_from_itk(sitk, sitk.ReadImage(names[0]) if len(names) == 1 else reader.Execute()))
    except RuntimeError as error:
        raise RefusedError(str(error).splitlines()[-1]) from None
    return out


def _from_itk(sitk: Any, image: Any) -> Result:
    if image.GetDimension() != 3:
        raise RefusedError(f"{image.GetDimension()} dimensions")
    values = sitk.GetArrayFromImage(image).astype(float)
    if values.ndim == 4:  # several equal components
        values = values[..., 0]
    steps = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    return Result(values, _affine(steps[:, ::-1], image.GetOrigin()))


def by_dcm2niix(folder: Path) -> list[Result]:
    """Every NIfTI file that dcm2niix writes, read by nibabel."""
    nibabel, program = import_module("nibabel"), import_module("dcm2niix").bin
    with tempfile.TemporaryDirectory() as out:
        command = [str(program), "-b", "n", "-z", "n", "-f", "out_%s_%e", "-o", out, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        images = [nibabel.load(path) for path in sorted(Path(out).glob("*.nii"))]
        if not images:
            words = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
            raise RefusedError(words[-1] if words else f"exit status {done.returncode}")
        return [_from_nifti(image) for image in images]


def _from_nifti(image: Any) -> Result:
    values = np.asarray(image.dataobj)
    if values.dtype.names:  # RGB, a field a channel
        values = values["R"]
    if values.ndim == 4 and values.shape[3] > 1:
        raise RefusedError(f"{values.shape[3]} volumes in one file")
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    return Result(values.reshape(values.shape[:3] + (1,) * (3 - values.ndim)).astype(float), affine)


def by_highdicom(folder: Path) -> list[Result]:
    """get_volume_from_series of all images; for one multi-frame file, its get_volume."""
    highdicom: Any = import_module("highdicom")
    paths = sorted(folder.glob("*.dcm"))
    try:
        if len(paths) == 1:
            volume = highdicom.imread(paths[0]).get_volume()
        else:
            volume = highdicom.get_volume_from_series([pydicom.dcmread(path) for path in paths])
    except Exception as error:  # it raises several kinds, and so does pydicom
        raise RefusedError(f"{type(error).__name__}: {error}") from None
    values = np.asarray(volume.array, float)
    return [Result(values[..., 0] if values.ndim == 4 else values, np.asarray(volume.affine))]


PEERS: dict[str, Read] = {"SimpleITK": by_simpleitk, "dcm2niix": by_dcm2niix, "highdicom": by_highdicom}
"""By name."""


def by_chunkvol(folder: Path, **options: Any) -> list[Result]:
    """One volume, or with `series="each"` all that are listed."""
    try:
        if options.get("series") != "each":
            return [_from_volume(chunkvol.open_volume(folder, **options))]
        groups = find_volumes(folder).groups
        return [_from_volume(chunkvol.open_volume(folder, **{**options, "series": group.id})) for group in groups]
    except (chunkvol.ChunkvolError, TypeError) as error:
        raise RefusedError(str(error)) from None


def _from_volume(volume: chunkvol.Volume) -> Result:
    return Result(volume.values.read().astype(float), volume.geometry.affine)


def _affine(steps: Any, origin: Any) -> Any:
    out = np.eye(4)
    out[:3, :3], out[:3, 3] = steps, origin
    return out


def verdict_on(read: Read, folder: Path, truths: tuple[Truth, ...]) -> tuple[Verdict, list[Result]]:
    """What a reader does, and the volumes that it gives."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = read(folder)
    except RefusedError as error:
        return Verdict("refused", " ".join(str(error).split())), []
    if not results:
        return Verdict("refused", "gives no volume"), []
    return judge(results, truths), results
