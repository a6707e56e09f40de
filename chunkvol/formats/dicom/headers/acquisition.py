"""How a series was acquired, and nothing of whom: facts of one file that are worth keeping.

What identifies a patient in the Basic Application Level Confidentiality Profile (PS3.15 table E.1-1) is left out:
names, numbers, dates, times, institutions, operators, station names, serial numbers, comments. Descriptions typed by
people are kept as its Clean Descriptors Option allows (E.3.5), and UIDs as in its Retain UIDs Option (E.3.9).
"""

from __future__ import annotations

import contextlib
import math
import re
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from os import fstat
from typing import Any, Literal

from chunkvol.errors import DamagedError, InputError
from chunkvol.formats.dicom.headers import values
from chunkvol.formats.dicom.headers.fallback import Bounded
from chunkvol.formats.dicom.headers.header import DEFLATED, EXPLICIT_BIG, IMPLICIT_LITTLE, Inflater
from chunkvol.formats.dicom.headers.walker import Found, OddLayoutError, Walker, swapped

_LONGEST = 256
_MOST_READ = 256 << 20
"""Bytes of a header: frames by the thousand have long ones."""
_MOST_PARTS = 16
_LONG_PART = 4
"""Letters of a name that are found within words; shorter names must be words of their own."""
_WIDE = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ø": "oe", "å": "aa"})

__all__ = ["ACQUISITION", "PATIENT", "Kept", "description_of", "facts_of", "states_assumed"]


@dataclass(frozen=True, slots=True)
class Kept:
    """One line of what is kept."""

    name: str
    """Key in the metadata."""
    elements: dict[str, int]
    """Keywords and tags of the elements that say it; the first that is there counts."""
    kind: Literal["text", "code", "number"] = "text"
    """A text may hold what a person typed; a code is one of a list; a number is one, in the unit of DICOM."""


ACQUISITION = (
    Kept("manufacturer", {"Manufacturer": 0x00080070}),
    Kept("manufacturer_model", {"ManufacturerModelName": 0x00081090}),
    Kept("series_description", {"SeriesDescription": 0x0008103E}),
    Kept("protocol", {"ProtocolName": 0x00181030}),
    Kept("body_part", {"BodyPartExamined": 0x00180015}),
    Kept("patient_position", {"PatientPosition": 0x00185100}, "code"),
    Kept("slice_thickness", {"SliceThickness": 0x00180050}, "number"),
    Kept("kvp", {"KVP": 0x00180060}, "number"),
    Kept("tube_current", {"XRayTubeCurrent": 0x00181151, "XRayTubeCurrentInmA": 0x00189330}, "number"),
    Kept("exposure", {"Exposure": 0x00181152, "ExposureInmAs": 0x00189332}, "number"),
    Kept("convolution_kernel", {"ConvolutionKernel": 0x00181210}),
    Kept("sequence_name", {"SequenceName": 0x00180024, "PulseSequenceName": 0x00189005}),
    Kept("repetition_time", {"RepetitionTime": 0x00180080}, "number"),
    Kept("echo_time", {"EchoTime": 0x00180081, "EffectiveEchoTime": 0x00189082}, "number"),
    Kept("flip_angle", {"FlipAngle": 0x00181314}, "number"),
    Kept("magnetic_field_strength", {"MagneticFieldStrength": 0x00180087}, "number"),
    Kept("radiopharmaceutical", {"Radiopharmaceutical": 0x00180031}),
    Kept("units", {"Units": 0x00541001}, "code"),
    Kept("decay_correction", {"DecayCorrection": 0x00541102}, "code"),
)
"""mm, kV, mA, mAs, ms, degrees and tesla."""

PATIENT = (
    Kept("name", {"PatientName": 0x00100010}),
    Kept("id", {"PatientID": 0x00100020}),
    Kept("birth_date", {"PatientBirthDate": 0x00100030}),
    Kept("sex", {"PatientSex": 0x00100040}),
)
"""Kept only when asked for; else read to keep them out of descriptions, and forgotten."""

_STUDY_DATE = Kept("study_date", {"StudyDate": 0x00080020})
_CHARACTERS, _FRAMES, _MODALITY = 0x00080005, 0x00280008, 0x00080060
_DERIVATION = 0x00082111
_ASSUMED = re.compile(r"chunkvol .*; the geometry is assumed(;.*)?")
"""What the DerivationDescription of an output says whose input did not state where it lay."""
_DRUGS, _SHARED = 0x00540016, 0x52009229
_TAGS = frozenset(
    {tag for kept in (*ACQUISITION, *PATIENT, _STUDY_DATE) for tag in kept.elements.values()}
    | {_CHARACTERS, _FRAMES, _MODALITY, _DERIVATION}
)
_WANTED = {swapped(tag): tag for tag in _TAGS}
_SYNTAX = 0x00020010

