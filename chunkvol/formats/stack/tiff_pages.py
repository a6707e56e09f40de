"""The planes of a TIFF file: which directories are slices, and how their pixels are stored. No pixel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from chunkvol.errors import DamagedError, FormatError
from chunkvol.formats.stack.descriptions import Described, described
from chunkvol.formats.stack.ifd import Ifd, TiffBytes
from chunkvol.formats.stack.layout import WAY_OUT, FilePlanes, Layout, grey_palette

_TYPES = {
    **{(kind, bits): np.dtype(f"u{bits // 8}") for kind in (1, 4) for bits in (8, 16, 32)},
    **{(2, bits): np.dtype(f"i{bits // 8}") for bits in (8, 16, 32)},
    (3, 32): np.dtype("f4"),
    (3, 64): np.dtype("f8"),
}
"""By SampleFormat (1 unsigned, 2 signed, 3 float, 4 undefined) and bits."""
_FORMATS = {1: "unsigned", 2: "signed", 3: "floating point", 4: "undefined", 5: "complex", 6: "complex"}
_DEFLATE = (8, 32946)
_MOST_RATIO = {
    1: 1,
    2: 1 << 17,  # CCITT, of single bits: of a whole row a bit may be stored
    3: 1 << 17,
    4: 1 << 17,
    5: 4096,  # LZW: a code of 12 bits stands for at most all that the table was built from
    7: 4096,  # JPEG: a bit a block of 64 at least
    8: 1032,  # deflate: 258 bytes for two bits
    32946: 1032,
    32773: 64,  # PackBits: 128 bytes for two
    34712: 1 << 20,  # JPEG 2000
    34925: 1 << 20,  # LZMA
    50000: 1 << 16,  # zstd: 128 KiB for four bytes
}
"""Most bytes that one stored byte can become, by compression; the others are not read."""
_CCITT = (2, 3, 4)
_COLOURS = {2: "RGB", 6: "YCbCr"}
_OTHERS = {4: "a mask", 5: "CMYK", 8: "CIE Lab", 9: "CIE Lab", 10: "CIE Lab", 32803: "a colour filter array"}
_REDUCED_OR_MASK = 0b101  # bits of NewSubfileType

__all__ = ["tiff_planes"]


def tiff_planes(data: TiffBytes, name: str) -> FilePlanes:
    """The planes of a TIFF file, from its directories alone.

    Raises
    ------
    FormatError
        Its pixels are of a kind that is not read.
    DamagedError
        A directory is broken, or promises more bytes than there are.
    """
    ifds = _directories(data)
    first = ifds[0]
    said = described(first.text(270), name, first.number(277, 1)) if 270 in first.tags else Described()
    chosen, notes = _chosen(ifds, said)
    pages = [_page(ifd) for ifd in chosen]
    if said.follow and len(pages) == 1 and (said.planes or 1) > 1:
        return _following(pages[0], said.planes or 1, data.size, notes)
    layouts, offsets, lengths = zip(*pages, strict=True)
    if first.number(262, 1) == 0:
        notes.append("zero is white in the files (MinIsWhite): the values are kept as stored")
    if first.number(274, 1) != 1:
        notes.append(f"the files ask to be shown turned (Orientation {first.number(274, 1)}): rows are kept as stored")
    if layouts[0].bilevel:
        notes.append("the files' pixels are single bits: 1 is read as 255")
    if layouts[0].palette:
        notes.append("the grey values are those of the files' palettes")
    return FilePlanes(layouts, offsets, lengths, tuple(notes))


def _directories(data: TiffBytes) -> list[Ifd]:
    out: list[Ifd] = []
    seen: set[int] = set()
    at = data.first
    while at:
        if at in seen:
            raise DamagedError("its list of pages runs in a circle")
        seen.add(at)
        out.append(data.ifd(at))
        at = out[-1].following
    if not out:
        raise DamagedError("it has no page")
    return out


def _chosen(ifds: Sequence[Ifd], said: Described) -> tuple[list[Ifd], list[str]]:
    """The directories of the planes, in order, and what is said of the others."""
    full = [ifd for ifd in ifds if not ifd.number(254, 0) & _REDUCED_OR_MASK]
    notes = ["smaller copies and masks within the files are not read"] if len(full) < len(ifds) else []
    full = full or list(ifds)
    if said.companion:
        notes.append("the spacing stands in a companion file of OME-XML, which is not read: --spacing says it")
    if said.order is not None:
        if max(said.order) >= len(ifds):
            raise DamagedError(f"its OME-XML speaks of page {max(said.order)}, and it has {len(ifds)}")
        full = [ifds[n] for n in said.order]
    if said.planes is None:
        if said.elsewhere:
            notes.append("the OME-XML speaks of planes in other files: those of a folder are read by their names")
        return full, notes
    if said.planes > len(full) and not (said.follow and len(full) == 1):
        raise DamagedError(f"its description speaks of {said.planes} planes, and it has {len(full)} pages")
    if said.planes < len(full):
        notes.append(f"the files hold pages beyond the {said.planes} planes of their descriptions: they are not read")
    return full[: said.planes], notes


def _following(page: tuple[Layout, int, int], planes: int, size: int, notes: Sequence[str]) -> FilePlanes:
    """Planes that follow the first one's pixels, as ImageJ writes beyond 4 GiB."""
    layout, offset, length = page
    plane = layout.rows * layout.row_bytes
    if layout.codec:
        raise DamagedError(f"its description speaks of {planes} planes, and it has 1 page, which is compressed")
    if offset + planes * plane > size:
        raise _beyond(offset + planes * plane, size, f"{planes} planes")
    offsets = tuple(offset + n * plane for n in range(planes))
    return FilePlanes((layout,) * planes, offsets, (length,) * planes, tuple(notes))


