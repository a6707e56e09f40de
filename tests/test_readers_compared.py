"""Odd series: what we give by default is right or refused, and where another program is right, we agree with it."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.support.oddities import ODDITIES
from tests.support.readers import PEERS, Read, by_chunkvol, installed, verdict_on
from tests.support.truth import Result, Truth, Verdict, judge

NAMES = [oddity.name for oddity in ODDITIES]
BY_NAME = {oddity.name: oddity for oddity in ODDITIES}
DECIDED = [(oddity.name, options) for oddity in ODDITIES for options in oddity.options]

Made = tuple[Path, tuple[Truth, ...]]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the series of this module are."""
    return tmp_path_factory.mktemp("odd")


@functools.cache
def made(root: Path, name: str) -> Made:
    """A folder with an odd series, written once."""
    return root / name, BY_NAME[name].write(root / name)


@functools.cache
def ours(root: Path, name: str) -> tuple[tuple[Verdict, list[Result]], ...]:
    """What we give by default, then once decided."""
    folder, truths = made(root, name)
    ways: list[Read] = [by_chunkvol, *(functools.partial(by_chunkvol, **options) for options in BY_NAME[name].options)]
    return tuple(verdict_on(way, folder, truths) for way in ways)


@pytest.mark.parametrize("name", NAMES)
def test_by_default_we_are_right_or_refuse(name: str, root: Path) -> None:
    verdict, _ = ours(root, name)[0]
    assert verdict.kind in ("right", "refused"), verdict.words


@pytest.mark.parametrize(("name", "options"), DECIDED, ids=[f"{name}-{options}" for name, options in DECIDED])
def test_once_decided_we_are_right(name: str, options: dict[str, object], root: Path) -> None:
    verdict, _ = ours(root, name)[1 + BY_NAME[name].options.index(options)]
    if "mean" in options.values():  # it moves planes, as asked: at most to the middle between them
        assert verdict.words == "up to 0.188 mm off"
    else:
        assert verdict.kind == "right", verdict.words


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("name", NAMES)
def test_where_a_peer_is_right_we_agree_with_it(name: str, peer: str, root: Path) -> None:
    if not installed(peer):
        pytest.skip(f"tool is missing: {peer}")
    folder, truths = made(root, name)
    verdict, theirs = verdict_on(PEERS[peer], folder, truths)
    if verdict.kind != "right":
        return  # nothing to agree with
    right = [results for mine, results in ours(root, name) if mine.kind == "right"]
    assert right, f"{peer} is right where we are not: {ours(root, name)[0][0].words}"
    if truths[0].placed:
        assert any(agree(result, other) for result in right[0] for other in theirs)


def agree(result: Result, other: Result) -> bool:
    """The same voxels at the same places (1e-6 of how far they are, and no hundredth of a voxel) of the same values."""
    index = np.linalg.solve(other.affine[:3, :3], (result.points - other.affine[:3, 3]).reshape(-1, 3).T).T
    nearest = np.rint(index).astype(int)
    if result.values.size != other.values.size or (nearest < 0).any() or (nearest >= other.values.shape).any():
        return False
    away = np.linalg.norm((index - nearest) @ other.affine[:3, :3].T, axis=1).max()
    finest = np.linalg.norm(other.affine[:3, :3], axis=0).min()
    values = other.values[tuple(nearest.T)].reshape(result.values.shape)
    return bool(
        away <= min(1e-6 * np.abs(result.points).max(), 0.01 * finest)
        and np.allclose(values, result.values, rtol=1e-6, atol=0)
    )


# The judge itself: it must see what is wrong, and how.


@pytest.fixture
def plain(root: Path) -> tuple[Result, Truth]:
    """A series read rightly, and its truth."""
    _, truths = made(root, "plain")
    verdict, results = ours(root, "plain")[0]
    assert verdict.kind == "right"
    return results[0], truths[0]


def scaled(affine: np.ndarray, axis: int, factor: float) -> np.ndarray:
    """The affine with longer steps along one axis."""
    out = affine.copy()
    out[:3, axis] *= factor
    return out


def moved(affine: np.ndarray, x: float) -> np.ndarray:
    """The affine moved along x, mm."""
    out = affine.copy()
    out[0, 3] += x
    return out


def test_the_order_in_which_voxels_are_stored_does_not_matter(plain: tuple[Result, Truth]) -> None:
    result, truth = plain
    turned = Result(result.values.transpose(2, 0, 1), result.affine[:, [2, 0, 1, 3]])
    flipped = result.affine @ np.array([[-1, 0, 0, 6], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    assert judge([turned], [truth]).kind == judge([Result(result.values[::-1], flipped)], [truth]).kind == "right"


def test_the_judge_sees_how_far_voxels_are_off(plain: tuple[Result, Truth]) -> None:
    result, truth = plain
    assert judge([replace(result, affine=moved(result.affine, 0.25))], [truth]).words == "up to 0.25 mm off"
    stretched = judge([replace(result, affine=scaled(result.affine, 0, 1.2))], [truth])
    assert stretched.words == "spacing 1.8 instead of 1.5 mm, up to 1.8 mm off"
    assert judge([replace(result, values=result.values[:, ::-1])], [truth]).words == "up to 5.6 mm off"


def test_the_judge_sees_what_became_of_values(plain: tuple[Result, Truth]) -> None:
    result, truth = plain
    for values, words in (
        (-result.values, "values inverted"),
        (result.values * 0.37 + 5.11, r"values times 0.37 plus 5.11"),
        (np.where(result.values > 2000, result.values - 4096, result.values), "values -4096 where the sign bit is set"),
    ):
        verdict = judge([replace(result, values=values)], [truth])
        assert (verdict.kind, verdict.words) == ("wrong", words)


def test_the_judge_sees_planes_that_are_missing_or_twice(plain: tuple[Result, Truth]) -> None:
    result, truth = plain
    assert judge([replace(result, values=result.values[:-2])], [truth]).words == (
        "2 of 7 planes left out without a word"
    )
    twice = replace(result, values=result.values[[0, 1, 1, 2, 3, 4, 5, 6]])
    assert judge([twice], [truth]).words == "1 planes twice, up to 1.5 mm off"


def test_the_judge_sees_volumes_mixed_into_one(root: Path) -> None:
    _, truths = made(root, "echoes")
    results = ours(root, "echoes")[1][1]
    assert judge(results, truths).words == "right, 2 of 2 volumes"
    mixed = Result(np.concatenate([results[0].values, results[1].values]), results[0].affine)
    assert judge([mixed], truths).words == "volumes mixed into one"
