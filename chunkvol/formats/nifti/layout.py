"""The binary layout of a NIfTI header: records, magic and data types of both versions.

Sources: nifti1.h (348 bytes) and nifti2.h (540 bytes) at nifti.nimh.nih.gov.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["DATATYPES", "LAYOUTS", "PAIR", "SINGLE"]


def _layout(fields: str) -> np.dtype[Any]:
    """A packed record from "name type" pairs, one after the other."""
    words = fields.split()
    return np.dtype(list(zip(words[::2], words[1::2], strict=True))).newbyteorder("<")


LAYOUTS = {
    1: _layout(
        "sizeof_hdr i4 data_type S10 db_name S18 extents i4 session_error i2 regular S1 dim_info u1 dim 8i2 "
        "intent_p 3f4 intent_code i2 datatype i2 bitpix i2 slice_start i2 pixdim 8f4 vox_offset f4 scl_slope f4 "
        "scl_inter f4 slice_end i2 slice_code u1 xyzt_units u1 cal_max f4 cal_min f4 slice_duration f4 toffset f4 "
        "glmax i4 glmin i4 descrip S80 aux_file S24 qform_code i2 sform_code i2 quatern 3f4 qoffset 3f4 srow 12f4 "
        "intent_name S16 magic S4"
    ),
    2: _layout(
        "sizeof_hdr i4 magic S8 datatype i2 bitpix i2 dim 8i8 intent_p 3f8 pixdim 8f8 vox_offset i8 scl_slope f8 "
        "scl_inter f8 cal_max f8 cal_min f8 slice_duration f8 toffset f8 slice_start i8 slice_end i8 descrip S80 "
        "aux_file S24 qform_code i4 sform_code i4 quatern 3f8 qoffset 3f8 srow 12f8 slice_code i4 xyzt_units i4 "
        "intent_code i4 intent_name S16 dim_info u1 unused S15"
    ),
}
"""The record of each version, little endian; vectors that the standard names x, y, z are one field here."""

SINGLE = {1: b"n+1\0", 2: b"n+2\0\r\n\x1a\n"}
"""Magic of a file that holds its voxels."""
PAIR = {1: b"ni1\0", 2: b"ni2\0\r\n\x1a\n"}
"""Magic of a `.hdr` whose voxels are in an `.img`."""

DATATYPES = {
    "uint8": 2,
    "int16": 4,
    "int32": 8,
    "float32": 16,
    "float64": 64,
    "int8": 256,
    "uint16": 512,
    "uint32": 768,
    "int64": 1024,
    "uint64": 1280,
}
"""numpy's names and NIfTI's codes."""
