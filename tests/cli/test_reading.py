"""The options of reading at the command line: what a verb is given, what is refused, and what the help says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import chunkvol
from chunkvol import Volume
from chunkvol.cli import write
from chunkvol.cli.reading import ReadingCommand, reading_options
from chunkvol.cli.verbs import Verbs
from chunkvol.formats import FORMATS, READ_OPTIONS
from chunkvol.formats.dicom.options import CHOICES, ReadOptions
from tests.cli.commands import Outcome, untouched
from tests.support.grids import noise_volume, oblique_grid

Command = Callable[..., Outcome]
VERBS = ("downsample", "ingest", "convert")
OUTPUT = {"downsample": ("--factor", "2", "-o", "o.nrrd"), "ingest": ("-o", "o.zarr"), "convert": ("-o", "o.nrrd")}

GIVEN: dict[str, tuple[str, Any]] = {
    "--series 1.2.3": ("series", "1.2.3"),
    "--gaps fill": ("gaps", "fill"),
    "--gaps split": ("gaps", "split"),
    "--fill-value 0": ("fill_value", 0.0),
    "--fill-value -1024.5": ("fill_value", -1024.5),
    "--uneven resample": ("uneven", "resample"),
    "--uneven mean": ("uneven", "mean"),
    "--duplicates first": ("duplicates", "first"),
    "--duplicates last": ("duplicates", "last"),
    "--tilt keep": ("tilt", "keep"),
    "--tilt resample": ("tilt", "resample"),
    "--few": ("few", True),
    "--spacing 12.3um,0.05,2mm": ("spacing", (2.0, 0.05, 0.0123)),
    "--spacing 50um": ("spacing", (0.05, 0.05, 0.05)),
    "--float32": ("float32", True),
    "--invert": ("invert", True),
    "--keep-phi": ("keep_phi", True),
    "--origin -1um,0,3cm": ("origin", (-0.001, 0.0, 30.0)),
    "--orientation RAI": ("orientation", "RAI"),
    "--geometry scan.nrrd": ("geometry", Path("scan.nrrd")),
    "--frame skyscan": ("frame", "skyscan"),
    "--pattern rec_*.tif": ("pattern", "rec_*.tif"),
    "--slices 100:500:2": ("slices", slice(100, 500, 2)),
    "--slices ::3": ("slices", slice(None, None, 3)),
    "--reverse": ("reverse", True),
    "--time 0": ("time", 0),
    "--channel 1": ("channel", 1),
    "--segment bone": ("segment", "bone"),
    "--trust-paths": ("trust_paths", True),
}
OF_SERIES = sorted(typed for typed, (name, _) in GIVEN.items() if name in ReadOptions.names())


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outputs are named without a folder: they would appear here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def verb_of(name: str) -> click.Command:
    verb = Verbs().get_command(None, name)
    assert verb is not None
    return verb


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The keyword arguments with which the verb opened its source, but for those of every call."""
    heard: dict[str, Any] = {}

    def opened(_source: Path, **options: Any) -> Volume:
        heard.update({name: value for name, value in options.items() if name not in ("progress", "level")})
        return noise_volume(oblique_grid((4, 6, 8)))

    monkeypatch.setattr(write, "open_volume", opened)
    return heard


# ------------------------------------------------------------------------------------------------ what is handed on


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("typed", GIVEN)
def test_what_is_typed_is_what_python_is_given(verb: str, typed: str, command: Command, asked: dict[str, Any]) -> None:
    command(verb, "scan", *OUTPUT[verb], "-q", *typed.split()).succeeded()
    name, value = GIVEN[typed]
    assert asked == {name: pytest.approx(value) if name in ("spacing", "origin") else value}
    if typed in OF_SERIES:
        ReadOptions(**({"gaps": "fill"} | asked))  # which a fill value needs


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_is_handed_on_that_was_not_given(verb: str, command: Command, asked: dict[str, Any]) -> None:
    command(verb, "scan", *OUTPUT[verb], "-q").succeeded()
    assert asked == {}


