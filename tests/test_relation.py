"""Relations between arrays: what numpy does to a ramp is what their mappings say of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chunkvol.errors import InputError
from chunkvol.geometry import Geometry
from chunkvol.geometry.mapping import mapping_between
from chunkvol.geometry.relation import Relation, parse_relation
from chunkvol.regions import Shape
from tests.support.grids import GRIDS, oblique_grid

Ramp = npt.NDArray[np.float64]
Done = Callable[[Ramp], Ramp]

NAMES = "zyx"
triples = st.tuples(*[st.integers(1, 4)] * 3)


def ramp(shape: Shape) -> Ramp:
    """Every voxel's own index (k, j, i), shape (k, j, i, 3)."""
    return np.stack(np.meshgrid(*[np.arange(float(n)) for n in shape], indexing="ij"), -1)


def text_of(values: Any) -> str:
    """Three values in array order as they are typed."""
    return ",".join(map(str, reversed(values)))


def blocks_averaged(b: Ramp, factors: Shape) -> Ramp:
    """Means of whole blocks, by numpy alone; an axis shorter than its factor is one block."""
    for axis, f in enumerate(factors):
        f = min(f, b.shape[axis])
        whole = np.take(b, range(b.shape[axis] // f * f), axis)
        b = whole.reshape(*b.shape[:axis], -1, f, *b.shape[axis + 1 :]).mean(axis + 1)
    return b


def resized(b: Ramp, shape: Shape) -> Ramp:
    """Edge-aligned linear resizing, extrapolated at the rim so that a ramp stays one."""
    for axis, n in enumerate(shape):
        old = b.shape[axis]
        at = (np.arange(n) + 0.5) * (old / n) - 0.5
        low = np.clip(np.floor(at).astype(int), 0, max(old - 2, 0))
        high = np.minimum(low + 1, old - 1)
        first, second = np.take(b, low, axis), np.take(b, high, axis)
        share = (at - low).reshape([-1 if a == axis else 1 for a in range(b.ndim)])
        if old == 1:  # no second voxel tells the slope: it is 1 voxel a voxel
            first = first.copy()
            first[..., axis] += at.reshape([-1 if a == axis else 1 for a in range(3)])
            b = first
        else:
            b = first + share * (second - first)
    return b


def zoomed(b: Ramp, shape: Shape) -> Ramp:
    """Linear resizing between the centres of the first and the last voxel, as scipy's zoom without grid_mode."""
    for axis, n in enumerate(shape):
        if b.shape[axis] > 1:
            at = np.linspace(0, b.shape[axis] - 1, n)
            low = np.minimum(at.astype(int), b.shape[axis] - 2)
            share = (at - low).reshape([-1 if a == axis else 1 for a in range(b.ndim)])
            b = (1 - share) * np.take(b, low, axis) + share * np.take(b, low + 1, axis)
    return b


@st.composite
def strides(draw: Any, shape: Shape) -> tuple[str, Done]:
    f, o = draw(triples), draw(st.tuples(*[st.integers(0, n - 1) for n in shape]))
    return f"stride:{text_of(f)}@{text_of(o)}", lambda b: b[o[0] :: f[0], o[1] :: f[1], o[2] :: f[2]]


@st.composite
def plain_strides(draw: Any, shape: Shape) -> tuple[str, Done]:
    f = draw(triples)
    return f"stride:{text_of(f)}", lambda b: b[:: f[0], :: f[1], :: f[2]]


@st.composite
def means(draw: Any, shape: Shape) -> tuple[str, Done]:
    f = draw(triples)
    return f"mean:{text_of(f)}", lambda b: blocks_averaged(b, f)


@st.composite
def resizings(draw: Any, shape: Shape) -> tuple[str, Done]:
    size = draw(st.tuples(*[st.integers(2, 9)] * 3))
    return f"resize:{text_of(size)}", lambda b: resized(b, size)


@st.composite
def zooms(draw: Any, shape: Shape) -> tuple[str, Done]:
    size = draw(st.tuples(*[st.integers(2, 9)] * 3))
    return f"zoom:{text_of(size)}", lambda b: zoomed(b, size)


@st.composite
def crops(draw: Any, shape: Shape) -> tuple[str, Done]:
    ends, cuts = [], []
    for n in shape:
        low = draw(st.integers(0, n - 1))
        high = draw(st.integers(low + 1, n))
        ends.append(f"{draw(st.sampled_from([low, low - n] + [''] * (low == 0)))}:{high if high < n else ''}")
        cuts.append(slice(low, high))
    return f"crop:{text_of(ends)}", lambda b: b[tuple(cuts)]


@st.composite
def flips(draw: Any, shape: Shape) -> tuple[str, Done]:
    axes = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3, unique=True))
    return "flip:" + "".join(NAMES[a] for a in axes), lambda b: np.flip(b, axes)


