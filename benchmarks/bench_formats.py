"""What do other formats cost: a TIFF stack beside the DICOM path, gzip beside ITK, and the peak of each writer?"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness import MIB, Case, measure, ours, peer
from phantoms import first_slices, phantom, warm
from session import Session, parser
from verdicts import Verdict

_EQUAL = 1.02
WRITERS = {
    "nrrd": "nrrd",
    "nifti": "nii.gz",
    "metaimage": "mha",
    "npy": "npy",
    "dicom": "",
    "ome-tiff": "ome.tif",
    "tiff": "tif",
    "tiff-slices": "",
    "png-slices": "",
    "ome-zarr": "ome.zarr",
}
"""Key and suffix of the formats whose peak is measured."""


def main() -> int:
    """Reading, packing, then memory."""
    options = _options()
    session = Session(options)
    folder = phantom(session.data, (options.side, options.side, options.slices))
    _stack(session, folder, options.rounds)
    _gzip(session, folder, options.rounds)
    if not options.peers_only:
        _memory(session, folder, options.slices)
    return session.close()


def _options() -> argparse.Namespace:
    out = parser(__doc__, "formats", slices=500)
    out.add_argument("--peers-only", action="store_true", help="leave out the peaks")
    return out.parse_args()


def _converted(folder: Path, name: str, *arguments: str) -> Path:
    """The series in another format, made once."""
    target = folder.parent / f"{folder.name}-{name}"
    if not target.exists():
        wrong = measure(ours("convert", "convert", str(folder), "-o", str(target), *arguments)).error
        if wrong:
            raise RuntimeError(wrong)
    return target


def _halved(name: str, source: Path) -> Case:
    out = source.parent / "small.nrrd"
    return ours(name, "downsample", str(source), "--factor", "2", "-o", str(out), outputs=(out,))


def _stack(session: Session, folder: Path, rounds: int) -> None:
    """The same voxels from TIFF slices and from DICOM slices."""
    slices = _converted(folder, "tiff", "--format", "tiff-slices")
    single = _converted(folder, "bigtiff.tif")
    series = _converted(folder, "dicom", "--format", "dicom")
    for other in (slices, series):
        warm(other)
    dicom = _halved("halved from DICOM", series)
    pairs = session.pairs(_halved("halved from TIFF slices", slices), dicom, rounds)
    session.ratio("half-size NRRD: TIFF slices / DICOM", pairs, gate=1.3)
    pairs = session.pairs(_halved("halved from one TIFF", single), dicom, rounds)
    session.ratio("half-size NRRD: one TIFF file / DICOM", pairs)


def _gzip(session: Session, folder: Path, rounds: int) -> None:
    """Compressed files of the same voxels, at the fastest level of ITK that makes them as small as ours."""
    source = _converted(folder, "raw.nrrd")
    for suffix, gate in (("nrrd", 0.5), ("nii.gz", None)):
        out, theirs = source.parent / f"ours.{suffix}", source.parent / f"theirs.{suffix}"
        more = ("--encoding", "gzip") if suffix == "nrrd" else ()
        own = ours(f"chunkvol {suffix} gzip", "convert", str(source), "-o", str(out), *more, outputs=(out,))
        size = session.run(own).written
        cases = [
            peer(f"ITK {suffix}, level {n}", "peer_write_gzip.py", str(source), str(theirs), str(n), outputs=(theirs,))
            for n in (1, 2, 6)
        ]
        runs = [(session.run(case), case) for case in cases]
        # The fastest of those that pack as well as we do.
        nearest = min((run.wall, n) for n, (run, _) in enumerate(runs) if run.written <= _EQUAL * size)[1]
        pairs = session.pairs(own, cases[nearest], rounds)
        session.ratio(f"gzip {suffix}: chunkvol / {cases[nearest].name}", pairs, gate=gate)
        sizes = tuple(a.written / b.written for a, b in pairs)
        session.answer(Verdict(f"size of gzip {suffix}: chunkvol / {cases[nearest].name}", sizes))


def _memory(session: Session, folder: Path, slices: int) -> None:
    """The peak of a writer must not grow with the number of slices."""
    halves = [first_slices(folder, n) for n in (slices // 2, slices)]
    for key, suffix in WRITERS.items():
        peaks = []
        for half in halves:
            out = half.parent / (f"out-{key}.{suffix}" if suffix else f"out-{key}")
            more = ("--dtype", "uint16", "--window", "auto") if key == "png-slices" else ()
            case = ours(
                f"{key}, {half.name[-4:]}", "convert", str(half), "-o", str(out), "--format", key, *more, outputs=(out,)
            )
            run = session.run(case)
            peaks += [] if run.error else [run.peak / MIB]
        growth = (peaks[1] - peaks[0],) if len(peaks) == 2 else ()
        session.answer(Verdict(f"growth of the peak of {key}, twice the slices", growth, "MiB", gate=16))


if __name__ == "__main__":
    sys.exit(main())
