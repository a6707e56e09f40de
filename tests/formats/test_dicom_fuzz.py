"""Damaged DICOM files are refused in one sentence or read as others read them, and the fuzzer sees what is not so."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from tests.support.elements import parse
from tests.support.fuzz.child import Child, CrashedError, HungError
from tests.support.fuzz.corpus import write_corpus
from tests.support.fuzz.judge import compare
from tests.support.fuzz.reference import Opinion
from tests.support.fuzz.runner import fuzz
from tests.support.mutate import KINDS, mutate

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits and peaks are those of Linux")

pytest.importorskip("imagecodecs", reason="tool is missing: imagecodecs")
pytest.importorskip("gdcm", reason="tool is missing: python-gdcm")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sound series."""
    folder = tmp_path_factory.mktemp("corpus")
    write_corpus(folder)
    return folder


FOUND = (
    12000817, 12004316, 12004512, 12008150, 13007683, 13008189, 14000443, 14002241, 14003938, 14005433, 14007748,
    16004899, 1000615, 17001601,
)  # fmt: skip  # a list
"""Cases that were findings, of the reader or of its judge, until one of them was mended."""


def findings(seeds: Iterable[int], jobs: int = 1) -> list[str]:
    """What is wrong, a line a case; `benchmarks/fuzz_dicom.py --only SEED` shows one again."""
    return [f"{ran.seed} {ran.outcome} {ran.series} {ran.kinds}: {ran.words}" for ran in fuzz(seeds, jobs) if ran.bad]


def test_a_hundred_and_fifty_damaged_series_are_refused_or_read_right() -> None:
    assert findings([*range(150), *FOUND]) == []


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_ten_thousand_damaged_series_are_refused_or_read_right() -> None:
    assert findings(range(1_000_000, 1_010_000), jobs=2) == []


def test_equal_seeds_give_equal_damage_and_all_kinds_occur(corpus: Path) -> None:
    seen: Counter[str] = Counter()
    for name in ("jpeg_70", "j2k_90", "rle_u2", "deflated_u2", "rich"):
        data = (corpus / name / "IM0001.dcm").read_bytes()
        for seed in range(400):
            mutant = mutate(data, seed)
            seen.update(mutant.kinds)
            assert seed % 20 or mutant == mutate(data, seed)
    assert set(seen) == set(KINDS)


def test_files_taken_apart_and_put_together_are_the_same_bytes(corpus: Path) -> None:
    for path in sorted(corpus.glob("[!as]*/IM0001.dcm")):
        file, data = parse(path.read_bytes()), path.read_bytes()
        assert file is not None, path
        again = parse(file.encoded())
        assert again is not None
        assert file.encoded() == data or again.body == file.body, path  # deflate may pack otherwise


PLANES = np.arange(24).reshape(2, 3, 4)


def opinions(*planes: np.ndarray | None) -> dict[str, Opinion]:
    """What a reference might say of one file a plane."""
    return {
        f"IM{n}.dcm": Opinion(None if plane is None else plane[None], "refused", (0.0, 0.0, float(n)))
        for n, plane in enumerate(planes)
    }


@pytest.mark.parametrize(
    ("said", "originals", "name", "bad"),
    [
        (opinions(*PLANES), {}, "same pixels", False),
        (opinions(PLANES[0], PLANES[1] + 1), {}, "differs", True),
        (opinions(PLANES[0], None), opinions(None, PLANES[1] + 1), "made up", True),
        (opinions(PLANES[0], None), opinions(None, PLANES[1]), "right, refused by the reference", False),
        (opinions(*PLANES, PLANES[0] + 50), {}, "left out", False),
        (opinions(PLANES[1], PLANES[0]), {}, "misplaced", True),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_the_judge_tells_right_pixels_from_wrong_ones(
    said: dict[str, Opinion], originals: dict[str, Opinion], name: str, bad: bool
) -> None:
    verdict = compare(
        PLANES, (0.0, 0.0, 0.0), said, {key: one for key, one in originals.items() if one.frames is not None}
    )
    assert (verdict.name, verdict.bad) == (name, bad), verdict.why


def test_planes_of_several_slopes_are_compared_as_real_values() -> None:
    said = {"IM0.dcm": Opinion(PLANES[:1], scales=((2.0, 0.0),)), "IM1.dcm": Opinion(PLANES[1:], scales=((0.5, 3.0),))}
    real = np.stack([PLANES[0] * 2.0, PLANES[1] * 0.5 + 3.0])
    assert compare(real, (0.0, 0.0, 0.0), said, {}).name == "same pixels"
    assert compare(real + 1, (0.0, 0.0, 0.0), said, {}).name == "differs"


@pytest.mark.parametrize(
    ("values", "largest", "name"),
    [
        ([255, 255], 255, "same pixels"),
        ([255, 254], 255, "differs"),
        ([255], None, "differs"),
        ([0] * 12, 255, "differs"),
    ],
)
def test_overflow_of_lossy_jpeg_is_no_difference(values: list[int], largest: int | None, name: str) -> None:
    read = PLANES[:1] + 100
    read.flat[: len(values)] = values
    assert compare(read, (0.0, 0.0, 0.0), {"IM0.dcm": Opinion(PLANES[:1] + 100, clipped_at=largest)}, {}).name == name


def test_a_process_that_crashes_or_hangs_is_told_apart_and_started_again(tmp_path: Path) -> None:
    child = Child("tests.support.fuzz.echo", tmp_path / "log")
    try:
        assert child.ask("hello", 60) == "hello"
        with pytest.raises(CrashedError, match="SIGSEGV"):
            child.ask("crash", 60)
        with pytest.raises(HungError, match=r"no answer in 0\.5 s"):
            child.ask("hang", 0.5)
        assert child.ask("again", 60) == "again"
    finally:
        child.close()
