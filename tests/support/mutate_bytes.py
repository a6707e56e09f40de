"""Damage to bytes, whatever they mean: flipped, cut, overwritten, moved."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

__all__ = ["BYTE_MUTATORS", "flipped"]


def _pixels_at(data: bytes) -> int:
    """Where the pixel data seems to start."""
    found = max(data.rfind(mark) for mark in (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10", b"\xe0\x7f\x08\x00"))
    return found if found > 0 else len(data) // 2


def flipped(data: bytes, rng: Random, low: int, high: int) -> bytes:
    """A few bits between two places turned over."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 1, 2, 4, 16, 64])):
        if high > low:
            out[rng.randrange(low, high)] ^= 1 << rng.randrange(8)
    return bytes(out)


def flip_header(data: bytes, rng: Random) -> bytes:
    """Bits of all before the pixels."""
    return flipped(data, rng, min(128, len(data)), _pixels_at(data))


def flip_pixels(data: bytes, rng: Random) -> bytes:
    """Bits of the pixels and of the head of their element."""
    return flipped(data, rng, _pixels_at(data), len(data))


def flip_anywhere(data: bytes, rng: Random) -> bytes:
    """Bits anywhere, preamble included."""
    return flipped(data, rng, 0, len(data))


def truncate(data: bytes, rng: Random) -> bytes:
    """Cut short anywhere."""
    return data[: rng.randrange(len(data) + 1)]


def truncate_end(data: bytes, rng: Random) -> bytes:
    """The last few bytes are missing."""
    return data[: max(0, len(data) - rng.choice([1, 2, 3, 4, 7, 8, 9, 16, rng.randrange(1, 200)]))]


def extend(data: bytes, rng: Random) -> bytes:
    """Something follows."""
    return data + rng.choice([b"\0", bytes(2), bytes(rng.randrange(1, 4000)), rng.randbytes(rng.randrange(1, 64))])


def overwrite(data: bytes, rng: Random) -> bytes:
    """A stretch is zeros, ones, noise, or a copy of another stretch: what a bad disk leaves."""
    if not data:
        return data
    size = min(len(data), rng.choice([1, 2, 4, 8, 16, 512, rng.randrange(1, 2000)]))
    at, other = rng.randrange(len(data) - size + 1), rng.randrange(len(data) - size + 1)
    patch = rng.choice([bytes(size), b"\xff" * size, rng.randbytes(size), data[other : other + size]])
    return data[:at] + patch + data[at + size :]


def shift(data: bytes, rng: Random) -> bytes:
    """Bytes come in or fall out, and all after them moves."""
    at, size = rng.randrange(len(data) + 1), rng.choice([1, 2, 3, 4, 8])
    return data[:at] + (rng.randbytes(size) + data[at:] if rng.random() < 0.5 else data[at + size :])


def no_mark(data: bytes, rng: Random) -> bytes:
    """Preamble or mark are missing or wrong."""
    return rng.choice([data[132:], data[128:], data[:128] + b"dicm" + data[132:], data[:132]])


BYTE_MUTATORS: tuple[Callable[[bytes, Random], bytes], ...] = (
    flip_header,
    flip_pixels,
    flip_anywhere,
    truncate,
    truncate_end,
    extend,
    overwrite,
    shift,
    no_mark,
)
