"""Real values put into a smaller integer type by a stated window; never wrapped."""

from __future__ import annotations

from typing import Literal

from chunkvol.volume import Volume

__all__ = ["quantise"]


def quantise(volume: Volume, dtype: str, window: tuple[float, float] | Literal["auto"] | None = None) -> Volume:
    raise NotImplementedError
