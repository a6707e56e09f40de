"""The shipped scripts run as they are, on a tiny series; running them again changes nothing."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from chunkvol import open_volume, write_phantom

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
SCRIPTS = sorted(CONFIGS.iterdir())
LAPTOP, ARRAY = CONFIGS / "laptop.sh", CONFIGS / "slurm_array.sbatch"


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("series") / "specimen 1"
    write_phantom(folder, size=(48, 40, 36), spacing=(0.01, 0.01, 0.02), oblique=True)
    return folder


@pytest.fixture
def chunkvol(tmp_path: Path) -> Path:
    """A program that writes down how it was called, then is the code under test."""
    program = tmp_path / "bin" / "chunkvol"
    program.parent.mkdir()
    calls = shlex.quote(str(tmp_path / "calls"))
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexec {shlex.quote(sys.executable)} -m chunkvol "$@"\n')
    program.chmod(0o755)
    return program


def run(script: Path, *arguments: str | Path, program: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "CHUNKVOL_"))}
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(script), *map(str, arguments)],
        env={**inherited, "PATH": path, "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def calls(program: Path) -> list[str]:
    return (program.parents[1] / "calls").read_text().splitlines()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_each_script_is_valid_bash_that_stops_at_the_first_error(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert "set -euo pipefail" in script.read_text()
    assert os.access(script, os.X_OK)


def test_the_laptop_recipe_makes_the_small_volume_and_the_store(series: Path, tmp_path: Path, chunkvol: Path) -> None:
    out = tmp_path / "out"
    done = run(LAPTOP, series, out, program=chunkvol, CHUNKVOL_FIT="10kB")
    assert done.returncode == 0, done.stderr
    full, small = open_volume(out / "scan.ome.zarr"), open_volume(out / "small.nrrd")
    assert full.shape == (36, 40, 48)
    assert small.data.stored_bytes <= 10_000
    # What the two have in common lies at the same place.
    assert full.geometry.world_to_index(small.geometry.origin) == pytest.approx([0.5, 1, 1], abs=1e-6)
    assert "memory" in done.stdout, "the plan is shown first"


def test_the_laptop_recipe_leaves_finished_outputs_alone(series: Path, tmp_path: Path, chunkvol: Path) -> None:
    out = tmp_path / "out"
    assert run(LAPTOP, series, out, program=chunkvol).returncode == 0
    before = (out / "small.nrrd").stat().st_mtime_ns
    assert run(LAPTOP, series, out, program=chunkvol).returncode == 0
    assert (out / "small.nrrd").stat().st_mtime_ns == before
    assert sum(call.startswith("ingest") for call in calls(chunkvol)) == 1


@pytest.fixture
def listed(series: Path, tmp_path: Path) -> Path:
    """A list of three specimens, as people write them."""
    second = tmp_path / "specimen-2"
    shutil.copytree(series, second)
    path = tmp_path / "list.txt"
    path.write_bytes(f"{series}/\r\n{second}\n{tmp_path / 'nothing'}\n\n".encode())
    return path


def test_an_array_task_makes_one_specimen_within_its_allocation(listed: Path, tmp_path: Path, chunkvol: Path) -> None:
    out = tmp_path / "out"
    allocation = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_CPUS_PER_TASK": "2", "SLURM_MEM_PER_NODE": "800"}
    done = run(ARRAY, listed, out, program=chunkvol, **allocation)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in out.iterdir()) == ["specimen 1.nrrd", "specimen 1.ome.zarr"]
    assert all("-j 2 --memory 700MiB" in call for call in calls(chunkvol))


def test_a_requeued_task_makes_only_what_is_missing(listed: Path, tmp_path: Path, chunkvol: Path) -> None:
    out = tmp_path / "out"
    assert run(ARRAY, listed, out, program=chunkvol, SLURM_ARRAY_TASK_ID="2").returncode == 0
    (out / "specimen-2.nrrd").unlink()
    done = run(ARRAY, listed, out, program=chunkvol, SLURM_ARRAY_TASK_ID="2", CHUNKVOL_FACTOR="2")
    assert done.returncode == 0, done.stderr
    assert "specimen-2.ome.zarr exists: skipped" in done.stdout
    assert open_volume(out / "specimen-2.nrrd").shape == (18, 20, 24)
    assert [call.split()[0] for call in calls(chunkvol)] == ["downsample", "ingest", "downsample"]


def test_memory_per_processor_counts_for_all_processors(listed: Path, tmp_path: Path, chunkvol: Path) -> None:
    allocation = {"SLURM_ARRAY_TASK_ID": "2", "SLURM_CPUS_PER_TASK": "2", "SLURM_MEM_PER_CPU": "400"}
    assert run(ARRAY, listed, tmp_path / "out", program=chunkvol, **allocation).returncode == 0
    assert all("-j 2 --memory 700MiB" in call for call in calls(chunkvol))


def test_without_a_stated_allocation_chunkvol_looks_for_itself(listed: Path, tmp_path: Path, chunkvol: Path) -> None:
    assert run(ARRAY, listed, tmp_path / "out", program=chunkvol, SLURM_ARRAY_TASK_ID="2").returncode == 0
    assert not any("--memory" in call for call in calls(chunkvol))


def test_a_task_ends_with_the_exit_code_of_chunkvol(listed: Path, tmp_path: Path, chunkvol: Path) -> None:
    done = run(ARRAY, listed, tmp_path / "out", program=chunkvol, SLURM_ARRAY_TASK_ID="3")
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_a_task_beyond_the_list_has_nothing_to_do(listed: Path, tmp_path: Path, chunkvol: Path) -> None:
    done = run(ARRAY, listed, tmp_path / "out", program=chunkvol, SLURM_ARRAY_TASK_ID="9")
    assert (done.returncode, "nothing to do" in done.stdout) == (0, True)


def test_two_specimens_of_one_name_are_refused(tmp_path: Path, chunkvol: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("/a/scan\n/b/scan/\n")
    done = run(ARRAY, path, tmp_path / "out", program=chunkvol, SLURM_ARRAY_TASK_ID="1")
    assert (done.returncode, "2 lines" in done.stderr) == (2, True)


def test_a_task_warned_by_the_cluster_passes_it_on_and_asks_for_another_turn(tmp_path: Path) -> None:
    """Stand-ins for chunkvol and scontrol: the signal goes to the shell alone, as SLURM's does."""
    folder = tmp_path / "bin"
    folder.mkdir()
    asked = tmp_path / "asked"
    (folder / "scontrol").write_text(f'#!/bin/sh\necho "$@" > {shlex.quote(str(asked))}\n')
    # It warns its parent, the batch shell, then waits to be told to stop.
    (folder / "chunkvol").write_text(
        "#!/bin/bash\ntrap 'exit 75' TERM\nkill -TERM $PPID\nwhile :; do sleep 0.05; done\n"
    )
    for program in folder.iterdir():
        program.chmod(0o755)
    path = tmp_path / "list.txt"
    path.write_text("/a/scan\n")
    variables = {"SLURM_ARRAY_TASK_ID": "1", "SLURM_JOB_ID": "77"}
    done = run(ARRAY, path, tmp_path / "out", program=folder / "chunkvol", **variables)
    assert done.returncode == 75, done.stderr
    assert asked.read_text() == "requeue 77\n"
    asked.unlink()
    done = run(ARRAY, path, tmp_path / "out", program=folder / "chunkvol", **variables, SLURM_RESTART_COUNT="3")
    assert (done.returncode, asked.exists()) == (75, False)
