"""Units of length as NGFF spells them: UDUNITS names and symbols, in millimetres."""

from __future__ import annotations

_PREFIXES = {
    "yocto": ("y", 1e-24), "zepto": ("z", 1e-21), "atto": ("a", 1e-18), "femto": ("f", 1e-15), "pico": ("p", 1e-12),
    "nano": ("n", 1e-9), "micro": ("u", 1e-6), "milli": ("m", 1e-3), "centi": ("c", 1e-2), "deci": ("d", 1e-1),
    "": ("", 1.0), "deca": ("da", 1e1), "hecto": ("h", 1e2), "kilo": ("k", 1e3), "mega": ("M", 1e6),
    "giga": ("G", 1e9), "tera": ("T", 1e12), "peta": ("P", 1e15), "exa": ("E", 1e18), "zetta": ("Z", 1e21),
    "yotta": ("Y", 1e24),
}  # fmt: skip  # a table
_MILLIMETRES = {
    "nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "decimeter": 100.0, "meter": 1e3,
    "angstrom": 1e-7, "micron": 1e-3, "inch": 25.4, "foot": 304.8, "yard": 914.4, "mile": 1609344.0,
    "parsec": 3.0856775814913673e19,
}  # fmt: skip  # a table
_SYMBOLS = {"Å": 1e-7, "in": 25.4, "ft": 304.8, "yd": 914.4, "mi": 1609344.0, "µm": 1e-3, "μm": 1e-3}

__all__ = ["millimetres"]


def millimetres(unit: str) -> float | None:
    """Millimetres of a unit of length; None where it is none that UDUNITS knows, such as "pixel".

    Names are taken in any case and in British spelling, symbols (um, mm) as they are.
    """
    if unit in _SYMBOLS:
        return _SYMBOLS[unit]
    for symbol, factor in _PREFIXES.values():
        if unit == f"{symbol}m":
            return _named(factor)
    name = unit.lower().replace("metre", "meter").removesuffix("s")
    name = {"inche": "inch", "feet": "foot"}.get(name, name)
    if name in _MILLIMETRES:
        return _MILLIMETRES[name]
    prefix = name.removesuffix("meter")
    return _named(_PREFIXES[prefix][1]) if prefix != name and prefix in _PREFIXES else None


def _named(metres: float) -> float:
    """Millimetres, as the decimal number that is meant: 1e-6 m are 1e-3 mm, not 0.00099999."""
    return float(f"{metres * 1e3:.15g}")
