"""Writing one plane as one DICOM image."""

from __future__ import annotations

from pathlib import Path

from chunkvol.formats.dicom.writer.job import prepare_series
from chunkvol.formats.single import SingleJob, check_one_plane, folder_for
from chunkvol.memory import Terms
from chunkvol.volume import Volume

__all__ = ["prepare_image"]


def prepare_image(
    volume: Volume,
    target: Path,
    terms: Terms,
    *,
    template: str | Path | None = None,
) -> SingleJob:
    """Plan one DICOM image: that of a series of one plane, see `prepare_series`.

    Parameters
    ----------
    volume
        What is written, of one plane; SliceThickness is its spacing along k.
    target
        The file.
    template
        A DICOM file, or a folder with one series, whose patient, study, frame of reference and modality are taken.
    terms
        How the job is to be run.

    Raises
    ------
    GeometryError
        Rows and columns are not at right angles.
    InputError
        There are several planes, or the type, the size or the template has no place in DICOM images.
    BudgetError
        The plane does not fit; the message names the smallest budget that would do.
    """
    check_one_plane(volume, target, "DICOM image", "a name without a suffix makes a folder of images")
    return SingleJob(prepare_series(volume, folder_for(target), terms, template=template), target.name)
