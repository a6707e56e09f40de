"""The Python interface from end to end: open, plan, write, ingest, levels, and what each refuses."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from pydicom.dataset import Dataset

import chunkvol
from chunkvol import Metadata, Rescale, Volume
from chunkvol.cli import cli
from chunkvol.errors import BudgetError, FormatError, InputError, OutputError
from chunkvol.formats import FORMATS
from chunkvol.kernels import REDUCERS
from chunkvol.ops.reorient import canonical
from chunkvol.progress import Progress
from chunkvol.summary import summarise, summary_text
from tests.support.grids import GRIDS, minus_grid, noise_volume, oblique_grid, ramp_values, ramp_volume
from tests.support.series import oblique, write_series

SHAPE = (70, 41, 300)


class Told(Progress):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.done = 0

    def stage(self, name: str, total: int, unit: str = "bytes") -> None:
        self.stages.append((name, total))

    def advance(self, amount: int) -> None:
        self.done += amount

    def say(self, text: str) -> None:
        raise AssertionError(f"nothing was expected to be said: {text}")

    def close(self) -> None:
        return


@pytest.fixture
def series(tmp_path: Path) -> Path:
    array = np.random.default_rng(2).integers(0, 4096, SHAPE, dtype="u2")
    write_series(tmp_path / "dicom", array, oblique(SHAPE, (0.3, 0.3, 0.3)), order="shuffled", bits_stored=12)
    return tmp_path / "dicom"


# ----------------------------------------------------------------------------------------------- how it reads


def test_the_usual_day(series: Path, tmp_path: Path) -> None:
    scan = chunkvol.ingest(series, tmp_path / "scan.ome.zarr", budget="4GiB")
    assert scan.shape == SHAPE
    assert len(scan.levels) == 2

    preview = chunkvol.downsample(scan, 4)
    plan = chunkvol.plan_write(preview, tmp_path / "preview.nrrd", budget="8GiB")
    assert plan.result.size == (75, 10, 17)  # x, y, z
    assert not (tmp_path / "preview.nrrd").exists()
    written = chunkvol.write_volume(preview, tmp_path / "preview.nrrd", budget="8GiB")
    assert replace(written.plan, baseline=0) == replace(plan, baseline=0)
    assert written.path == tmp_path / "preview.nrrd"
    assert written.source_bytes == preview.read().nbytes

    opened = chunkvol.open_volume(str(tmp_path / "preview.nrrd"))
    assert opened.dtype == np.dtype("int16")  # 2 * stored - 1024 of 12 bits
    np.testing.assert_array_equal(opened.read(), preview.read().astype(int) * 2 - 1024)
    assert opened.geometry.is_close(preview.geometry, 1e-9)

    bone = scan[30:60]
    middle = scan.geometry.index_to_world((30, 0, 0))
    np.testing.assert_allclose(bone.geometry.origin, middle, rtol=1e-14)
    chunkvol.write_volume(bone, tmp_path / "bone.nhdr")
    assert (tmp_path / "bone.raw").stat().st_size == 30 * 41 * 300 * 2


def test_levels_are_volumes_that_know_how_they_were_made(tmp_path: Path) -> None:
    metadata = Metadata(Rescale(2, -1024, "HU"), modality="CT", source="abc", history=("crop",))
    plain = noise_volume(oblique_grid(SHAPE, spacing=(0.3, 0.3, 0.3)))
    opened = chunkvol.ingest(Volume(plain.data, plain.geometry, metadata), tmp_path / "a.ome.zarr", method="max")
    assert opened.metadata == replace(metadata, pyramid="max")
    for number, level in enumerate(opened.levels):
        same = chunkvol.open_volume(tmp_path / "a.ome.zarr", level=number)
        assert same.geometry == level.geometry
        np.testing.assert_array_equal(same.read(), level.read())
        direct = chunkvol.downsample(opened, 2**number, method="max") if number else opened
        assert level.metadata == same.metadata == direct.metadata
        assert len(level.levels) == 1 or number == 0


def test_a_store_of_a_level_is_the_pyramid_from_there(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((20, 33, 1100), spacing=(0.3, 0.3, 0.3)))
    opened = chunkvol.ingest(volume, tmp_path / "a.ome.zarr", method="stride")
    again = chunkvol.ingest(opened.levels[1], tmp_path / "b.ome.zarr", method="stride")
    assert len(again.levels) == len(opened.levels) - 1
    for ours, theirs in zip(again.levels, opened.levels[1:], strict=True):
        assert ours.geometry.is_close(theirs.geometry, 1e-12)
        np.testing.assert_array_equal(ours.read(), theirs.read())


@pytest.mark.parametrize("name", GRIDS)
def test_canonical_ingest_moves_no_voxel_or_refuses(tmp_path: Path, name: str) -> None:
    volume = ramp_volume(GRIDS[name]((9, 30, 270)))
    if name not in ("minus signs", "turned"):
        with pytest.raises(chunkvol.errors.GeometryError, match="resample first"):
            chunkvol.ingest(volume, tmp_path / "c.ome.zarr", canonical=True)
        assert list(tmp_path.iterdir()) == []
        return
    opened = chunkvol.ingest(volume, tmp_path / "c.ome.zarr", canonical=True)
    assert np.array_equal(np.array(opened.geometry.direction)[:, ::-1], np.eye(3))
    assert len(opened.levels) > 1
    for level in opened.levels:
        np.testing.assert_allclose(level.read(), ramp_values(level.geometry), rtol=1e-11, atol=1e-10)


def test_a_canonical_store_of_compressed_planes_is_staged_once(tmp_path: Path) -> None:
    grid = minus_grid((40, 30, 50)).reordered((2, 0, 1), (False, True, True))  # sagittal, right-handed
    array = np.random.default_rng(2).integers(0, 4096, grid.shape, dtype="u2")
    write_series(tmp_path / "dicom", array, grid, transfer_syntax="1.2.840.10008.1.2.5")
    volume = chunkvol.open_volume(tmp_path / "dicom")
    plan = chunkvol.plan_write(canonical(volume), tmp_path / "c.ome.zarr")
    assert plan.scratch >= array.nbytes
    opened = chunkvol.ingest(tmp_path / "dicom", tmp_path / "c.ome.zarr", canonical=True)
    np.testing.assert_array_equal(opened.read(), canonical(Volume(array, grid)).read())
    assert opened.geometry.is_close(canonical(volume).geometry)


def test_progress_hears_every_byte(series: Path, tmp_path: Path) -> None:
    told = Told()
    volume = chunkvol.open_volume(series)
    chunkvol.write_volume(volume, tmp_path / "a.nrrd", progress=told)
    assert told.stages[0] == ("writing", 2 * int(np.prod(SHAPE)))
    assert told.done == 2 * int(np.prod(SHAPE))
    assert told.stages[-1] == ("syncing to disk", 0)


def test_the_command_line_counts_x_y_z_where_python_counts_k_j_i(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((20, 30, 300), spacing=(0.7, 0.5, 0.3)))
    chunkvol.write_volume(volume, tmp_path / "a.nrrd")
    arguments = ["downsample", str(tmp_path / "a.nrrd"), "--factor", "5,3,2", "-o", str(tmp_path / "b.nrrd"), "-q"]
    result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    small, direct = chunkvol.open_volume(tmp_path / "b.nrrd"), chunkvol.downsample(volume, (2, 3, 5))
    assert small.geometry.is_close(direct.geometry, 1e-9)
    np.testing.assert_array_equal(small.read(), direct.read())
    facts = json.loads(CliRunner().invoke(cli, ["info", str(tmp_path / "b.nrrd"), "--json"]).output)
    assert facts["size"] == [60, 10, 10]
    np.testing.assert_allclose(facts["spacing"], [1.5, 1.5, 1.4])


def test_a_suggested_factor_can_be_typed_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chunkvol.summary.COMFORTABLE", 100_000)
    volume = noise_volume(oblique_grid((10, 100, 400), spacing=(0.8, 0.4, 0.1)))
    facts = summarise(volume, "NRRD")
    assert facts["suggested_factor"] == [6, 2, 1]
    assert "--factor 6,2,1" in summary_text(facts)
    assert chunkvol.downsample(volume, (1, 2, 6)).read().nbytes <= 100_000


# ---------------------------------------------------------------------------------------------- options of reading


def test_options_of_reading_and_of_writing_go_where_they_belong(
    series: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}
    dicom = FORMATS["DICOM series"]

    def read(path: Path, progress: Progress, **options: Any) -> Volume:
        asked.update(options)
        return dicom.read(path, progress)

    monkeypatch.setitem(FORMATS, "DICOM series", replace(dicom, read=read))
    opened = chunkvol.ingest(
        series, tmp_path / "a.ome.zarr", gaps="fill", fill_value=-1000.0, keep_phi=True, codec="zstd", method="max"
    )
    assert asked == {"gaps": "fill", "fill_value": -1000.0, "keep_phi": True}
    assert opened.metadata.pyramid == "max"
    assert json.loads((tmp_path / "a.ome.zarr" / "0" / "zarr.json").read_text())["data_type"] == "uint16"
    asked.clear()
    chunkvol.open_volume(series, spacing=(3.0, 2.0, 1.0))
    assert asked == {"spacing": (3.0, 2.0, 1.0)}


def test_options_that_the_input_does_not_have_are_refused_before_it_is_read(
    volume: Volume, series: Path, tmp_path: Path
) -> None:
    for name in ("a.nrrd", "a.ome.zarr"):
        chunkvol.write_volume(volume, tmp_path / name)
    known = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(FORMATS["DICOM series"].read_options))
    told = Told()
    for path, message in (
        (tmp_path / "a.nrrd", "a.nrrd is NRRD, which has no reading option --gaps; it has --trust-paths"),
        (tmp_path / "a.ome.zarr", "OME-Zarr, which has no reading option --gaps; it has --channel, --geometry"),
    ):
        with pytest.raises(InputError, match=message):
            chunkvol.open_volume(path, gaps="fill")
        with pytest.raises(InputError, match=message):
            chunkvol.ingest(path, tmp_path / "b.ome.zarr", gaps="fill")
    with pytest.raises(InputError, match=f"is DICOM series, which has no reading option --gap; it has {known}"):
        chunkvol.open_volume(series, gap="fill", progress=told)
    with pytest.raises(InputError, match="gaps is 'keep'; it can be fill or split"):
        chunkvol.open_volume(series, gaps="keep", progress=told)
    with pytest.raises(InputError, match="the volume is open already: give few, gaps to open_volume, or a path"):
        chunkvol.ingest(volume, tmp_path / "b.ome.zarr", gaps="fill", few=True)
    assert told.stages == []
    assert not (tmp_path / "b.ome.zarr").exists()


def test_options_that_slices_do_not_have_are_for_the_scan_whose_grid_they_take(series: Path, tmp_path: Path) -> None:
    shutil.copytree(series, tmp_path / "two" / "a")
    shape = chunkvol.open_volume(series).shape
    grid = oblique_grid(shape)

    def other(k: int, dataset: Dataset) -> None:
        dataset.SeriesInstanceUID = "1.2.3"

    write_series(tmp_path / "two" / "b", np.zeros(shape, np.uint16), grid, edit=other)
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(InputError, match="choose one"):
        chunkvol.open_volume(tmp_path / "a.npy", geometry=tmp_path / "two")
    found = chunkvol.open_volume(tmp_path / "a.npy", geometry=tmp_path / "two", series="1.2.3")
    assert found.geometry.is_close(grid)
    with pytest.raises(InputError, match=r"a\.npy is NumPy array, which has no reading option --series"):
        chunkvol.open_volume(tmp_path / "a.npy", series="1.2.3")


def test_trust_holds_for_the_scan_whose_grid_is_taken(volume: Volume, tmp_path: Path) -> None:
    (tmp_path / "headers").mkdir()
    chunkvol.write_volume(volume, tmp_path / "a.nhdr")
    header = (tmp_path / "a.nhdr").read_text().replace("data file: ", "data file: ../")
    (tmp_path / "headers" / "a.nhdr").write_text(header)
    np.save(tmp_path / "a.npy", np.zeros(volume.shape, np.uint8))
    with pytest.raises(FormatError, match="--trust-paths"):
        chunkvol.open_volume(tmp_path / "a.npy", geometry=tmp_path / "headers" / "a.nhdr")
    found = chunkvol.open_volume(tmp_path / "a.npy", geometry=tmp_path / "headers" / "a.nhdr", trust_paths=True)
    assert found.geometry.is_close(volume.geometry)


def test_a_plan_tells_that_the_geometry_is_assumed(volume: Volume, tmp_path: Path) -> None:
    nowhere = replace(volume, metadata=replace(volume.metadata, assumed=True))
    for name in ("a.nrrd", "a.ome.zarr"):
        plan = chunkvol.plan_write(nowhere, tmp_path / name)
        assert plan.notes[0] == "the geometry is assumed, not stated by the input; the output says so too"
        assert plan.notes[1:] == chunkvol.plan_write(volume, tmp_path / name).notes
        assert chunkvol.write_volume(nowhere, tmp_path / name).plan.notes == plan.notes
        reopened = chunkvol.open_volume(tmp_path / name)
        straight = Volume(reopened.read(), minus_grid(reopened.shape), reopened.metadata)
        for made in (reopened, reopened.values, reopened[1:5], chunkvol.downsample(reopened, 2), canonical(straight)):
            assert made.metadata.assumed


# ------------------------------------------------------------------------------------------------- what is left


def test_nothing_but_the_output_is_left(series: Path, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    chunkvol.ingest(series, tmp_path / "a.ome.zarr")
    chunkvol.write_volume(chunkvol.open_volume(series), tmp_path / "b.nhdr", encoding="gzip")
    after = {path.name for path in tmp_path.iterdir()}
    assert after - before == {"a.ome.zarr", "b.nhdr", "b.raw.gz"}
    assert {path.name for path in (tmp_path / "a.ome.zarr").iterdir()} == {"zarr.json", "0", "1"}


def test_the_input_is_never_touched(series: Path, tmp_path: Path) -> None:
    def state() -> list[tuple[str, int, str]]:
        files = sorted(series.iterdir())
        return [(f.name, f.stat().st_mtime_ns, hashlib.sha256(f.read_bytes()).hexdigest()) for f in files]

    before = state()
    chunkvol.ingest(series, tmp_path / "a.ome.zarr")
    assert state() == before


def test_an_output_may_replace_its_own_input_at_the_very_end(tmp_path: Path) -> None:
    volume = noise_volume(oblique_grid((9, 10, 11)))
    for name in ("a.nrrd", "a.ome.zarr"):
        chunkvol.write_volume(volume, tmp_path / name)
        opened = chunkvol.open_volume(tmp_path / name)
        wanted = chunkvol.downsample(opened, 2).read()
        chunkvol.write_volume(chunkvol.downsample(opened, 2), tmp_path / name, overwrite=True)
        np.testing.assert_array_equal(chunkvol.open_volume(tmp_path / name).read(), wanted)


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.fixture
def volume() -> Volume:
    return noise_volume(oblique_grid((9, 10, 300)))


@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.ome.zarr"])
def test_an_existing_output_is_kept(volume: Volume, tmp_path: Path, name: str) -> None:
    chunkvol.write_volume(volume, tmp_path / name)
    with pytest.raises(OutputError, match=name):
        chunkvol.write_volume(volume, tmp_path / name)
    chunkvol.write_volume(volume, tmp_path / name, overwrite=True)


@pytest.mark.parametrize("format", ["tiff-slices", "png-slices", "dicom"])
def test_what_others_put_among_slices_is_never_deleted(tmp_path: Path, format: str) -> None:
    small, out = noise_volume(oblique_grid((4, 5, 6))), tmp_path / "out"
    chunkvol.write_volume(small, out, format=format)
    chunkvol.write_volume(small[:3], out, format=format, overwrite=True)
    (out / "points.fcsv").write_text("mine")
    before = sorted(out.iterdir())
    with pytest.raises(OutputError, match=r"out is a folder that holds something else than .* nothing was overwritten"):
        chunkvol.write_volume(small, out, format=format, overwrite=True)
    assert sorted(out.iterdir()) == before


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("a.tex", {}, r"suffix .* \.ome\.zarr"),
        ("a.nrrd", {"method": "mean"}, "a.nrrd is NRRD, which has no option --method; it has --encoding"),
        (
            "a.ome.zarr",
            {"encoding": "gzip"},
            "a.ome.zarr is OME-Zarr, which has no option --encoding; it has --codec, --method",
        ),
        ("a.nrrd", {"encoding": "bzip2"}, "raw or gzip, not 'bzip2'"),
        ("a.ome.zarr", {"codec": "gzip"}, "unknown codec 'gzip'"),
        ("a.ome.zarr", {"method": "bicubic"}, "not by 'bicubic'"),
        ("a.ome.zarr", {"budget": "much"}, "'much' is not an amount of bytes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_wrong_requests_are_refused_and_leave_nothing(
    volume: Volume, tmp_path: Path, name: str, options: dict[str, Any], message: str
) -> None:
    for verb in (chunkvol.plan_write, chunkvol.write_volume):
        with pytest.raises(InputError, match=message):
            verb(volume, tmp_path / name, **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", [name for name, row in REDUCERS.items() if not row.nested])
def test_methods_that_look_beyond_their_block_make_no_pyramid(volume: Volume, tmp_path: Path, method: str) -> None:
    with pytest.raises(InputError, match=f"not by '{method}'"):
        chunkvol.ingest(volume, tmp_path / "a.ome.zarr", method=method)


def test_labels_of_64_bits_make_a_pyramid_by_the_methods_for_labels(volume: Volume, tmp_path: Path) -> None:
    labels = Volume(volume.read().astype("i8") << 40, volume.geometry)
    with pytest.raises(InputError, match="labels want --method mode or stride"):
        chunkvol.ingest(labels, tmp_path / "a.ome.zarr")
    opened = chunkvol.ingest(labels, tmp_path / "a.ome.zarr", method="mode")
    np.testing.assert_array_equal(opened.read(), labels.read())


def test_arrays_without_a_place_and_stores_named_otherwise_are_refused(volume: Volume, tmp_path: Path) -> None:
    array: Any = volume.array
    with pytest.raises(InputError, match=r"a Volume is written, not Array.*Volume\(array, geometry\)"):
        chunkvol.write_volume(array, tmp_path / "a.nrrd")
    with pytest.raises(InputError, match=r"a\.nrrd does not end in \.ome\.zarr"):
        chunkvol.ingest(volume, tmp_path / "a.nrrd")
    assert list(tmp_path.iterdir()) == []


def test_a_budget_that_nothing_fits_names_the_smallest(volume: Volume, tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"smallest that fits is --memory (\d+)MiB") as caught:
        chunkvol.write_volume(volume, tmp_path / "a.nrrd", budget="1MiB")
    enough = str(caught.value).split()[-1]
    assert chunkvol.plan_write(volume, tmp_path / "a.nrrd", budget=enough).peak_bytes <= int(enough[:-3]) << 20


def test_wrong_paths_and_levels_are_refused(volume: Volume, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        chunkvol.open_volume(tmp_path / "none.nrrd")
    (tmp_path / "text.nrrd").write_text("hello")
    with pytest.raises(FormatError, match="none of OME-Zarr, Slicer segmentation, NRRD"):
        chunkvol.open_volume(tmp_path / "text.nrrd")
    chunkvol.ingest(volume, tmp_path / "a.ome.zarr")
    for level in (-1, 2):
        with pytest.raises(InputError, match=f"has levels 0 to 1, not {level}"):
            chunkvol.open_volume(tmp_path / "a.ome.zarr", level=level)