Texts = dict[int, str]
"""What a file says, by tag; several values are separated by backslashes."""


def facts_of(path: str, *, keep_phi: bool) -> dict[str, Any]:
    """What one file says of the acquisition, as JSON values by the names in `ACQUISITION`, without what is empty.

    A text in which the patient's name, id or birth date occurs is left out as well. With `keep_phi` it stays, and
    `patient` (name, id, birth_date, sex) and `study_date` are added. Of multi-frame files the shared functional groups
    are read too. An element that holds nonsense is left out: no voxel depends on it.

    Raises
    ------
    DamagedError
        The file is no readable DICOM.
    InputError
        It cannot be opened.
    """
    texts = _texts(path)
    found = _collected(ACQUISITION, texts)
    patient = _collected(PATIENT, texts)
    if keep_phi:
        more = {**_collected((_STUDY_DATE,), texts), "patient": patient}
        return {**found, **{name: value for name, value in more.items() if value}}
    typed = {kept.name for kept in ACQUISITION if kept.kind == "text"}
    return {name: value for name, value in found.items() if name not in typed or not _tells(value, patient)}


def description_of(path: str) -> str:
    """The series description, empty where it tells who was scanned or cannot be read."""
    with contextlib.suppress(InputError):
        return str(facts_of(path, keep_phi=False).get("series_description", ""))
    return ""


def states_assumed(path: str) -> bool:
    """Whether a file, which was written here, says that its place was assumed.

    Raises
    ------
    DamagedError, InputError
        As `facts_of`.
    """
    return bool(_ASSUMED.fullmatch(_texts(path).get(_DERIVATION, "").strip()))


# -------------------------------------------------------------------------------------------- texts become facts


def _collected(rows: Sequence[Kept], texts: Texts) -> dict[str, Any]:
    out = {}
    for row in rows:
        said = (texts[tag] for tag in row.elements.values() if tag in texts)
        value = next((value for text in said if (value := _value(text, row.kind == "number")) is not None), None)
        if value is not None:
            out[row.name] = value
    return out


def _value(text: str, number: bool) -> Any:
    """A finite number, a text, or a list of texts; None where there is none."""
    parts = [_plain(part) for part in text.split("\\", _MOST_PARTS)[:_MOST_PARTS]]
    if not number:
        return parts[0] or None if len(parts) == 1 else parts if any(parts) else None
    try:
        value = float(parts[0])
    except ValueError:
        return None
    return value if len(parts) == 1 and math.isfinite(value) else None


def _plain(text: str) -> str:
    """One line without control characters, not too long."""
    printable = "".join(c if c.isprintable() else " " for c in text[: 4 * _LONGEST])
    return " ".join(printable.split())[:_LONGEST].strip()


def _tells(value: Any, patient: dict[str, Any]) -> bool:
    """Whether a text, or one of several, holds a part of the patient's name, of the id, or the birth date."""
    parts = {part for part in _parts_of(patient) if len(part) > 1}
    for text in _spellings(value if isinstance(value, str) else " ".join(value)):
        words, joined = set(_words(text)), re.sub(r"[\s./_-]", "", text)
        if any(part in words or (len(part) >= _LONG_PART and (part in text or part in joined)) for part in parts):
            return True
        if _holds_date(text, str(patient.get("birth_date", ""))):
            return True
    return False


def _holds_date(text: str, date: str) -> bool:
    """Whether three numbers in a row are day, month and year of YYYYMMDD in any order, the year of two digits too."""
    if not re.fullmatch(r"\d{8}", date):
        return False
    year, *rest = int(date[:4]), int(date[4:6]), int(date[6:])
    wanted = sorted((year, *rest)), sorted((year % 100, *rest))
    numbers = [int(number) for number in re.findall(r"\d{1,4}", text)]
    return any(sorted(numbers[n : n + 3]) in wanted for n in range(len(numbers) - 2))


def _parts_of(patient: dict[str, Any]) -> Iterator[str]:
    """What of a patient must not occur: words of the name, the id and its longer parts with digits, the birth date."""
    for name in _spellings(str(patient.get("name", ""))):
        yield from _words(name)
    for number in _spellings(str(patient.get("id", ""))):
        yield number
        yield from (part for part in _words(number) if len(part) >= _LONG_PART and re.search(r"\d", part))
    born = str(patient.get("birth_date", ""))
    yield born
    if re.fullmatch(r"\d{8}", born):
        century, year, month, day = born[:2], born[2:4], born[4:6], born[6:]
        for written in (century + year, year):
            yield from (written + month + day, day + month + written, month + day + written)


