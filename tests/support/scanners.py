"""Texts as scanners' programs write them, small and made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SKYSCAN = """[System]
Scanner=SkyScan1172
Camera Pixel Size (um)=11.5
[User]
User Name=Doctor Jones
[Acquisition]
Data Directory=E:\\Jones
Filename Prefix=mouse_
Number of Files=  13
Source Voltage (kV)=  60
Source Current (uA)= 166
Image Pixel Size (um)=4.5
Scaled Image Pixel Size (um)=4.4
Filter=Al 0.5mm
Study Date and Time=Jul 20, 2023  11:26:30
[Reconstruction]
Reconstruction Program=NRecon
Dataset Prefix=mouse_
Output Directory=E:\\Jones\\mouse_Rec
First Section={first}
Last Section={last}
Section to Section Step={step}
Sections Count={count}
Result File Type=BMP
Result Image Width (pixels)={columns}
Result Image Height (pixels)={rows}
Pixel Size (um)={pixel}
Undersampling factor=1
Minimum for CS to Image Conversion=-0.010000
Maximum for CS to Image Conversion=0.136673
HU Calibration=OFF
[File name convention]
Filename Index Length=4
Filename Prefix=mouse__rec
"""
NIKON = """[XTekCT]
Name=beetle
OperatorID=Jones
VoxelsX=4
VoxelSizeX=0.02
OffsetX=0.0
VoxelsY=5
VoxelSizeY=0.03
OffsetY=0.0
VoxelsZ=6
VoxelSizeZ=0.05
OffsetZ=-0.12
Units=mm
Scaling=1000.0
OutputUnits=/m
Projections=11
InputName=beetle
InputSeparator=_
OutputName=beetle
[Xrays]
XraykV=90
XrayuA=32
[DICOM]
DICOMTags=<?xml version="1.0"?><a><Tag>Operator=Jones</Tag></a>
"""
VGSTUDIO = """{{volume1}}
[representation]
size = 4 5 6
mirror = 0 0 0 0
datatype = unsigned integer
datarange = 0 65535
bitsperelement = 16
[file1]
{more}
RegionOfInterestStart = 0 0 0
RegionOfInterestEnd = 3 4 5
FileFormat = raw
Size = 4 5 6
Name = {name}
Datatype = {kind}
datarange = -94.1933 394.005
BitsPerElement = {bits}
{{volumeprimitive12}}
[geometry]
status = visible
relativeposition = 0 0 0
position = 10.5 -38 0
resolution = 0.02 0.03 0.05
rotate = 1 0 0 0 1 0 0 0 1
unit = {unit}
[volume]
volume = volume1
[description]
text = Jones
{{default}}
[version]
release = VGStudioMax 1.2.1 (build 352)
"""
PHOENIX = """[General]
[Versions]
Version-PCR=2
[General]
ParameterSetOnly=0
[ImageData]
PCA_File=S:\\CT_DATA\\Jones, Indiana\\bird.pca
[ROI]
ROI_SizeX=99
[VolumeData]
Volume_SizeX=4
Volume_SizeY=5
Volume_SizeZ=6
VoxelSizeRec={size}
Resolution=1
Format={code}
Min=-0.0885
Max=3.2747
VOL_File=S:\\CT_DATA\\Jones, Indiana\\bird.vol
"""

__all__ = ["ARRAY", "nikon", "phoenix", "raw", "skyscan", "vgstudio"]

ARRAY = np.arange(7, 127, dtype="<u2").reshape(6, 5, 4)
"""Voxels of the size that the texts above speak of, axes (k, j, i)."""


def skyscan(folder: Path, name: str = "mouse__rec.log", **changed: Any) -> Path:
    """A log of NRecon: by default of 6 slices of 4 x 5 pixels of 10 um, two lines apart."""
    plain = {"first": 10, "last": 20, "step": 2, "count": 6, "columns": 4, "rows": 5, "pixel": "10.0"}
    return _written(folder / name, SKYSCAN.format(**plain | changed))


def nikon(folder: Path, name: str = "beetle.xtekct", **changed: str) -> Path:
    """A Nikon file of the array's size, with lines that are changed by their key; None takes a line away."""
    lines = [line for line in NIKON.splitlines() if line.partition("=")[0] not in changed]
    own = [f"{key}={value}" for key, value in changed.items()]
    return _written(folder / name, "\n".join([lines[0], *own, *lines[1:]]))


def vgstudio(folder: Path, file: str = "bug.vgi", **changed: Any) -> Path:
    """A VGStudio file of the array's size."""
    plain = {"name": "bug.vol", "kind": "unsigned integer", "bits": 16, "unit": "mm", "more": "SkipHeader = 0"}
    return _written(folder / file, VGSTUDIO.format(**plain | changed))


def phoenix(folder: Path, name: str = "bird.pcr", *, size: str = "0.0102906534448266", code: int = 5) -> Path:
    """A phoenix file of the array's size."""
    return _written(folder / name, PHOENIX.format(size=size, code=code))


def raw(folder: Path, name: str, array: npt.NDArray[Any] = ARRAY) -> Path:
    """A raw file of voxels."""
    (folder / name).write_bytes(array.tobytes())
    return folder / name


def _written(path: Path, text: str) -> Path:
    path.write_bytes(text.replace("\n", "\r\n").encode("latin-1"))
    return path