@st.composite
def turns(draw: Any, shape: Shape) -> tuple[str, Done]:
    axes = draw(st.permutations(range(3)))
    return "axes:" + "".join(NAMES[a] for a in reversed(axes)), lambda b: b.transpose(*axes, 3)


STEPS = {
    "stride from the first": plain_strides,
    "stride from another": strides,
    "mean": means,
    "resize": resizings,
    "zoom": zooms,
    "crop": crops,
    "flip": flips,
    "axes": turns,
}


def check(text: str, a: Ramp, shape: Shape) -> None:
    made: Shape = a.shape[:3]
    mapping = parse_relation(text).mapping(made, shape)
    assert np.abs(mapping.indices(ramp(made)) - a).max() < 1e-9, text


# -------------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("name", STEPS)
@settings(max_examples=40)
@given(data=st.data(), shape=st.tuples(*[st.integers(2, 9)] * 3))
def test_each_voxel_has_the_index_that_numpy_gave_it(name: str, data: st.DataObject, shape: Shape) -> None:
    text, done = data.draw(STEPS[name](shape))
    check(text, done(ramp(shape)), shape)


@settings(max_examples=50)
@given(data=st.data(), shape=st.tuples(*[st.integers(3, 12)] * 3), count=st.integers(2, 4))
def test_steps_follow_one_another_in_the_order_of_the_text(data: st.DataObject, shape: Shape, count: int) -> None:
    b, texts = ramp(shape), []
    for _ in range(count):
        here: Shape = b.shape[:3]
        if min(here) < 2:  # the slope of a ramp of one voxel cannot be seen
            break
        text, done = data.draw(STEPS[data.draw(st.sampled_from(sorted(STEPS)))](here))
        b = done(b)
        texts.append(text)
    check("+".join(texts), b, shape)


@settings(max_examples=40)
@given(data=st.data(), shape=st.tuples(*[st.integers(2, 9)] * 3), made=st.tuples(*[st.integers(2, 9)] * 3))
def test_a_resize_without_numbers_makes_the_size_that_is_there(data: st.DataObject, shape: Shape, made: Shape) -> None:
    turn, turned = data.draw(turns(made))
    check(f"resize+{turn}+flip:z", np.flip(turned(resized(ramp(shape), made)), 0), shape)


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize(
    ("text", "made"),
    [("stride:2,3,2+flip:xz", (4, 3, 4)), ("mean:2+axes:yzx", (3, 4, 4)), ("resize", (5, 4, 11))],
)
def test_the_grid_that_it_should_have_had_holds_each_voxel_where_the_mapping_does(
    grid: str, text: str, made: Shape
) -> None:
    source = GRIDS[grid]((8, 9, 7))
    relation = parse_relation(text)
    mapping, geometry = relation.mapping(made, source.shape), relation.geometry(made, source)
    at = ramp(made)
    assert np.abs(geometry.index_to_world(at) - source.index_to_world(mapping.indices(at))).max() < 1e-12
    again = mapping_between(geometry, source)
    assert np.allclose(again.matrix, mapping.matrix, atol=1e-9)
    assert np.allclose(again.offset, mapping.offset, atol=1e-9)


def test_the_grids_of_means_strides_and_crops_are_those_of_geometry_to_the_last_bit() -> None:
    source = oblique_grid((11, 9, 7))
    made = (5, 3, 1)
    assert parse_relation("mean:4,3,2").geometry(made, source) == source.coarsened((2, 3, 4))
    assert parse_relation("stride:4,3,2").geometry(made, source) == source.coarsened((2, 3, 4), "first")
    part = (slice(2, 9), slice(1, 8), slice(0, 7))
    assert parse_relation("crop::,1:-1,2:9").geometry((7, 7, 7), source) == source.cropped(part)
    assert parse_relation("same").geometry(source.shape, source) == source


def test_a_point_goes_there_and_back() -> None:
    mapping = parse_relation("mean:3,2,2+flip:y+axes:zxy").mapping((5, 6, 4), (8, 10, 18))
    points = np.random.default_rng(1).uniform(-3, 9, (50, 3))
    back = np.linalg.solve(np.array(mapping.matrix), (mapping.indices(points) - mapping.offset).T).T
    assert np.abs(back - points).max() < 1e-9


# ----------------------------------------------------------------------------------------------------------- corners


@pytest.mark.parametrize(("text", "lengths"), [("stride:3", (3, 4)), ("mean:3", (3, 4))])
def test_an_axis_that_blocks_do_not_fill_is_accepted_with_and_without_the_last_one(
    text: str, lengths: tuple[int, int]
) -> None:
    starts = {parse_relation(text).mapping((n, 3, 1), (10, 9, 1)).offset[0] for n in lengths}
    assert len(starts) == 1


