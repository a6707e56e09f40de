"""Files that are often given and not read as volumes, by the ends of their names, and what to do with them."""

from __future__ import annotations

__all__ = ["way_out"]

_NIBABEL = "nibabel.save(nibabel.load(IN), 'out.nii.gz') makes NIfTI of it"
_SIMPLEITK = "SimpleITK.WriteImage(SimpleITK.ReadImage(IN), 'out.nrrd') makes NRRD of it"
_RAW = (
    "bare voxels say neither size nor type: name the scanner's file beside them (.pcr, .vgi, .xtekct), or a header "
    "that you write there, {stem}.mhd with a line each for NDims = 3, DimSize = X Y Z, ElementType = MET_USHORT, "
    "ElementByteOrderMSB = False, ElementSpacing = X Y Z (mm) and ElementDataFile = {name}"
)

_WAYS = {
    (".fcsv", ".mrk.json"): "it holds points, which the verbs of `chunkvol landmarks` read",
    (".tfm",): "it holds a transform, which `chunkvol resample --affine` takes",
    (".raw", ".vol"): _RAW,
    (".mgz", ".mgh", ".par", ".head", ".brik"): _NIBABEL,
    (".gipl", ".gipl.gz", ".mnc", ".mrc"): _SIMPLEITK,
}
"""Each by a run on real files."""


def way_out(name: str) -> str:
    """What to do with a file of this name that is no volume that chunkvol reads; a sentence without its full stop."""
    for ends, way in _WAYS.items():
        if name.lower().endswith(ends):
            return way.format(name=name, stem=name.rpartition(".")[0])
    return "name a folder of slices, and unpack archives first"