@pytest.mark.parametrize("verb", VERBS)
def test_each_option_of_each_format_can_be_typed_on_each_verb_that_reads(verb: str) -> None:
    parameters = {option.name: option for option in verb_of(verb).params}
    assert parameters.keys() >= READ_OPTIONS
    assert {name for name, _ in GIVEN.values()} == READ_OPTIONS
    for name, allowed in CHOICES.items():
        kind = parameters[name].type
        assert isinstance(kind, click.Choice)
        assert tuple(kind.choices) == allowed


def test_no_option_of_reading_is_one_of_writing_as_well() -> None:
    assert not READ_OPTIONS & {name for row in FORMATS.values() for name in row.options}
    assert not READ_OPTIONS & {"level", "progress", "overwrite", "budget", "workers", "scheduler", "canonical"}


def test_the_decorator_works_alone(command: Command) -> None:
    """As a verb without any other options uses it."""
    heard: list[dict[str, Any]] = []

    @click.command(cls=ReadingCommand)
    @click.argument("source")
    @reading_options
    def look(source: str, reading: dict[str, Any]) -> None:
        """Look."""
        heard.append({"source": source, **reading})

    look.main(["scan", "--few", "--gaps", "fill"], standalone_mode=False)
    assert heard == [{"source": "scan", "few": True, "gaps": "fill"}]
    assert look.help == "Look."


# --------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("typed", OF_SERIES)
def test_a_source_that_has_no_such_option_refuses_it(
    verb: str, typed: str, command: Command, nrrd: Path, store: Path, workplace: Path
) -> None:
    name = typed.split(maxsplit=1)[0]
    with untouched(workplace):
        for source, row in ((nrrd, FORMATS["NRRD"]), (store, FORMATS["OME-Zarr"])):
            if GIVEN[typed][0] not in row.read_options:
                there = ", ".join(f"--{one.replace('_', '-')}" for one in sorted(row.read_options))
                done = command(verb, source, *OUTPUT[verb], "-q", *typed.split())
                done.refused(2, f"{row.name}, which has no reading option {name}; it has {there}")


WRONG = {
    "--gaps keep": "'keep' is not one of 'fill', 'split'",
    "--uneven fill": "'fill' is not one of 'resample', 'mean'",
    "--duplicates both": "'both' is not one of 'first', 'last'",
    "--tilt up": "'up' is not one of 'keep', 'resample'",
    "--fill-value air": "'air' is not a valid float",
    "--spacing 1,2": "'1,2' has 2 values; give one, or three as x,y,z",
    "--spacing 0": "a length must be finite and above 0, found '0'",
    "--spacing 3px": "'3px' is not a length; write it as 0.05, 0.05mm or 50um",
    "--origin 1,2": "'1,2' is no point; write it as 1.5,-20,300",
    "--origin nan,0,0": "'nan,0,0' is no point; .* a place is a finite number, found 'nan'",
    "--origin 1,2,far": "'1,2,far' is no point; write it as 1.5,-20,300",
    "--slices 5": "'5' is no range; write A:B or A:B:STEP",
    "--slices 1:2:0": "'1:2:0' is no range",
    "--frame fiji": "'fiji' is not one of 'imagestacks', 'skyscan'",
    "--time -1": "-1 is not in the range x>=0",
}


@pytest.mark.parametrize("typed", WRONG)
def test_a_value_that_makes_no_sense_is_refused(typed: str, command: Command, series: Path, workplace: Path) -> None:
    with untouched(workplace):
        command("convert", series, "-o", "o.nrrd", *typed.split()).refused(2, WRONG[typed])


# ---------------------------------------------------------------------------------------------------------- padding


def with_padding(monkeypatch: pytest.MonkeyPatch, padding: Any) -> Volume:
    volume = noise_volume(oblique_grid((4, 6, 8)))
    array = volume.read()
    array[:2, :3, :5] = 9
    metadata = replace(volume.metadata, extra={"padding": padding} if padding else {})
    volume = Volume(array, volume.geometry, metadata)
    monkeypatch.setattr(write, "open_volume", lambda *_, **__: volume)
    return volume


