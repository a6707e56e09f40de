"""What a user wants to know of a file before working with it."""

from __future__ import annotations

from typing import Any

from chunkvol.geometry import Geometry, axis_codes
from chunkvol.memory import GIB, format_bytes
from chunkvol.ops.factors import fit_factors
from chunkvol.regions import voxels
from chunkvol.volume import Volume

COMFORTABLE = GIB
"""Bytes of a volume that a viewer on a laptop turns and renders without waiting."""

__all__ = ["COMFORTABLE", "geometry_json", "summarise", "summary_text"]


def geometry_json(geometry: Geometry) -> dict[str, Any]:
    """Size, spacing, origin and direction as ITK speaks them: x, y, z order, direction row-major."""
    rows = [row[::-1] for row in geometry.direction]
    return {
        "size": list(geometry.shape[::-1]),
        "spacing": list(geometry.spacing[::-1]),
        "origin": list(geometry.origin),
        "direction": [value for row in rows for value in row],
    }


def summarise(volume: Volume, format_name: str) -> dict[str, Any]:
    """JSON values: geometry, type, rescale, levels, bytes, and what a viewer would need."""
    real = volume.values
    scanner = volume.metadata.extra.get("scanner")
    loaded = voxels(real.shape) * real.dtype.itemsize
    scale = volume.metadata.rescale
    factor = fit_factors(real, COMFORTABLE)
    return {
        "format": format_name,
        **geometry_json(volume.geometry),
        "dtype": volume.dtype.name,
        "rescale": {"slope": scale.slope, "intercept": scale.intercept, "unit": scale.unit},
        "geometry": "assumed" if volume.metadata.assumed else "stated",
        "orientation": axis_codes(volume.geometry),
        "modality": volume.metadata.modality,
        "bytes": sum(voxels(level.shape) * level.dtype.itemsize for level in volume.levels),
        "stored_bytes": sum(level.source.stored_bytes for level in volume.levels),
        "levels": [geometry_json(level.geometry) for level in volume.levels],
        "viewer_bytes": loaded,
        "suggested_factor": list(factor[::-1]),
        "history": list(volume.metadata.history),
        "problems": list(volume.metadata.problems),
        **({"scanner": scanner} if isinstance(scanner, dict) else {}),
    }


def summary_text(facts: dict[str, Any]) -> str:
    """The same for people; with the id of the series where `series` lists one."""

    def triple(values: list[float]) -> str:
        return " x ".join(f"{v:.7g}" for v in values)

    columns = [facts["direction"][n::3] for n in range(3)]
    direction = "  ".join("(" + ", ".join(f"{v + 0.0:.6g}" for v in column) + ")" for column in columns)
    scale = facts["rescale"]
    lines = [
        f"format       {facts['format']}" + (f", {facts['modality']}" if facts["modality"] else ""),
        f"size         {triple(facts['size'])} voxels (x, y, z), {facts['dtype']}",
        f"spacing      {triple(facts['spacing'])} mm",
        f"origin       ({', '.join(f'{v + 0.0:.7g}' for v in facts['origin'])}) mm, LPS, centre of the first voxel",
        f"direction    x, y, z axes along {direction}, towards {facts['orientation']}",
        f"geometry     {facts['geometry']}",
    ]
    if len(facts.get("series", ())) == 1:
        row = facts["series"][0]
        about = [row["id"], f"{row['images']} image{'s' * (row['images'] != 1)}", row["description"], row["label"]]
        lines.insert(1, f"series       {', '.join(filter(None, about))}")
    if scanner := facts.get("scanner"):
        lines.append(f"scanner      {_scanner_text(scanner)}")
    if (scale["slope"], scale["intercept"]) != (1, 0) or scale["unit"] not in ("", "US"):
        shift = f"{'-' if scale['intercept'] < 0 else '+'} {abs(scale['intercept']):g}"
        lines.append(f"values       {scale['slope']:g} * stored {shift} {scale['unit']}".rstrip())
    if len(facts["levels"]) > 1:
        lines += [
            f"level {n:<6} {triple(level['size'])} at {triple(level['spacing'])} mm"
            for n, level in enumerate(facts["levels"])
        ]
    lines.append(f"in a viewer  {format_bytes(facts['viewer_bytes'])} of memory for the voxels alone")
    if max(facts["suggested_factor"]) > 1:
        lines.append(
            f"suggestion   chunkvol downsample --factor {','.join(map(str, facts['suggested_factor']))}: "
            f"at most {format_bytes(COMFORTABLE)}"
        )
    lines += [f"note         {problem}" for problem in facts["problems"]]
    return "\n".join(lines)


def _scanner_text(facts: dict[str, Any]) -> str:
    """Who made it and with what, as far as its text says."""
    said = [facts.get("vendor", ""), facts.get("model", ""), facts.get("filter", "")]
    said += [f"{facts[key]:g} {unit}" for key, unit in (("source_kv", "kV"), ("source_ua", "uA")) if facts.get(key)]
    return ", ".join(str(part) for part in said if part)
