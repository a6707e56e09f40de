"""Compressed streams made of joined pieces: their checksums and trailers, and what other programs make of them."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chunkvol import Geometry, Volume
from chunkvol.flatfile import FlatFile, FlatJob, prepare_flat
from chunkvol.memory import Terms
from chunkvol.packing import deflate
from chunkvol.packing.checksums import adler32_combine, crc32_combine
from chunkvol.packing.deflate import CONTAINERS
from tests.support.writing import written

EYE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
BYTES = st.builds(lambda data, times: data * times, st.binary(max_size=50), st.integers(0, 3000))
"""Of lengths about Adler's modulus too."""


@given(BYTES, BYTES)
@example(b"", b"")
@example(b"\xff" * 65521, b"\xff" * 65522)
def test_checksums_of_pieces_combine_to_that_of_the_whole(one: bytes, other: bytes) -> None:
    assert crc32_combine(zlib.crc32(one), zlib.crc32(other), len(other)) == zlib.crc32(one + other)
    assert adler32_combine(zlib.adler32(one), zlib.adler32(other), len(other)) == zlib.adler32(one + other)


@pytest.mark.parametrize("length", [0, 1, (1 << 32) - 1, 1 << 32, (1 << 33) + 7])
def test_a_gzip_trailer_holds_the_length_modulo_four_gibibytes(length: int) -> None:
    assert CONTAINERS["gzip"].trailer(7, length) == struct.pack("<II", 7, length & 0xFFFFFFFF)
    assert CONTAINERS["zlib"].trailer(7, length) == struct.pack(">I", 7)


@pytest.mark.parametrize("packing", CONTAINERS)
@pytest.mark.parametrize("lead", [b"", b"seven b", bytes(range(256)) * 300])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (2, 900, 700), (1, 1, 600_000), (20_000, 1, 1)])
def test_a_stream_is_one_member_of_the_lead_and_the_voxels(
    packing: str, lead: bytes, shape: tuple[int, int, int], tmp_path: Path
) -> None:
    array = np.random.default_rng(0).integers(0, 200, shape).astype("u1")
    volume = Volume(array, Geometry(shape, (0, 0, 0), (1, 2, 3), EYE))

    def prepare(volume: Volume, target: Path, terms: Terms) -> FlatJob:
        return prepare_flat(volume, FlatFile((target.name,), b"", packing, lead), terms=terms)

    written(prepare, volume, tmp_path / "x", workers=3)
    packed = (tmp_path / "x").read_bytes()
    engine = zlib.decompressobj(31 if packing == "gzip" else 15)
    assert engine.decompress(packed) == lead + array.tobytes()
    assert engine.eof and not engine.unused_data
    if packing == "gzip":
        assert gzip.decompress(packed) == lead + array.tobytes()


def test_matches_are_looked_for_where_they_pay() -> None:
    """Noise is packed by its frequencies alone, texture that repeats by its matches; both come back."""
    made = np.random.default_rng(4)
    noise = made.normal(1000, 30, 1 << 18).astype("<u2").tobytes()
    tile = made.integers(0, 1 << 16, 500, "<u2").tobytes()
    texture = (tile * 600)[: 1 << 19]
    for data, strategy in ((noise, zlib.Z_RLE), (texture, zlib.Z_DEFAULT_STRATEGY), (b"", zlib.Z_RLE)):
        assert deflate._strategy(memoryview(data)) == strategy
        packed = deflate._packed(memoryview(data))
        assert zlib.decompressobj(-15).decompress(packed) == data
        best = len(deflate._deflated(memoryview(data), zlib.Z_DEFAULT_STRATEGY))
        assert len(packed) <= 1.02 * best + 16