def _beyond(end: int, size: int, what: str) -> DamagedError:
    return DamagedError(f"it is cut short: its header promises {what} up to byte {end}, and it has {size} bytes")


def _page(ifd: Ifd) -> tuple[Layout, int, int]:
    """How a page is stored, where, and in how many bytes."""
    layout = _layout(ifd)
    tiled = 324 in ifd.tags
    offsets, counts = ifd.numbers(324 if tiled else 273), ifd.numbers(325 if tiled else 279)
    plain = ifd.number(259, 1) == 1 and not tiled and ifd.number(317, 1) == 1 and ifd.number(266, 1) == 1
    plain = plain and not layout.bilevel
    if plain and layout.samples > 1:
        plain = ifd.number(284, 1) == 1
    plane = layout.plane_bytes * layout.samples
    if plain and _together(ifd, layout, offsets):
        if offsets[0] + plane > ifd.data.size:
            raise _beyond(int(offsets[0]) + plane, ifd.data.size, "pixels")
        row_bytes = plane // layout.rows
        return replace(layout, row_bytes=row_bytes), int(offsets[0]), plane
    if len(offsets) != len(counts) or len(offsets) < _pieces(ifd, layout) or not (offsets.all() and counts.all()):
        raise DamagedError("its header does not say where all of its pixels are")
    end = int((offsets + counts).max())
    if end > ifd.data.size:
        raise _beyond(end, ifd.data.size, "pixels")
    compression, predictor = ifd.number(259, 1), ifd.number(317, 1)
    if plane > int(counts.sum()) * _MOST_RATIO[compression] * (8 if layout.bilevel else 1):
        raise DamagedError(f"its header promises {plane} bytes of pixels, and {counts.sum()} bytes cannot hold them")
    needed = compression not in (1, *_DEFLATE) or predictor != 1 or ifd.number(266, 1) != 1
    return replace(layout, codec="TIFF", needs_codecs=needed), ifd.at, int(counts.sum())