def test_of_two_ways_to_one_shape_numpys_is_taken() -> None:
    # 7 -> 4 (numpy's) -> turned round -> 2 from voxel 6 of the first, not from voxel 4.
    check("stride:2+flip:xyz+stride:2", ramp((7, 7, 7))[::2, ::2, ::2][::-1, ::-1, ::-1][::2, ::2, ::2], (7, 7, 7))


def test_an_axis_shorter_than_its_factor_is_one_voxel_as_long_as_it() -> None:
    source = oblique_grid((3, 8, 8))
    made = parse_relation("mean:4").geometry((1, 2, 2), source)
    assert made == source.coarsened((3, 4, 4))


def test_zooming_is_what_scipy_does() -> None:
    scipy = pytest.importorskip("scipy.ndimage")
    shape, made = (11, 9, 7), (4, 5, 10)
    ratios = [m / n for m, n in zip(made, shape, strict=True)]
    ends = np.stack([scipy.zoom(ramp(shape)[..., axis], ratios, order=1) for axis in range(3)], -1)
    check("zoom", ends, shape)
    edges = [scipy.zoom(ramp(shape)[..., axis], ratios, order=1, grid_mode=True, mode="nearest") for axis in range(3)]
    inner = (slice(1, -1), slice(1, -1), slice(2, -2))  # beyond the outer centres scipy has no slope
    found = parse_relation("resize").mapping(made, shape).indices(ramp(made))
    assert np.abs(found - np.stack(edges, -1))[inner].max() < 1e-9


def test_a_crop_that_comes_first_can_be_taken_off() -> None:
    shape = (9, 8, 7)
    region, rest = parse_relation("crop:1:,:,2:-1+crop:1:,:4,:+mean:2+flip:x").after_crop(shape)
    assert region == (slice(2, 8), slice(0, 4), slice(2, 7)) and rest == Relation("mean:2+flip:x")
    assert parse_relation("flip:x").after_crop(shape) == (tuple(slice(0, n) for n in shape), Relation("flip:x"))
    assert parse_relation("crop:1:,:,:").after_crop(shape)[1] == Relation("same")


def test_a_relation_is_a_value() -> None:
    relation = parse_relation(" mean:2,2,2+flip:z ")
    assert relation == Relation("mean:2,2,2+flip:z") and hash(relation) == hash(Relation("mean:2,2,2+flip:z"))
    assert pickle.loads(pickle.dumps(relation)).mapping((2, 2, 2), (4, 4, 4)).offset == (2.5, 0.5, 0.5)
    assert str(relation) == "mean:2,2,2+flip:z"


def test_numbers_are_typed_in_order_x_y_z() -> None:
    mapping = parse_relation("stride:4,3,2").mapping((4, 2, 1), (8, 6, 4))
    assert np.diag(mapping.matrix).tolist() == [2, 3, 4]


def test_a_billion_voxels_are_exact() -> None:
    mapping = parse_relation("mean:3+flip:x").mapping((1, 1, 333_333_333), (1, 1, 999_999_999))
    assert mapping.indices((0, 0, 333_333_332)).tolist() == [0, 0, 1]


# ---------------------------------------------------------------------------------------------------------- messages


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (
            "mean:2,3,4",
            r"by 'mean:2,3,4' 9 x 8 x 7 voxels \(x, y, z\) become 5 or 4 x 3 or 2 x 2 or 1, but .* 5 x 4 x 3",
        ),
        ("stride:2,2,1", r"become 5 or 4 x 4 x 7, but the volume that was made has 5 x 4 x 3: z differs"),
        ("crop:3:4,:,:", r"become 1 x 8 x 7, .*: x and y and z differ"),
        ("crop:9:12,:,:", r"'crop:9:12,:,:': along x nothing is left of 9 voxels"),
        ("stride:2@0,0,7", r"along z it starts at voxel 7, and there are 7"),
    ],
)
def test_shapes_that_do_not_match_are_refused_with_numbers(text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        parse_relation(text).mapping((3, 4, 5), (7, 8, 9))


@pytest.mark.parametrize(
    "text",
    ["", "mean", "mean:0", "mean:2,2", "mean:2,2,2,2", "mean:1.5", "stride:-2", "stride:2@", "halve", "crop:1:2",
     "crop:1,2,3", "flip", "flip:xx", "flip:w", "axes:xy", "axes:xxy", "same:1", "mean:2++flip:z", "resize:"],
)  # fmt: skip  # one a line would fill the screen
def test_what_is_no_relation_is_refused_with_the_words(text: str) -> None:
    with pytest.raises(InputError, match=r"is no step from one volume to another; write same; stride:2,2,2"):
        parse_relation(text)


def test_a_resize_to_a_size_that_nobody_said_is_refused() -> None:
    with pytest.raises(InputError, match=r"'resize' before 'mean:2' does not say to which size"):
        parse_relation("resize+mean:2")
    assert parse_relation("resize+axes:zxy").geometry((2, 3, 4), Geometry((9, 9, 9))).shape == (2, 3, 4)
