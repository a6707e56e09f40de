"""The map of the package: imports point down, rooms on one floor are strangers, importing does little."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import chunkvol

FLOORS = (
    ("__main__",),
    ("cli",),
    ("summary",),
    ("pipeline",),
    ("formats", "phantom", "landmarks", "transforms"),
    ("flatfile", "planefiles", "markups"),
    ("packing",),
    ("slabs", "ops", "output"),
    ("execute",),
    ("pyramid",),
    ("volume",),
    ("values", "rawfiles"),
    ("sources",),
    ("kernels", "metadata", "memory", "segments", "headerpass"),
    ("geometry",),
    ("regions", "progress", "errors", "system", "names", "_version"),
)
"""Top floor first; a room may import from the floors below it, and from inside itself."""

PACKAGE = Path(chunkvol.__file__).parent
FLOOR_OF = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}


def rooms() -> list[Path]:
    return sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("chunkvol"):
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("chunkvol.")}
    return found


@pytest.mark.parametrize("path", rooms(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for other in imported(path) - {room}:
        assert FLOOR_OF[other] > FLOOR_OF[room], f"{room} imports {other}"


DICOM_FLOORS = (
    "writer",
    "segmentation",
    "series",
    "voxels",
    "catalogue",
    "stacks",
    "multiframe",
    "pixels",
    "headers",
    "options",
)


@pytest.mark.parametrize("path", sorted((PACKAGE / "formats" / "dicom").rglob("*.py")), ids=lambda p: p.stem)
def test_imports_point_down_within_the_dicom_reader(path: Path) -> None:
    room = path.relative_to(PACKAGE / "formats" / "dicom").parts[0].removesuffix(".py")
    found = re.findall(r"^from chunkvol\.formats\.dicom\.(\w+)", path.read_text(), re.MULTILINE)
    if room != "__init__":
        for other in set(found) - {room}:
            assert DICOM_FLOORS.index(other) > DICOM_FLOORS.index(room), f"{room} imports {other}"


@pytest.mark.parametrize("path", rooms(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_own_modules_are_imported_at_the_top_of_the_file(path: Path) -> None:
    tree = ast.parse(path.read_text())
    late = [
        node.lineno
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef)
        for node in ast.walk(outer)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chunkvol")
    ]
    assert not late, f"{path.name}: late imports of our own in lines {late}"


def test_every_public_name_exists_and_is_documented() -> None:
    for name in chunkvol.__all__:
        assert name == "__version__" or getattr(chunkvol, name).__doc__, name


def test_the_help_loads_none_of_the_heavy_libraries() -> None:
    code = (
        "import sys; from chunkvol.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'dask', 'zarr', 'pydicom', 'scipy', 'numcodecs', 'rich', 'tifffile'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "heavy: []"


def test_a_threaded_write_never_imports_dask_array(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, chunkvol\n"
        "v = chunkvol.Volume(np.zeros((9, 8, 7), 'u2'), chunkvol.Geometry((9, 8, 7)))\n"
        f"chunkvol.write_volume(chunkvol.downsample(v, 2), r'{tmp_path / 'a.nrrd'}')\n"
        "print('dask.threaded' in sys.modules, 'dask.array' in sys.modules, 'zarr' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "False"]
