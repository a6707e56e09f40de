"""OME-Zarr: 0.4 (zarr 2), 0.5 and 0.6 (zarr 3, sharded) are written, with the geometry of record beside the metadata of
NGFF; 0.1 to 0.6 are read, and plain zarr arrays too.
"""

from chunkvol.formats.ome_zarr.reader import is_store, open_store
from chunkvol.formats.ome_zarr.writer import is_older_store, prepare_store

__all__ = ["is_older_store", "is_store", "open_store", "prepare_store"]
