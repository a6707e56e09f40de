#!/usr/bin/env bash
# One scan on a laptop: look, plan, make the small volume inside 1 GiB of memory, keep all of it as OME-Zarr.
#
#   configs/laptop.sh SERIES FOLDER
#
# SERIES  a folder of DICOM slices (or a .nrrd, or an .ome.zarr)
# FOLDER  where small.nrrd and scan.ome.zarr go; made when it is missing
#
# Run it again after an interruption: what is finished stays, what is missing is made.
set -euo pipefail

series=${1:?usage: laptop.sh SERIES FOLDER}
folder=${2:?usage: laptop.sh SERIES FOLDER}
memory=${CHUNKVOL_MEMORY:-1GiB} # most memory of the whole process, Python included
fit=${CHUNKVOL_FIT:-1GiB}       # what the viewer should have to hold

mkdir -p "$folder"
small=$folder/small.nrrd
store=$folder/scan.ome.zarr

# What is it, and what would it cost to load? Reads headers only.
chunkvol info "$series"

# --fit takes the smallest whole factors whose result has at most so many bytes. The dry run prints the plan: units,
# bytes, disk and peak memory. If the scan cannot be worked on inside the budget, it says so here and stops.
if [[ ! -e $small ]]; then
  chunkvol downsample "$series" --fit "$fit" --memory "$memory" -o "$small" --dry-run
  chunkvol downsample "$series" --fit "$fit" --memory "$memory" -o "$small"
fi

# Full resolution and all coarser levels, in chunks: crops and levels are quick to read from now on.
if [[ ! -e $store ]]; then
  chunkvol ingest "$series" --memory "$memory" -o "$store"
fi

chunkvol info "$small"
