"""MetaImage (.mha, .mhd), read and written in bounded memory."""

from chunkvol.formats.metaimage.header import MetaHeader, header_from_geometry, parse_header
from chunkvol.formats.metaimage.place import geometry_from_header
from chunkvol.formats.metaimage.reader import is_metaimage, open_metaimage
from chunkvol.formats.metaimage.writer import metaimage_names, prepare_metaimage

__all__ = [
    "MetaHeader",
    "geometry_from_header",
    "header_from_geometry",
    "is_metaimage",
    "metaimage_names",
    "open_metaimage",
    "parse_header",
    "prepare_metaimage",
]