def _spellings(text: str) -> tuple[str, ...]:
    """In small letters without accents, and with the umlauts and their like as two letters."""
    small = unicodedata.normalize("NFC", text.casefold())
    apart = (unicodedata.normalize("NFKD", one) for one in (small, small.translate(_WIDE)))
    return tuple("".join(c for c in one if not unicodedata.combining(c)) for one in apart)


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+", text)


# ----------------------------------------------------------------------------------------------- files become texts


def _texts(path: str) -> Texts:
    """By our own walker where that is enough: pydicom takes 30 MiB of memory and a quarter of a second to import."""
    try:
        found, syntax = _walked(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error
    except DamagedError as error:
        raise DamagedError(f"{path} is damaged: {error}; copy or export it again") from None
    except OddLayoutError:
        return _read_with_pydicom(path)
    texts = {tag: _decoded(raw, found.get(_CHARACTERS)) for tag, raw in found.items()}
    # What pydicom inflates has no bound, so that deflated files say no more than this.
    return _read_with_pydicom(path) if syntax != DEFLATED and _needs_pydicom(texts) else texts


def _walked(path: str) -> tuple[dict[int, Found], str]:
    """The elements at the top of the data set, by tag, and the transfer syntax."""
    found: dict[int, Found] = {}
    with open(path, "rb") as file:

        def fetch(at: int, length: int) -> bytes:
            file.seek(at)
            return file.read(length)

        size = fstat(file.fileno()).st_size
        if fetch(128, 4) != b"DICM":
            raise OddLayoutError("no DICM mark")
        walker = Walker(fetch, size)
        start = walker.meta(132, {swapped(_SYNTAX): _SYNTAX}, found)
        syntax = values.text(*found.pop(_SYNTAX, (b"", b"")))
        if syntax in ("", EXPLICIT_BIG):
            raise OddLayoutError("not little endian")
        if syntax == DEFLATED:
            walker, start = Walker(Inflater(file.fileno(), start).peek, Inflater.LARGEST_HEADER), 0
        walker.walk(start, syntax == IMPLICIT_LITTLE, _WANTED, found)
    return found, syntax


def _decoded(raw: Found, characters: Found | None) -> str:
    if characters and str(values.text(*characters)) == "ISO_IR 100":
        return raw[0].decode("latin-1")
    return values.decoded(raw[0])


def _needs_pydicom(texts: Texts) -> bool:
    """Character sets beyond Latin and UTF-8, and facts that stand in sequences: of PET, and of many frames."""
    several = texts.get(_FRAMES, "").strip() not in ("", "0", "1")
    other = texts.get(_CHARACTERS, "").strip() not in ("", "ISO_IR 6", "ISO_IR 100", "ISO_IR 192")
    return several or other or texts.get(_MODALITY, "").strip() == "PT"


def _read_with_pydicom(path: str) -> Texts:
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with open(path, "rb") as file:
                tags = [*_TAGS, _DRUGS, _SHARED]
                bounded = Bounded(file, _MOST_READ)
                dataset = pydicom.dcmread(bounded, stop_before_pixels=True, force=True, specific_tags=tags)
            texts: Texts = {}
            for part in _parts(dataset):
                for tag in _TAGS & set(part.keys()) - set(texts):
                    if text := _text_of(part, tag):
                        texts[tag] = text
        except Exception as error:  # pydicom meets hostile bytes with many kinds; its text may quote a patient
            raise DamagedError(f"{path} is damaged: pydicom cannot read it either ({type(error).__name__})") from None
    return texts


def _parts(dataset: Any) -> Iterator[Any]:
    """The data set, its radiopharmaceutical, and the functional groups that all frames share."""
    yield dataset
    yield from _items(dataset, _DRUGS)
    for shared in _items(dataset, _SHARED):
        for tag in list(shared.keys()):
            yield from _items(shared, tag)


def _items(dataset: Any, tag: int) -> list[Any]:
    """The first item of a sequence, in a list; empty where there is none."""
    element = dataset.get(tag)
    if element is None or element.VR != "SQ":
        return []
    return list(element.value[:1])


def _text_of(part: Any, tag: int) -> str:
    try:
        value = part[tag].value
    except Exception:  # a value that its VR does not allow: no voxel depends on it
        return ""
    if value is None or isinstance(value, bytes) or part[tag].VR == "SQ":
        return ""
    several = isinstance(value, list | tuple) or type(value).__name__ == "MultiValue"
    return "\\".join(map(str, value)) if several else str(value)