def test_padding_that_the_source_states_is_left_out_of_means(
    command: Command, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = with_padding(monkeypatch, [9, 9])
    command("downsample", "scan", "--factor", "2", "--ignore-padding", "-o", "o.nrrd", "-q").succeeded()
    wanted = chunkvol.downsample(volume, 2, ignore=(9, 9)).read()
    assert not np.array_equal(wanted, chunkvol.downsample(volume, 2).read())
    np.testing.assert_array_equal(chunkvol.open_volume("o.nrrd").read(), wanted)


def test_padding_is_not_left_out_where_there_is_none_or_no_mean(
    command: Command, series: Path, nrrd: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = ("--factor", "2", "--ignore-padding", "-o", "o.nrrd", "-q")
    with untouched(workplace):
        for source in (series, nrrd):
            command("downsample", source, *job).refused(2, f"{source.name} states no padding values; leave --ignore-pa")
        for method in ("median", "stride", "max"):
            done = command("downsample", "no such scan", *job, "--method", method)
            done.refused(2, f"--ignore-padding leaves values out of means; it cannot be had with --method {method}")
        for nonsense in (["a", 3], [1, 2, 3], 7):
            with_padding(monkeypatch, nonsense)
            command("downsample", "scan", *job).refused(2, "padding to ignore is two finite numbers")


# ------------------------------------------------------------------------------------------------------------- help


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_keeps_the_options_of_reading_apart(verb: str, command: Command) -> None:
    out = command(verb, "--help").succeeded().out
    usual, series, other = re.split(r"\nReading of (?:DICOM series|other formats):\n", out)
    assert "\nOptions:\n" in usual
    for name in READ_OPTIONS:
        # Where --spacing is the output's, that of the source has a longer name.
        word = "--source-spacing" if (name, verb) == ("spacing", "downsample") else "--" + name.replace("_", "-")
        assert f"  {word}" in (series if name in ReadOptions.names() - {"spacing"} else other)
        assert f"  {word} " not in usual
    assert "SOURCE" not in usual.split("\nOptions:\n")[1].replace("as in SOURCE", "")


# --------------------------------------------------------------------------------------------------------- assumed


NOTE = "the geometry is assumed, not stated by the input; the output says so too"


@pytest.fixture
def nowhere(workplace: Path) -> Path:
    """A NRRD file that does not say where it lies."""
    path = workplace / "nowhere.nrrd"
    path.write_bytes(b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n\n" + bytes(24))
    return path


@pytest.mark.parametrize("output", ["a.nrrd", "a.nhdr", "a.ome.zarr"])
@pytest.mark.parametrize("verb", [("convert",), ("downsample", "--factor", "2,1,1")])
def test_every_face_says_that_a_geometry_is_assumed(
    verb: tuple[str, ...], output: str, command: Command, nowhere: Path, workplace: Path
) -> None:
    job = (verb[0], nowhere, *verb[1:], "-o", output)
    assert f"  note    {NOTE}\n" in command(*job, "--dry-run").succeeded().out
    assert NOTE in json.loads(command(*job, "--dry-run", "--json").succeeded().out)["notes"]
    assert f"note: {NOTE}\n" in command(*job).succeeded().err
    assert NOTE in json.loads(command(*job, "--json", "--overwrite").succeeded().out)["notes"]
    written = workplace / output / "zarr.json" if output.endswith("zarr") else workplace / output
    assert (b'"assumed": true' if output.endswith("zarr") else b"chunkvol_geometry:=assumed") in written.read_bytes()

    again = chunkvol.open_volume(output)
    assert again.metadata.assumed
    assert "assumed=True" in repr(again.metadata)
    assert "geometry     assumed" in command("info", output).succeeded().out
    assert json.loads(command("info", output, "--json").succeeded().out)["geometry"] == "assumed"
    for further in ("b.nrrd", "b.ome.zarr"):
        assert f"note: {NOTE}\n" in command("convert", output, "-o", further).succeeded().err
        assert chunkvol.open_volume(further).metadata.assumed


def test_no_face_says_so_of_a_stated_geometry(command: Command, series: Path) -> None:
    for output in ("a.nrrd", "a.ome.zarr"):
        assert "assumed" not in command("convert", series, "-o", output, "--dry-run").succeeded().out
        assert "assumed" not in command("convert", series, "-o", output).succeeded().err
        assert "geometry     stated" in command("info", output).succeeded().out
