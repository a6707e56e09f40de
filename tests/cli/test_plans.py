"""Plans, results, factors that fit, help and completion: what a user reads before and after the work."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import chunkvol
from chunkvol.cli import cli
from chunkvol.cli.verbs import VERBS
from tests.cli.commands import Outcome, environment, spawn, untouched
from tests.support.grids import noise_volume, oblique_grid

Command = Callable[..., Outcome]
PLANNED = {
    "action", "phases", "result", "bytes_read", "bytes_written", "region_bytes", "scratch", "disk_bytes", "peak_bytes",
    "budget", "notes", "problems",
}  # fmt: skip  # one name a line would hide the list
WRITES = {
    "downsample": ("downsample", "--factor", "2", "-o", "o.nrrd"),
    "fit": ("downsample", "--fit", "1kB", "-o", "o.nhdr"),
    "ingest": ("ingest", "-o", "o.ome.zarr"),
    "convert": ("convert", "--encoding", "gzip", "-o", "o.nrrd"),
}


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Outputs are named without a folder: they would appear here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -------------------------------------------------------------------------------------------------------- plans


@pytest.mark.parametrize("name", WRITES)
def test_a_dry_run_prints_a_plan_and_writes_nothing(name: str, command: Command, series: Path, workplace: Path) -> None:
    verb = WRITES[name]
    with untouched(workplace):
        text = command(verb[0], series, *verb[1:], "--dry-run", "-q").succeeded().out
        done = command(verb[0], series, *verb[1:], "--dry-run", "--json", "-q").succeeded()
    for word in ("write o.", "result", "reads", "disk", "memory", " on ", "budget"):
        assert word in text
    plan = json.loads(done.out)
    assert plan.keys() == PLANNED
    assert plan["peak_bytes"] <= plan["budget"]
    assert len(plan["result"]["size"]) == 3
    assert plan["problems"] == json.loads(command("info", series, "--json", "-q").out)["problems"] != []


@pytest.mark.parametrize("name", WRITES)
def test_a_run_does_what_the_dry_run_said(name: str, command: Command, series: Path) -> None:
    verb = WRITES[name]
    plan = json.loads(command(verb[0], series, *verb[1:], "--dry-run", "--json", "-q").succeeded().out)
    done = command(verb[0], series, *verb[1:], "--json", "-q").succeeded()
    result = json.loads(done.out)
    assert result.keys() == PLANNED | {"output", "seconds", "peak_measured"}
    same = PLANNED - {"peak_bytes"}  # the process holds more by now
    assert {key: result[key] for key in same} == {key: plan[key] for key in same}
    assert result["output"] == verb[-1]
    made = json.loads(command("info", verb[-1], "--json", "-q").out)
    assert (made["size"], made["dtype"]) == (result["result"]["size"], result["result"]["dtype"])
    assert made["spacing"] == pytest.approx(result["result"]["spacing"], rel=1e-12)


def test_a_plan_may_be_asked_for_where_the_output_exists(command: Command, series: Path, workplace: Path) -> None:
    (workplace / "o.nrrd").write_text("precious")
    with untouched(workplace):
        command("convert", series, "-o", "o.nrrd", "--dry-run", "-q").succeeded()


def test_what_is_left_over_is_stated(command: Command, series: Path) -> None:
    words = ("downsample", series, "--factor", "4,4,5", "-o", "o.nrrd", "--dry-run", "-q")
    text = command(*words).succeeded().out
    assert "left    2 along x, 3 along y, 2 along z: source voxels at the far end" in text
    assert json.loads(command(*words, "--json").out)["result"]["leftover"] == [2, 3, 2]


def test_a_result_is_one_line_with_what_was_promised_and_measured(command: Command, series: Path) -> None:
    done = command("downsample", series, "--factor", "2", "-o", "o.nrrd").succeeded()
    assert re.fullmatch(
        r"o\.nrrd: 5 x 5 x 6 int32 in \d+\.\d s, .*/s read, peak memory .* of .* planned\n", done.out
    ), done.out


def test_json_of_a_phantom_parses(command: Command) -> None:
    facts = json.loads(command("phantom", "scan", "--size", "20,18,16", "--json", "-q").succeeded().out)
    assert (facts["output"], facts["slices"]) == ("scan", 16)
    assert facts["bytes"] == sum(path.stat().st_size for path in Path("scan").glob("*.dcm"))
    made = json.loads(command("info", "scan", "--json", "-q").out)
    assert made["size"] == [20, 18, 16]


def test_factors_are_in_the_order_x_y_z(command: Command, series: Path) -> None:
    command("downsample", series, "--factor", "5,3,2", "-o", "o.nrrd", "-q").succeeded()
    made = json.loads(command("info", "o.nrrd", "--json", "-q").out)
    assert made["size"] == [2, 3, 6]
    np.testing.assert_allclose(made["spacing"], [2.5, 2.25, 5.0], rtol=1e-12)


# --------------------------------------------------------------------------------------------- factors that fit


@pytest.mark.parametrize("limit", [2_000_000, 100_000, 7000, 900, 54, 2])
def test_cubes_are_made_as_little_smaller_as_will_do(limit: int, command: Command, workplace: Path) -> None:
    shape = (30, 40, 50)
    volume = noise_volume(oblique_grid(shape, spacing=(0.5, 0.5, 0.5)))
    chunkvol.write_volume(volume, workplace / "a.nrrd")

    def size(factor: int) -> int:
        return 2 * int(np.prod([n // min(n, factor) for n in shape]))

    factor = next(f for f in range(1, 100) if size(f) <= limit)
    plan = json.loads(command("downsample", "a.nrrd", "--fit", limit, "-o", "o.nrrd", "--dry-run", "--json", "-q").out)
    assert plan["result"]["size"] == [n // min(n, factor) for n in shape[::-1]]
    assert plan["result"]["bytes"] == size(factor) <= limit


@pytest.mark.parametrize(
    ("limit", "size"), [(10**9, [40, 30, 10]), (13_000, [20, 30, 10]), (2000, [10, 10, 10]), (1999, [8, 10, 10])]
)
def test_flat_voxels_become_cubes_first(limit: int, size: list[int], command: Command, workplace: Path) -> None:
    """x 40 at 0.5 mm, y 30 at 0.75 mm, z 10 at 2.0 mm, two bytes a voxel."""
    volume = noise_volume(oblique_grid((10, 30, 40), spacing=(2.0, 0.75, 0.5)))
    chunkvol.write_volume(volume, workplace / "a.nrrd")
    plan = json.loads(command("downsample", "a.nrrd", "--fit", limit, "-o", "o.nrrd", "--dry-run", "--json", "-q").out)
    assert plan["result"]["bytes"] <= limit
    assert plan["result"]["size"] == size


def test_what_fits_is_counted_in_the_type_that_is_written(command: Command, series: Path) -> None:
    """Slope 2 turns two bytes into four."""
    for limit in (6000, 4000, 1000, 300):
        command("downsample", series, "--fit", limit, "-o", "o.nrrd", "--overwrite", "-q").succeeded()
        made = json.loads(command("info", "o.nrrd", "--json", "-q").out)
        assert (made["dtype"], made["bytes"] <= limit) == ("int32", True)


# --------------------------------------------------------------------------------------------------------- help


def verb_named(name: str) -> click.Command:
    verb = cli.get_command(click.Context(cli), name)
    assert verb is not None
    return verb


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_has_examples_that_parse(verb: str, command: Command) -> None:
    text = command(verb, "--help").succeeded().out
    assert re.search(r"^  Examples?:$", text, re.MULTILINE)
    examples = re.findall(r"^    chunkvol (.*)$", text, re.MULTILINE)
    assert examples
    for example in examples:
        words = example.split(" >> ")[0].split()
        assert words[0] == verb
        with verb_named(verb).make_context(verb, words[1:]):
            pass


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_is_explained(verb: str) -> None:
    for option in verb_named(verb).params:
        facts: dict[str, Any] = option.to_info_dict()
        if facts["param_type_name"] == "option":
            assert facts["help"] or facts["default"] is not None or facts["type"]["param_type"] == "Choice", option.name


def test_h_is_help_too(command: Command) -> None:
    assert command("-h").succeeded().out == command("--help").out
    assert command("info", "-h").succeeded().out == command("info", "--help").out


def test_the_version_is_the_packages(command: Command) -> None:
    assert chunkvol.__version__ in command("--version").succeeded().out


def test_help_is_quick() -> None:
    """Measured, not judged: machines differ."""
    spawn("--help").succeeded()
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        spawn("--help").succeeded()
        seconds.append(time.perf_counter() - started)
    print(f"chunkvol --help takes {min(seconds):.2f} s")


# --------------------------------------------------------------------------------------------------- completion


@pytest.fixture
def bash(workplace: Path) -> Callable[[str], str]:
    """Run lines in a bash that has sourced the completion of a program named chunkvol."""
    if shutil.which("bash") is None:
        pytest.skip("tool is missing: bash")
    program = workplace / "bin" / "chunkvol"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m chunkvol "$@"\n')
    program.chmod(0o755)

    def run(lines: str) -> str:
        start = f'PATH="{program.parent}:$PATH"\neval "$(chunkvol completion bash)"\n'
        done = subprocess.run(
            ["bash", "--norc", "-euo", "pipefail", "-c", start + lines],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    return run


def test_bash_completes_what_it_was_told(bash: Callable[[str], str]) -> None:
    assert re.fullmatch(r"complete -o nosort -F _chunkvol_completion chunkvol\n", bash("complete -p chunkvol"))
    ask = 'COMP_WORDS=({words}); COMP_CWORD={at}; _chunkvol_completion chunkvol; printf "%s\\n" "${{COMPREPLY[@]}}"'
    assert bash(ask.format(words="chunkvol down", at=1)).split() == ["downsample"]
    assert bash(ask.format(words="chunkvol downsample --meth", at=2)).split() == ["--method"]
    methods = bash(ask.format(words='chunkvol downsample --method ""', at=3)).split()
    assert {"mean", "gaussian", "mode"} <= set(methods)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_own(shell: str, command: Command) -> None:
    done = command("completion", shell).succeeded()
    assert "_CHUNKVOL_COMPLETE" in done.out
    assert not done.err


def test_an_unknown_shell_is_refused(command: Command) -> None:
    command("completion", "cmd").refused(2, "'cmd' is not one of 'bash', 'zsh', 'fish'")
