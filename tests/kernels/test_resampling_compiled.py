"""The compiler is loaded late, once, and not at all where there is none."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chunkvol.kernels.resampling import compiled, load_kernels


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is compiled yet."""
    monkeypatch.setattr(compiled, "_READY", {})
    yield


def child(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return done.stdout


def test_importing_and_asking_for_help_load_no_compiler() -> None:
    code = (
        "import sys, chunkvol.kernels.resampling; from chunkvol.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('numba' in sys.modules, 'llvmlite' in sys.modules)"
    )
    assert child(code).splitlines()[-1] == "False False"


@pytest.mark.usefixtures("forgetful")
def test_what_a_job_needs_is_loaded_and_nothing_else() -> None:
    load_kernels()
    assert list(compiled._READY) == [("filter", "float64")]
    load_kernels(np.dtype("float32"), "nearest")
    assert list(compiled._READY) == [("filter", "float64"), ("nearest", "uint32")]
    assert compiled.kernel_for("linear", np.dtype("float16")) is None
    assert compiled.kernel_for("nearest", np.dtype("complex128")) is None
    assert all(compiled._READY.values()), "numba is a dependency of the tests"


@pytest.mark.usefixtures("forgetful")
def test_without_a_compiler_there_is_no_loop_and_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "compiler", lambda: None)
    load_kernels(np.dtype("uint16"), "linear")
    assert set(compiled._READY.values()) == {None}


@pytest.mark.parametrize("error", (ImportError("Numba needs NumPy 2.0 or less"), OSError("libllvmlite.so")))
def test_a_compiler_that_cannot_be_imported_is_none(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def failing(name: str) -> Any:
        raise error

    monkeypatch.setattr(compiled, "import_module", failing)
    assert compiled.compiler() is None


def test_a_compiler_that_is_told_to_compile_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    told = SimpleNamespace(config=SimpleNamespace(DISABLE_JIT=1))
    monkeypatch.setattr(compiled, "import_module", lambda name: told)
    assert compiled.compiler() is None


@pytest.mark.usefixtures("forgetful")
def test_threads_that_come_at_once_share_one_compilation(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    both = threading.Barrier(2)

    def slowly(name: str, kind: str) -> Any:
        made.append((name, kind))
        threading.Event().wait(0.05)
        return lambda *_: None

    monkeypatch.setattr(compiled, "_compile", slowly)
    found: list[Any] = []

    def ask() -> None:
        both.wait()
        found.append(compiled.kernel_for("cubic", np.dtype("float32")))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [("cubic", "float32")] and found[0] is found[1]


@pytest.mark.parametrize("obstacle", ("a file in the way", "damaged files"))
def test_a_folder_that_cannot_keep_compiled_code_is_done_without(tmp_path: Path, obstacle: str) -> None:
    code = "import numpy as np; from chunkvol.kernels.resampling import compiled; print(compiled.kernel_for('filter'))"
    folder = tmp_path / "cache"
    if obstacle == "damaged files":
        child(code, NUMBA_CACHE_DIR=str(folder))
        kept = [path for path in folder.rglob("*") if path.is_file()]
        assert {path.suffix for path in kept} == {".nbi", ".nbc"}
        for path in kept:
            path.write_bytes(path.read_bytes()[:50])
    else:
        folder.write_text("")
    assert "filter_lines" in child(code, NUMBA_CACHE_DIR=str(folder))


def test_the_name_on_disk_changes_with_what_a_loop_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = compiled._LOOPS["cubic"]
    before = compiled._named(loop).__qualname__
    assert compiled._named(loop).__qualname__ == before
    monkeypatch.setattr(compiled, "_HELPERS", (*compiled._HELPERS, lambda x: x + 1))
    assert compiled._named(loop).__qualname__ != before
