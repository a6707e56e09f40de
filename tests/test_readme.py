"""The README keeps its word: its examples run as they stand, in order, and its tables say what the code says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from chunkvol import errors
from chunkvol.cli import cli
from chunkvol.formats import FORMATS, formats_table
from chunkvol.formats.dicom.options import ReadOptions
from chunkvol.formats.dicom.pixels.transfer import SYNTAXES
from chunkvol.formats.ome_zarr.layout import CODECS
from chunkvol.kernels import REDUCERS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NOT_RUN = "# not run"
"""First line of an example that needs what a test does not have: 80 GB, a cluster."""


@dataclass(frozen=True)
class Example:
    """A code block of the README."""

    line: int
    """Where it starts."""
    language: str
    """Word after the fence."""
    text: str
    """Without the fences."""

    @property
    def runs(self) -> bool:
        """True for what a reader would paste and this test runs."""
        return self.language == "python" or (self.language == "bash" and self.text.startswith("chunkvol "))


def examples() -> list[Example]:
    return [Example(README[: m.start()].count("\n") + 1, m[1], m[2]) for m in FENCE.finditer(README)]


def section(title: str) -> str:
    found = re.search(rf"^#+ {re.escape(title)}$(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    assert found, f"the README has no part {title!r}"
    return found[1]


def code_words(text: str) -> set[str]:
    return set(re.findall(r"`([^`\n]+)`", text))


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A PATH on which `chunkvol` is the code under test."""
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "chunkvol"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m chunkvol "$@"\n')
    program.chmod(0o755)
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": path}


def run(example: Example, folder: Path, environment: dict[str, str]) -> str:
    command = ["bash", "-euo", "pipefail", "-c"] if example.language == "bash" else [sys.executable, "-c"]
    done = subprocess.run(
        [*command, example.text], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, f"README line {example.line}: exit code {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def test_every_example_runs_in_order_and_prints_what_the_readme_shows(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    printed = ""
    for example in examples():
        if example.runs:
            printed = run(example, tmp_path, environment)
        elif example.language == "text":  # stands for the output of the example before
            assert printed == example.text, f"README line {example.line}"


def test_commands_are_run_or_say_why_not() -> None:
    for example in examples():
        if example.language == "bash" and re.search(r"^(chunkvol|sbatch|configs/)", example.text, re.MULTILINE):
            assert example.runs or example.text.startswith(NOT_RUN), f"README line {example.line}"


def test_code_blocks_have_a_known_language() -> None:
    assert {example.language for example in examples()} <= {"", "bash", "python", "text"}


@pytest.mark.parametrize("mark", ["main-job", "tests"])
def test_the_two_commands_to_paste_are_one_line_each_after_their_mark(mark: str) -> None:
    found = re.findall(rf"^<!-- {mark} -->\n```bash\n(.*)\n```$", README, re.MULTILINE)
    assert len(found) == 1
    assert found[0].startswith("python3 -m venv .venv && .venv/bin/pip install ")


def test_every_verb_is_described() -> None:
    assert {f"chunkvol {verb}" for verb in cli.list_commands(None)} <= code_words(section("Commands"))


def test_the_table_of_formats_is_what_the_command_prints() -> None:
    text = section("Formats")
    assert f"<!-- chunkvol formats -->\n{formats_table()}\n<!-- end -->" in text
    for row in FORMATS.values():
        for name in row.options:
            assert f"--{name.replace('_', '-')}" in text, name
        for name in row.read_options - ReadOptions.names():
            assert f"--{name.replace('_', '-')}" in text, name
    assert set(CODECS) <= code_words(text)


def test_every_transfer_syntax_family_is_named() -> None:
    for row in SYNTAXES.values():
        assert row.family in section("Pixels"), row.name


def test_every_option_of_reading_a_series_is_described() -> None:
    words = section("DICOM series")
    for name in ReadOptions.names():
        assert f"--{name.replace('_', '-')}" in words, name


def test_every_method_is_in_the_table_with_its_anchor() -> None:
    for row in REDUCERS.values():
        line = re.search(rf"^\| `{row.name}` \|.*$", README, re.MULTILINE)
        assert line, row.name
        centre, origin_stays = "moves to the centre" in line[0], "stays" in line[0]
        assert (centre, origin_stays) == (row.anchor == "centre", row.anchor == "first")
        assert ("| yes |" in line[0]) == row.nested


def test_every_exit_code_is_in_the_table() -> None:
    kinds = [getattr(errors, name) for name in errors.__all__]
    stated = {int(n) for n in re.findall(r"^\| (\d+) \|", section("Exit codes"), re.MULTILINE)}
    assert stated == {kind.exit_code for kind in kinds} | {0}


def test_every_room_of_the_package_is_on_the_map() -> None:
    rooms = {p.stem for p in (ROOT / "chunkvol").glob("*.py")} | {
        p.parent.name for p in (ROOT / "chunkvol").glob("*/__init__.py")
    }
    words = set(re.findall(r"\w+", section("Architecture")))
    assert rooms - {"__init__", "__main__", "_version"} <= words


def test_links_inside_the_repository_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
