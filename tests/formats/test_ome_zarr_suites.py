"""The official suites of OME-Zarr 0.4 and 0.5, the schemas of 0.4 to 0.6, and arrays of the zarr implementations."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chunkvol
from chunkvol.errors import FormatError
from tests.support.grids import GRIDS, noise_volume
from tests.support.ngff_stores import counted, made

ZARR = {"0.4": 2, "0.5": 3}
SIZES = {"t": 1, "c": 1, "angle": 1, "z": 3, "y": 4, "x": 5}
CODECS = ["blosc", "gzip", "raw", "zlib"]


@pytest.fixture
def schemas(visible: Path) -> dict[str, Path]:
    folder = Path(os.environ.get("CHUNKVOL_TEST_SCHEMAS", visible.parent / "schemas")) / "ngff-0.6"
    if not folder.is_dir():
        pytest.skip(f"the schema is absent: {folder} (set CHUNKVOL_TEST_SCHEMAS)")
    return {**{v: visible / "omezarr_spec" / v / "schemas" for v in ZARR}, "0.6": folder}


def store_of(path: Path, attributes: Any, version: str) -> Path:
    """A store with these attributes, and for each dataset an array that fits the axes."""
    arrays = {}
    for multiscale in attributes.get("ome", attributes).get("multiscales", []):
        names = [axis.get("name", "x") for axis in multiscale.get("axes", [])] or ["y", "x"]
        for entry in multiscale.get("datasets", []):
            if isinstance(entry.get("path"), str):
                arrays[entry["path"]] = counted([SIZES.get(name, 1) for name in names])
    return made(path, attributes, arrays, zarr_format=ZARR[version])


def cases(folder: Path, suite: str) -> list[Any]:
    found: list[Any] = json.loads((folder / "tests" / f"{suite}.json").read_text())["tests"]
    assert found
    return found


@pytest.mark.parametrize("version", ZARR)
@pytest.mark.parametrize("suite", ["image_suite", "strict_image_suite"])
def test_valid_images_are_read_and_others_refused(visible: Path, tmp_path: Path, version: str, suite: str) -> None:
    for number, case in enumerate(cases(visible / "omezarr_spec" / version, suite)):
        path = store_of(tmp_path / f"{number}.zarr", case["data"], version)
        if case["valid"]:
            assert chunkvol.open_volume(path).read().shape[1:] == (4, 5), case["formerly"]
            continue
        with pytest.raises(FormatError) as caught:
            pytest.fail(f"{case['formerly']} is read: {chunkvol.open_volume(path)}")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
@pytest.mark.parametrize("strict", ["", "strict_"])
@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_our_stores_pass_the_schemas(
    schemas: dict[str, Path], tmp_path: Path, version: str, strict: str, grid: Any
) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    from referencing.jsonschema import DRAFT202012

    chunkvol.write_volume(noise_volume(grid((3, 20, 300))), tmp_path / "a.ome.zarr", ngff_version=version)
    file = tmp_path / "a.ome.zarr" / (".zattrs" if version == "0.4" else "zarr.json")
    found = json.loads(file.read_text())
    known = [json.loads(path.read_text()) for path in schemas[version].glob("*.schema")]
    made_of = [(one["$id"], DRAFT202012.create_resource(one)) for one in known]
    (schema,) = (one for one in known if one["$id"].endswith(f"/{strict}image.schema"))
    registry = referencing.Registry().with_resources(made_of)
    validator = jsonschema.Draft202012Validator(schema, registry=registry)
    validator.validate(found.get("attributes", found))
    broken = json.loads(json.dumps(found.get("attributes", found)))
    broken.get("ome", broken)["multiscales"][0]["datasets"] = []
    assert not validator.is_valid(broken)


@pytest.mark.parametrize("codec", CODECS)
def test_arrays_of_other_implementations_are_those_of_zarr(visible: Path, codec: str) -> None:
    import zarr

    path = visible / "zarr_v2_examples" / "examples" / "zarr.zr" / codec
    volume = chunkvol.open_volume(path)
    wanted = zarr.open_array(path, mode="r")[:]
    assert wanted.any()
    np.testing.assert_array_equal(volume.read(), wanted)
    assert volume.metadata.assumed


def test_a_group_of_such_arrays_lists_them(visible: Path) -> None:
    with pytest.raises(chunkvol.errors.InputError, match="holds 4 images: blosc, gzip, raw, zlib"):
        chunkvol.open_volume(visible / "zarr_v2_examples" / "examples" / "zarr.zr")
