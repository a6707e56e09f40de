"""Slices of fewer than 8 bits a pixel, as masks are stored: white is 255 in TIFF, PNG and BMP alike."""

from __future__ import annotations

import struct
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import chunkvol
from chunkvol.errors import DamagedError, FormatError
from chunkvol.regions import whole
from tests.support.images import grey_stack, png_bytes, write_slices, write_tiff

pytest.importorskip("tifffile")
pytest.importorskip("imagecodecs")

Plane = npt.NDArray[Any]


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


MM = (0.7, 0.5, 0.3)
BLACK_WHITE = np.array([[0, 0, 0], [255, 255, 255]], np.uint8)


def mask_stack(shape: tuple[int, int, int] = (3, 11, 21)) -> Plane:
    return grey_stack("uint8", shape) > 100


def opened(path: Path) -> chunkvol.Volume:
    return chunkvol.open_volume(path, spacing=MM)


def one_bit_bmp(mask: Plane, *, upward: bool = True, palette: Plane = BLACK_WHITE) -> bytes:
    """As CTAn saves what it made binary: rows of bits, padded to four bytes."""
    rows, columns = mask.shape
    body = np.zeros((rows, (columns + 31) // 32 * 32), bool)
    body[:, :columns] = mask
    pixels = np.packbits(body[::-1] if upward else body, axis=1).tobytes()
    table = np.concatenate([palette, np.zeros((2, 1), np.uint8)], axis=1).tobytes()
    header = struct.pack("<IiiHHIIiiII", 40, columns, rows if upward else -rows, 1, 1, 0, 0, 0, 0, 2, 2)
    return struct.pack("<2sIHHI", b"BM", 62 + len(pixels), 0, 0, 62) + header + table + pixels


def narrow_png(stored: Plane, bits: int, *, palette: bytes = b"") -> bytes:
    """A PNG of 1, 2 or 4 bits a pixel, grey or with a palette, by its definition."""
    rows, columns = stored.shape
    spread = (stored[..., None] >> np.arange(bits - 1, -1, -1) & 1).reshape(rows, columns * bits)
    lines = b"".join(b"\0" + line.tobytes() for line in np.packbits(spread.astype(bool), axis=1))
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", columns, rows, bits, 3 if palette else 0, 0, 0, 0))]
    chunks += [(b"PLTE", palette)] if palette else []
    chunks += [(b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    parts = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


TIFFS: dict[str, dict[str, Any]] = {
    "plain": {},
    "strips": {"rowsperstrip": 3},
    "tiles": {"tile": (16, 16)},
    "PackBits": {"compression": "packbits"},
    "LZW": {"compression": "lzw"},
    "deflate": {"compression": "zlib"},
    "big endian": {"byteorder": ">"},
}


@pytest.mark.parametrize("name", TIFFS)
def test_tiff_masks_of_every_encoding_are_read_as_0_and_255(tmp_path: Path, name: str) -> None:
    stack = mask_stack()
    write_slices(tmp_path / "s", stack, lambda path, plane: write_tiff(path, plane, **TIFFS[name]))
    write_tiff(tmp_path / "pages.tif", stack, **TIFFS[name])
    for path in (tmp_path / "s", tmp_path / "pages.tif"):
        volume = opened(path)
        assert volume.dtype == np.uint8
        np.testing.assert_array_equal(np.asarray(volume), stack * np.uint8(255))
        np.testing.assert_array_equal(np.asarray(volume[1:, 2:9, 3:20]), stack[1:, 2:9, 3:20] * np.uint8(255))
        assert volume.metadata.problems == ("the files' pixels are single bits: 1 is read as 255",)


def test_a_fax_encoded_mask_is_read(tmp_path: Path) -> None:
    """Group 4 by hand: 3 white pixels and 5 black ones (H 1000 0011), then rows that repeat them (V0 V0)."""
    code = "001" + "1000" + "0011" + "11" * 8 + "000000000001" * 2
    data = bytes(int(code[n : n + 8].ljust(8, "0"), 2) for n in range(0, len(code), 8))
    path = tmp_path / "fax.tif"
    write_tiff(path, np.zeros((9, 8), bool))
    whole = bytearray(path.read_bytes())
    for entry in range(10, 10 + 12 * int.from_bytes(whole[8:10], "little"), 12):
        changed = {259: 4, 279: len(data), 262: 0}.get(int.from_bytes(whole[entry : entry + 2], "little"))
        if changed is not None:
            whole[entry + 8 : entry + 12] = changed.to_bytes(4, "little")
        if whole[entry : entry + 2] == (273).to_bytes(2, "little"):
            whole[entry + 8 : entry + 12] = len(whole).to_bytes(4, "little")
    path.write_bytes(whole + data)
    volume = opened(path)
    np.testing.assert_array_equal(np.asarray(volume)[0], np.tile(np.uint8([0] * 3 + [255] * 5), (9, 1)))
    assert any("MinIsWhite" in problem for problem in volume.metadata.problems)


@pytest.mark.parametrize("upward", [True, False])
@pytest.mark.parametrize("columns", [1, 8, 21, 32, 33])
def test_bmp_masks_are_read_row_by_row(tmp_path: Path, upward: bool, columns: int) -> None:
    stack = mask_stack((3, 11, columns))
    write_slices(tmp_path, stack, lambda p, a: write(p, one_bit_bmp(a, upward=upward)), name="{}.bmp")
    volume = opened(tmp_path)
    np.testing.assert_array_equal(np.asarray(volume), stack * np.uint8(255))
    np.testing.assert_array_equal(
        np.asarray(volume[:, 2:9, columns // 3 :]), stack[:, 2:9, columns // 3 :] * np.uint8(255)
    )
    assert volume.source.grain == (1, 1, columns)


def test_a_bmp_mask_with_a_turned_palette_gives_what_is_shown(tmp_path: Path) -> None:
    mask = mask_stack()[0]
    (tmp_path / "m.bmp").write_bytes(one_bit_bmp(mask, palette=BLACK_WHITE[::-1]))
    np.testing.assert_array_equal(np.asarray(opened(tmp_path / "m.bmp"))[0], ~mask * np.uint8(255))
    (tmp_path / "c.bmp").write_bytes(one_bit_bmp(mask, palette=np.array([[0, 0, 0], [0, 0, 255]], np.uint8)))
    with pytest.raises(FormatError, match="a palette of colours"):
        opened(tmp_path / "c.bmp")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_png_of_few_bits_is_spread_over_all_eight(tmp_path: Path, bits: int) -> None:
    most = (1 << bits) - 1
    stored = grey_stack("uint8")[0] & most
    greys = stored * np.uint8(255 // most)
    (tmp_path / "0.png").write_bytes(narrow_png(stored, bits))
    palette = bytes(np.repeat(np.arange(most + 1) * 3, 3).tolist())
    (tmp_path / "1.png").write_bytes(narrow_png(stored, bits, palette=palette))
    # A slice of a stack that was made smaller without loss lies beside others of 8 bits.
    (tmp_path / "2.png").write_bytes(png_bytes(greys))
    volume = opened(tmp_path)
    assert volume.dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(volume), [greys, stored * 3, greys])
    assert any("fewer than 8 bits" in problem for problem in volume.metadata.problems)


def test_pillow_and_chunkvol_see_the_same_mask(tmp_path: Path) -> None:
    pillow: Any = pytest.importorskip("PIL.Image")
    mask = mask_stack()[0]
    ways: dict[str, dict[str, str]] = {"bmp": {}, "png": {}, "tif": {}}
    ways |= {f"{name}.tif": {"compression": name} for name in ("group3", "group4", "tiff_ccitt")}
    for kind, options in ways.items():
        path = tmp_path / f"m.{kind}"
        pillow.fromarray(mask).save(path, **options)
        np.testing.assert_array_equal(np.asarray(opened(path))[0], mask * np.uint8(255), err_msg=kind)


def test_a_mask_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    mask = mask_stack((1, 40, 50))[0]
    for name, data in {"m.bmp": one_bit_bmp(mask), "m.png": narrow_png(mask.astype("u1"), 1)}.items():
        (tmp_path / name).write_bytes(data[:-20])
        with pytest.raises(DamagedError, match="is damaged: it is cut short"):
            opened(tmp_path / name)


WRITERS: dict[str, Callable[[Path, Plane], object]] = {
    "bmp": lambda path, mask: path.write_bytes(one_bit_bmp(mask)),
    "png": lambda path, mask: path.write_bytes(narrow_png(mask.astype("u1"), 1)),
    "tif": lambda path, mask: write_tiff(path, mask, compression="packbits"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_read_of_a_mask_holds_no_more_than_its_scratch(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"m.{kind}"
    WRITERS[kind](path, mask_stack((1, 500, 700))[0])
    source = opened(path).source
    source.preload()
    out = np.empty(source.shape, np.uint8)
    source.read(whole(source.shape), out)
    tracemalloc.start()
    try:
        source.read(whole(source.shape), out)
        held = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert held <= source.scratch(source.shape) + (64 << 10)
