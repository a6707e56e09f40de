"""OME-Zarr 0.5 (zarr v3, sharded), with the geometry of record beside the NGFF metadata."""

from chunkvol.formats.ome_zarr.reader import is_store, open_store
from chunkvol.formats.ome_zarr.writer import prepare_store

__all__ = ["is_store", "open_store", "prepare_store"]
