"""The checksum of joined pieces from the checksums of the pieces, as zlib's `crc32_combine` does it."""

from __future__ import annotations

from functools import lru_cache

_POLYNOMIAL = 0xEDB88320
"""CRC-32 of gzip (RFC 1952, 8), bits reversed: the highest bit is the coefficient of x^0."""
_ONE = 1 << 31
_ADLER = 65521

__all__ = ["adler32_combine", "crc32_combine"]


def crc32_combine(first: int, second: int, length: int) -> int:
    """The CRC-32 of a + b, from that of a, that of b, and the length of b.

    Appending `length` bytes multiplies a's remainder by x^(8 length) modulo the polynomial.
    """
    return _product(_power(8 * length), first) ^ second


def _product(a: int, b: int) -> int:
    """Polynomials over GF(2), modulo the CRC's."""
    out = 0
    bit = _ONE
    while bit:
        if a & bit:
            out ^= b
        b = (b >> 1) ^ (_POLYNOMIAL if b & 1 else 0)
        bit >>= 1
    return out


@lru_cache(maxsize=64)
def _power(exponent: int) -> int:
    """x^exponent modulo the polynomial, by squaring; the lengths of equal pieces come again and again."""
    out, square = _ONE, _ONE >> 1
    while exponent:
        if exponent & 1:
            out = _product(square, out)
        square = _product(square, square)
        exponent >>= 1
    return out


def adler32_combine(first: int, second: int, length: int) -> int:
    """The Adler-32 of a + b, from that of a, that of b, and the length of b (RFC 1950, 8.2).

    Its lower half is 1 + the sum of the bytes, its upper half the sum of all such sums on the way.
    """
    low, high = first & 0xFFFF, first >> 16
    low_b, high_b = second & 0xFFFF, second >> 16
    return (high + high_b + length * (low - 1)) % _ADLER << 16 | (low + low_b - 1) % _ADLER
