"""The promise: measured peak <= planned peak <= 1.3 x measured + 64 MiB, and flat in the number of slices."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from scipy.spatial.transform import Rotation

from chunkvol import ingest, open_volume
from chunkvol.errors import InputError
from chunkvol.formats import FORMATS, Format
from chunkvol.memory import MIB, fit, format_bytes, parse_bytes
from chunkvol.phantom import write_phantom

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="VmHWM is a Linux figure")


@dataclass(frozen=True)
class Shape:
    """One job of the promise."""

    size: tuple[int, int, int]
    verb: tuple[str, ...]
    dtype: str = "uint16"
    syntax: str = "explicit"
    memory: str = "400MiB"
    odd: str = ""


TURNED = ("--affine", "turn.txt", "--affine-maps", "output-to-input")
"""About (1, 1, 1) by 40 degrees, through the middle of the volume."""

JOBS = {
    "half to nrrd": Shape((512, 512, 64), ("downsample", "--factor", "2", "-o", "o.nrrd")),
    "half of float to nrrd": Shape((512, 512, 40), ("downsample", "--factor", "2", "-o", "o.nrrd"), "float32"),
    "eighth to nrrd": Shape((1024, 512, 64), ("downsample", "--factor", "8", "-o", "o.nrrd")),
    "anisotropic to nhdr": Shape((500, 510, 60), ("downsample", "--factor", "4,3,2", "-o", "o.nhdr")),
    "median": Shape((300, 300, 30), ("downsample", "--factor", "2", "--method", "median", "-o", "o.nrrd")),
    "mode of labels": Shape(
        (300, 300, 30), ("downsample", "--factor", "2", "--method", "mode", "-o", "o.nrrd"), "uint8"
    ),
    "gaussian": Shape((512, 512, 60), ("downsample", "--factor", "3", "--method", "gaussian", "-o", "o.nrrd")),
    "stride": Shape((512, 512, 60), ("downsample", "--factor", "3", "--method", "stride", "-o", "o.nrrd")),
    "gzip": Shape((512, 512, 32), ("convert", "--encoding", "gzip", "-o", "o.nrrd")),
    "full size": Shape((512, 512, 64), ("convert", "-o", "o.nrrd")),
    "ingest": Shape((512, 512, 130), ("ingest", "-o", "o.ome.zarr")),
    "ingest of large slices": Shape((2000, 2000, 66), ("ingest", "-o", "o.ome.zarr"), memory="300MiB"),
    "ingest of bytes": Shape((600, 700, 70), ("ingest", "--method", "max", "-o", "o.ome.zarr"), "uint8"),
    "small to zarr": Shape((700, 700, 140), ("downsample", "--factor", "2", "-o", "o.ome.zarr")),
    "rle slices": Shape((512, 512, 66), ("downsample", "--factor", "4", "-o", "o.nrrd"), syntax="rle"),
    "ingest of rle slices": Shape((512, 512, 66), ("ingest", "-o", "o.ome.zarr"), syntax="rle"),
    "spooled rle slices": Shape((700, 700, 66), ("ingest", "-o", "o.ome.zarr"), syntax="rle", memory="150MiB"),
    "a missing plane made": Shape((512, 512, 66), ("ingest", "--gaps", "fill", "-o", "o.ome.zarr"), odd="gap"),
    "a missing plane made of rle": Shape(
        (512, 512, 130), ("ingest", "--gaps", "fill", "-o", "o.ome.zarr"), syntax="rle", odd="gap"
    ),
    "a tilt made upright": Shape(
        (512, 512, 64), ("downsample", "--factor", "2", "--tilt", "resample", "-o", "o.nrrd"), odd="tilt"
    ),
    "slopes of each plane": Shape((512, 512, 64), ("downsample", "--factor", "2", "-o", "o.nrrd"), odd="slopes"),
    "slopes of each plane, stored": Shape(
        (512, 512, 66), ("ingest", "--float32", "-o", "o.ome.zarr"), odd="slopes", memory="300MiB"
    ),
    "frames of one file": Shape((512, 512, 64), ("downsample", "--factor", "2", "-o", "o.nrrd"), odd="frames"),
    "turned slices": Shape((300, 310, 200), ("resample", *TURNED, "-o", "o.nrrd"), memory="600MiB"),
    "turned slices, cubic": Shape(
        (200, 210, 190), ("resample", *TURNED, "--method", "cubic", "-o", "o.nrrd"), memory="600MiB"
    ),
    "turned rle slices": Shape((300, 310, 200), ("resample", *TURNED, "-o", "o.nrrd"), syntax="rle", memory="600MiB"),
    "turned store": Shape((300, 310, 200), ("resample", *TURNED, "-o", "o.nrrd"), memory="600MiB", odd="store"),
    "turned store to a store, little room": Shape(
        (300, 310, 200), ("resample", *TURNED, "-o", "o.ome.zarr"), memory="340MiB", odd="store"
    ),
    "turned labels": Shape(
        (300, 310, 200),
        ("resample", *TURNED, "--method", "label", "--size", "60%", "-o", "o.nrrd"),
        dtype="uint8",
        memory="600MiB",
        odd="store",
    ),
    "even spacing": Shape((512, 500, 60), ("downsample", "--spacing", "30um", "-o", "o.nrrd")),
    "finer, cubic": Shape((200, 210, 60), ("resample", "--size", "160%", "--method", "cubic", "-o", "o.nrrd")),
    "reordered": Shape((512, 500, 60), ("reorient", "--to", "SLA", "-o", "o.nrrd")),
    "one worker": Shape((512, 512, 64), ("downsample", "--factor", "2", "-j", "1", "-o", "o.nrrd")),
}


WRITERS = [
    row
    for row in FORMATS.values()
    if row.prepare is not None and row.key != "seg-nrrd" and row.traits.limit != "one plane"
]
UNSIGNED = ("png-slices", "imagej")
"""Formats that hold no negative values."""


def with_gap(paths: list[Path]) -> None:
    paths[len(paths) // 3].unlink()


def with_tilt(paths: list[Path]) -> None:
    for k, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, f"{float(y) + 0.3 * k * float(dataset.PixelSpacing[0]):.10f}", z]
        dataset.save_as(path)


def with_slopes(paths: list[Path]) -> None:
    for k, path in enumerate(paths):
        dataset = pydicom.dcmread(path)
        dataset.RescaleSlope, dataset.RescaleIntercept = str(1 + k / 64), "0"
        dataset.save_as(path)


def as_frames(paths: list[Path]) -> None:
    """All slices in one file, with a place for each."""
    first = pydicom.dcmread(paths[0])
    orientation = list(first.ImageOrientationPatient)
    places = [pydicom.dcmread(path, stop_before_pixels=True).ImagePositionPatient for path in paths]
    first.PixelData = b"".join(pydicom.dcmread(path).PixelData for path in paths)
    first.NumberOfFrames, first.SOPClassUID = len(paths), pydicom.uid.EnhancedCTImageStorage
    shared = pydicom.Dataset()
    shared.PlaneOrientationSequence = [item(ImageOrientationPatient=orientation)]
    shared.PixelMeasuresSequence = [item(PixelSpacing=list(first.PixelSpacing))]
    first.SharedFunctionalGroupsSequence = [shared]
    first.PerFrameFunctionalGroupsSequence = [
        item(PlanePositionSequence=[item(ImagePositionPatient=list(place))]) for place in places
    ]
    for path in paths:
        path.unlink()
    first.save_as(paths[0])


def item(**elements: Any) -> pydicom.Dataset:
    dataset = pydicom.Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def as_store(paths: list[Path]) -> None:
    """The same as a chunked store beside it."""
    ingest(paths[0].parent, paths[0].parent / STORE)


def turn(source: Path) -> np.ndarray[Any, Any]:
    geometry = open_volume(source).geometry
    middle = geometry.index_to_world((np.array(geometry.shape) - 1) / 2)
    out = np.eye(4)
    out[:3, :3] = Rotation.from_rotvec(np.radians(40) * np.ones(3) / np.sqrt(3)).as_matrix()
    out[:3, 3] = middle - out[:3, :3] @ middle
    return out


ODD = {"store": as_store, "gap": with_gap, "tilt": with_tilt, "slopes": with_slopes, "frames": as_frames}
"""What is done to a series, by name."""
STORE = "scan.ome.zarr"
"""Beside the slices of a series that is stored."""


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[tuple[Any, ...], Path] = {}

    def make(job: Shape) -> Path:
        key = (job.size, job.dtype, job.syntax, job.odd)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("series") / "s"
            write_phantom(made[key], size=job.size, dtype=job.dtype, transfer_syntax=job.syntax)
            if job.odd:
                ODD[job.odd](sorted(made[key].glob("*.dcm")))
        return made[key]

    return make


def run(job: Shape, source: Path, folder: Path) -> dict[str, Any]:
    verb, *rest = job.verb
    source = source / STORE if job.odd == "store" else source
    if "--affine" in rest:
        np.savetxt(folder / "turn.txt", turn(source))
    command = [sys.executable, "-m", "chunkvol", verb, str(source), *rest, "--memory", job.memory, "--json", "-q"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    facts: dict[str, Any] = json.loads(done.stdout)
    return facts


@pytest.mark.memory
@pytest.mark.parametrize("name", JOBS)
def test_the_peak_is_what_was_promised(name: str, series: Any, tmp_path: Path) -> None:
    job = JOBS[name]
    if job.syntax == "rle":
        pytest.importorskip("imagecodecs", reason="tool is missing: imagecodecs")
    facts = run(job, series(job), tmp_path)
    planned, measured = facts["peak_bytes"], facts["peak_measured"]
    story = f"{name}: planned {format_bytes(planned)}, measured {format_bytes(measured)}"
    print(story)
    assert measured <= planned <= parse_bytes(job.memory), story
    assert planned <= 1.3 * measured + 64 * MIB, story


@pytest.mark.memory
@pytest.mark.parametrize("verb", ["downsample", "ingest"])
def test_memory_is_flat_in_the_number_of_slices(verb: str, series: Any, tmp_path: Path) -> None:
    rest = ("--factor", "2", "-o", "o.nrrd") if verb == "downsample" else ("-o", "o.ome.zarr")
    peaks = []
    for slices in (96, 192, 384):
        folder = tmp_path / str(slices)
        folder.mkdir()
        job = Shape((384, 400, slices), (verb, *rest))
        peaks.append(run(job, series(job), folder)["peak_measured"])
    assert max(peaks) - min(peaks) <= 16 * MIB, [format_bytes(p) for p in peaks]


@pytest.mark.memory
@pytest.mark.parametrize("row", WRITERS, ids=lambda row: row.key)
def test_each_format_keeps_the_promise_and_is_flat_when_written_and_when_read(
    row: Format, series: Any, tmp_path: Path
) -> None:
    """12 MiB more voxels are seen where a writer or a reader holds them."""
    peaks: dict[str, list[int]] = {"write": [], "read": []}
    for slices in (96, 240):
        folder = tmp_path / str(slices)
        folder.mkdir()
        whole = f"o{row.suffixes[0] if row.suffixes else ''}"
        more = ("--dtype", "uint16", "--window", "-1024,3000") if row.key in UNSIGNED else ()
        write = Shape((384, 400, slices), ("convert", "-o", whole, "--format", row.key, *more))
        read = Shape((384, 400, slices), ("downsample", "--factor", "3", "-o", "small.nrrd"))
        for name, job, source in (("write", write, series(write)), ("read", read, folder / whole)):
            facts = run(job, source, folder)
            planned, measured = facts["peak_bytes"], facts["peak_measured"]
            assert measured <= planned <= 1.3 * measured + 64 * MIB, (
                name,
                format_bytes(planned),
                format_bytes(measured),
            )
            peaks[name].append(measured)
    for name, (few, many) in peaks.items():
        assert many - few <= 12 * MIB, (name, format_bytes(few), format_bytes(many))


@pytest.mark.parametrize(
    ("text", "count"), [("2GiB", 2 << 30), ("500 MB", 500_000_000), ("1.5k", 1500), ("7", 7), (1e9, 10**9)]
)
def test_bytes_are_read_as_people_write_them(text: str | float, count: int) -> None:
    assert parse_bytes(text) == count


@pytest.mark.parametrize("text", ["", "2 apples", "-1GiB", "0", "GiB"])
def test_other_amounts_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"write it as|an amount such as"):
        parse_bytes(text)


def test_steps_shrink_before_workers_are_given_up() -> None:
    assert fit([8, 4, 2], lambda step: step, workers=2, room=8) == (2, 4)
    assert fit([8, 4, 2], lambda step: step, workers=2, room=3) == (1, 2)