def _pieces(ifd: Ifd, layout: Layout) -> int:
    """Strips or tiles that the page needs."""
    deep, wide = (ifd.number(323, 0), ifd.number(322, 0)) if 324 in ifd.tags else (ifd.number(278, 0), layout.columns)
    if 324 in ifd.tags and (deep < 1 or wide < 1):
        raise DamagedError(f"its header says tiles of {wide} x {deep} pixels")
    down = -(-layout.rows // min(deep or layout.rows, layout.rows))
    separate = layout.samples if ifd.number(284, 1) == 2 else 1
    return down * -(-layout.columns // wide) * separate


def _together(ifd: Ifd, layout: Layout, offsets: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
    """Whether the strips follow each other without gaps."""
    deep = min(ifd.number(278, layout.rows) or layout.rows, layout.rows)
    if len(offsets) != -(-layout.rows // deep):
        return False
    strip = deep * layout.columns * layout.dtype.itemsize * layout.samples
    return len(offsets) == 1 or bool((np.diff(offsets) == strip).all())


def _layout(ifd: Ifd) -> Layout:
    rows, columns, samples = ifd.number(257, 0), ifd.number(256, 0), ifd.number(277, 1)
    if rows < 1 or columns < 1:
        raise DamagedError(f"its header says {columns} x {rows} pixels")
    if ifd.number(32997, 1) > 1 or (33629 in ifd.tags and ifd.tags[33629][1] > 1):
        raise FormatError("holds several planes in one page; save it again as plain TIFF, a page a plane")
    bilevel = samples == 1 and (ifd.number(258, 1), ifd.number(339, 1)) == (1, 1)
    if ifd.number(259, 1) not in _MOST_RATIO or (ifd.number(259, 1) in _CCITT and not bilevel):
        raise FormatError(f"has compression {ifd.number(259, 1)}, which is not read; save it again uncompressed")
    dtype = np.dtype("u1") if bilevel else _dtype(ifd, samples)
    photometric = ifd.number(262, 2 if samples == 3 else 1)
    _check_samples(ifd, samples, photometric)
    palette = _palette(ifd, dtype) if photometric == 3 else b""
    big = ifd.data.order == ">" and dtype.itemsize > 1
    return Layout(rows, columns, dtype, samples, big=big, alpha=samples in (2, 4), palette=palette, bilevel=bilevel)


def _dtype(ifd: Ifd, samples: int) -> np.dtype[np.generic]:
    bits = ifd.number(258, 1)
    kind = ifd.number(339, 1)
    if samples > 1 and (len(set(ifd.numbers(258).tolist())) > 1 or len(set(ifd.numbers(339).tolist())) > 1):
        raise FormatError(f"has samples of different types; {WAY_OUT}")
    if (kind, bits) not in _TYPES:
        raise FormatError(
            f"has pixels of {bits} bit{'s' * (bits > 1)} ({_FORMATS.get(kind, 'unknown')}); integers of 8, 16 and 32 "
            "bits and floats of 32 and 64 are read: convert it first"
        )
    return _TYPES[kind, bits]


def _check_samples(ifd: Ifd, samples: int, photometric: int) -> None:
    jpeg = ifd.number(259, 1) == 7
    grey = photometric in (0, 1, 3) and (samples == 1 or (samples == 2 and ifd.number(338, 0) in (1, 2)))
    colour = samples in (3, 4) and (photometric == 2 or (photometric == 6 and jpeg and samples == 3))
    if not grey and not colour:
        what = _OTHERS.get(photometric) or _COLOURS.get(photometric) or f"of photometric interpretation {photometric}"
        what = "grey" if photometric in (0, 1) else "a palette" if photometric == 3 else what
        raise FormatError(
            f"is {what} with {samples} sample{'s' * (samples > 1)} a pixel; chunkvol reads grey values, or RGB of "
            f"equal channels: {WAY_OUT}"
        )


def _palette(ifd: Ifd, dtype: np.dtype[np.generic]) -> bytes:
    colours = ifd.numbers(320)
    if dtype != np.uint8 or len(colours) != 3 * 256:
        raise FormatError(f"has a palette of {len(colours) // 3} colours for {dtype.name}; {WAY_OUT}")
    # Some writers fill only the lower byte.
    eight = colours if colours.max() < 256 else colours >> 8
    palette = grey_palette(eight.reshape(3, 256).T.astype(np.uint8))
    if palette is None:
        raise FormatError(f"has a palette of colours; chunkvol reads grey values: {WAY_OUT}")
    return palette
