"""Files and stores that cannot be used: one line that says why, the exit code, and nothing written."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import chunkvol
from tests.cli.commands import Outcome, as_nobody, spawn, untouched

Command = Callable[..., Outcome]

HEADER = """NRRD0004
type: short
dimension: 3
space: left-posterior-superior
sizes: 4 3 2
space directions: (0.5,0,0) (0,0.6,0) (0,0,0.7)
space origin: (1,2,3)
endian: little
encoding: raw

"""


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs are named without a folder: they would appear here."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")


def written(path: Path, header: str = HEADER, data: bytes = bytes(48)) -> Path:
    path.write_bytes(header.encode() + data)
    return path


def changed(old: str, new: str) -> str:
    assert old in HEADER
    return HEADER.replace(old, new)


BAD = {
    "spacing zero": (changed("(0.5,0,0)", "(0,0,0)"), 3, "spacing must be above 0"),
    "spacing not a number": (changed("(0.5,0,0)", "(nan,0,0)"), 3, "space directions must hold three finite numbers"),
    "spacing infinite": (changed("(0.5,0,0)", "(inf,0,0)"), 3, "space directions must hold three finite numbers"),
    "parallel axes": (changed("(0,0.6,0)", "(0.6,0,0)"), 3, "two axes are parallel"),
    "no number as origin": (changed("(1,2,3)", "(1,two,3)"), 3, "space origin must hold three finite numbers"),
    "short data": (changed("4 3 2", "4 3 3"), 2, "holds 48 bytes of voxels where its header promises 72"),
    "four dimensions": (changed("dimension: 3", "dimension: 4"), 2, "has dimension 4"),
    "unknown encoding": (changed("raw", "lzma"), 2, "has encoding lzma"),
    "no sizes": (changed("sizes: 4 3 2\n", ""), 2, "the field sizes is missing"),
}


@pytest.mark.parametrize("verb", [("info",), ("convert", "-o", "o.nrrd"), ("ingest", "-o", "o.ome.zarr")])
@pytest.mark.parametrize("name", BAD)
def test_a_bad_nrrd_is_refused_by_every_verb(
    name: str, verb: tuple[str, ...], command: Command, tmp_path: Path
) -> None:
    header, code, match = BAD[name]
    path = written(tmp_path / "bad.nrrd", header)
    with untouched(tmp_path):
        command(verb[0], path, *verb[1:], "-q").refused(code, rf"bad.nrrd.*{match}")


def test_the_header_above_is_good(command: Command, tmp_path: Path) -> None:
    command("convert", written(tmp_path / "good.nrrd"), "-o", "o.nrrd").succeeded()


def test_a_negative_spacing_turns_the_axis_as_in_itk(command: Command, tmp_path: Path) -> None:
    """The format allows it; it is a spacing above zero along the opposite direction."""
    lines = [line for line in HEADER.splitlines(keepends=True) if not line.startswith("space")]
    path = written(tmp_path / "turned.nrrd", "".join([*lines[:-1], "spacings: 0.5 -0.6 0.7\n\n"]))
    facts = json.loads(command("info", path, "--json", "-q").succeeded().out)
    assert (facts["spacing"], facts["direction"]) == ([0.5, 0.6, 0.7], [1, 0, 0, 0, -1, 0, 0, 0, 1])
    image = pytest.importorskip("SimpleITK", reason="tool is missing: SimpleITK").ReadImage(path)
    assert (list(image.GetSpacing()), list(image.GetDirection())) == (facts["spacing"], facts["direction"])


def test_a_gzip_stream_that_is_cut_short_leaves_nothing(command: Command, nrrd: Path, tmp_path: Path) -> None:
    command("convert", nrrd, "--encoding", "gzip", "-o", tmp_path / "z.nrrd").succeeded()
    path = tmp_path / "z.nrrd"
    path.write_bytes(path.read_bytes()[:-200])
    for output in ("o.nrrd", "o.ome.zarr"):
        with untouched(tmp_path):
            command("convert", path, "-o", output, "-q").refused(2, "z.nrrd.* compressed data is cut short")


def test_a_missing_data_file_is_named(command: Command, tmp_path: Path) -> None:
    path = written(tmp_path / "a.nhdr", changed("raw\n", "raw\ndata file: gone.raw\n"), b"")
    with untouched(tmp_path):
        command("info", path, "-q").refused(2, "a.nhdr needs the data file .*gone.raw, which does not exist")


# ------------------------------------------------------------------------------------------------------ stores


def no_group(store: Path) -> None:
    (store / "zarr.json").unlink()


def no_array(store: Path) -> None:
    (store / "0" / "zarr.json").unlink()


def broken_json(store: Path) -> None:
    (store / "zarr.json").write_text('{"zarr_format": 3,')


def no_shard(store: Path) -> None:
    shutil.rmtree(store / "0" / "c")


def cut_shard(store: Path) -> None:
    path = store / "0" / "c" / "0" / "0" / "0"
    path.write_bytes(path.read_bytes()[:-40])


def flipped_bit(store: Path) -> None:
    path = store / "0" / "c" / "0" / "0" / "0"
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 4
    path.write_bytes(data)


def no_chunk(store: Path) -> None:
    """The index says that the chunk was never written, and its checksum is right."""
    import google_crc32c

    path = store / "0" / "c" / "0" / "0" / "0"
    data = path.read_bytes()
    index = b"\xff" * (len(data[-20:]) - 4)
    path.write_bytes(data[:-20] + index + google_crc32c.value(index).to_bytes(4, "little"))


def bad_scale(store: Path) -> None:
    path = store / "zarr.json"
    group = json.loads(path.read_text())
    for key in ("geometry", "levels"):
        group["attributes"].get("chunkvol", {}).pop(key, None)
    group["attributes"].pop("chunkvol", None)
    datasets = group["attributes"]["ome"]["multiscales"][0]["datasets"]
    datasets[0]["coordinateTransformations"][0]["scale"] = [0.5, 0, 0.5]
    path.write_text(json.dumps(group))


DAMAGE = {
    "unfinished: no metadata": (no_group, True, 2, "zarr.json is missing: .* is no finished store"),
    "unfinished: no array": (no_array, True, 2, "zarr.json is missing: .* is no finished store"),
    "metadata cut short": (broken_json, True, 2, "zarr.json is not valid JSON .*: the store is damaged"),
    "a scale of zero": (bad_scale, True, 2, "scale of dataset 0 of .* must be above 0"),
    "a missing shard": (no_shard, False, 2, "c/0/0/0 is missing: the store is damaged"),
    "a shard cut short": (cut_shard, False, 2, "c/0/0/0.*the store is damaged"),
    "a flipped bit": (flipped_bit, False, 2, "chunk 0/0/0 of .* fails its checksum: the store is damaged"),
    "a missing chunk": (no_chunk, False, 2, "chunk 0/0/0 of .* is missing: the store is damaged"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_store_is_refused(name: str, command: Command, store: Path, tmp_path: Path) -> None:
    damage, at_opening, code, match = DAMAGE[name]
    path = tmp_path / "scan.ome.zarr"
    shutil.copytree(store, path)
    damage(path)
    with untouched(tmp_path):
        if at_opening:
            command("info", path, "-q").refused(code, match)
        command("downsample", path, "--factor", 2, "-o", "o.nrrd", "-q").refused(code, match)
        command("convert", path, "-o", "o.ome.zarr", "-q").refused(code, match)


def test_a_chunk_that_may_not_be_read_is_named(command: Command, store: Path, open_folder: Path) -> None:
    path = open_folder / "scan.ome.zarr"
    shutil.copytree(store, path)
    command("convert", path, "-o", open_folder / "warm.nrrd").succeeded()  # imports everything while it can
    (path / "0" / "c" / "0" / "0" / "0").chmod(0)
    before = sorted(open_folder.rglob("*"))
    with as_nobody():
        command("convert", path, "-o", open_folder / "o.nrrd", "-q").refused(2, "c/0/0/0.*ermission denied")
    assert sorted(open_folder.rglob("*")) == before


# ------------------------------------------------------------------------------------------------------ neither


def test_a_source_that_is_not_there_is_named(command: Command, tmp_path: Path) -> None:
    for verb in (("info",), ("convert", "-o", "o.nrrd"), ("ingest", "-o", "o.ome.zarr")):
        command(verb[0], tmp_path / "nowhere", *verb[1:]).refused(2, "nowhere does not exist")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("p.fcsv", "holds points, which the verbs of `chunkvol landmarks` read"),
        ("p.mrk.json", "holds points"),
        ("t.tfm", "holds a transform, which `chunkvol resample --affine` takes"),
        ("head.mgz", "none of .*nibabel.load"),
        ("head.GIPL.gz", "none of .*SimpleITK.ReadImage"),
        ("a.b.raw", r"neither size nor type.* a\.b\.mhd .* ElementDataFile = a\.b\.raw"),
    ],
)
def test_a_file_that_is_read_elsewhere_is_refused_with_the_way_out(
    name: str, said: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(bytes(24))
    command("info", tmp_path / name).refused(2, said)


def test_the_header_that_is_asked_for_opens_bare_voxels(command: Command, tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(np.arange(24, dtype="<u2").tobytes())
    said = command("info", tmp_path / "a.raw").err
    lines = re.findall(r"\w+ = (?!X)[\w.]+", said)
    lines += ["DimSize = 2 3 4", "ElementSpacing = 0.5 0.5 0.7"]
    # The name of the data is the last line of a MetaImage header.
    lines.sort(key=lambda line: line.startswith("ElementDataFile"))
    (tmp_path / "a.mhd").write_text("\n".join(lines) + "\n")
    volume = chunkvol.open_volume(tmp_path / "a.mhd")
    assert np.asarray(volume).ravel().tolist() == list(range(24))
    assert volume.geometry.spacing == (0.7, 0.5, 0.5)


def test_a_file_of_another_kind_is_refused(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("just a letter\n")
    with untouched(tmp_path):
        command("info", path).refused(2, "letter.txt is none of OME-Zarr, Slicer segmentation, NRRD")
        command("convert", path, "-o", "o.nrrd").refused(2, "letter.txt is none of")


def test_a_file_that_may_not_be_read_is_named(command: Command, open_folder: Path) -> None:
    path = written(open_folder / "a.nrrd")
    command("info", path).succeeded()
    path.chmod(0)
    with as_nobody():
        command("info", path).refused(2, "a.nrrd.* not readable")


def test_a_bad_file_is_refused_in_a_process_of_its_own_too(tmp_path: Path) -> None:
    path = written(tmp_path / "bad.nrrd", data=bytes(40))
    with untouched(tmp_path):
        spawn("convert", path, "-o", "o.nrrd", "-q", cwd=tmp_path).refused(2, "bad.nrrd holds 40 bytes")
