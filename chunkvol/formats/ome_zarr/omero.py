"""The `omero` attribute: how channels are shown. Nothing in it matters to a volume, but it must be valid."""

from __future__ import annotations

from reprlib import repr as shown
from typing import Any

from chunkvol.errors import FormatError

_KINDS: dict[str, type | tuple[type, ...]] = {"label": str, "family": str, "color": str, "active": bool}
_WINDOW = ("start", "min", "end", "max")

__all__ = ["check_omero"]


def check_omero(ome: dict[str, Any], where: str) -> None:
    """Refuse settings of channels that the NGFF schema refuses.

    Raises
    ------
    FormatError
        They are not valid.
    """
    omero = ome.get("omero")
    if omero is None:
        return
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list) or not all(isinstance(channel, dict) for channel in channels):
        raise FormatError(f"{where} has an omero attribute without channels: {shown(omero)}")
    for channel in channels:
        for key, kind in _KINDS.items():
            if key in channel and not isinstance(channel[key], kind):
                raise FormatError(f"{where} has an omero channel with {key} {shown(channel[key])}, which is not valid")
        _check_window(channel.get("window", dict.fromkeys(_WINDOW, 0)), where)


def _check_window(window: Any, where: str) -> None:
    ends = [window.get(key) if isinstance(window, dict) else None for key in _WINDOW]
    if not all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends):
        raise FormatError(f"{where} has an omero channel with window {shown(window)}, which is not valid")
