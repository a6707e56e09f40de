"""Landmarks: files of points, and how they go from one volume to another."""

from chunkvol.landmarks.files import read_landmarks, write_landmarks
from chunkvol.landmarks.indices import index_points, place_landmarks
from chunkvol.landmarks.mapping import map_landmarks
from chunkvol.landmarks.moving import moved
from chunkvol.landmarks.points import Landmarks
from chunkvol.landmarks.relating import find_relation, infer_relation, verify_relation

__all__ = [
    "Landmarks",
    "find_relation",
    "index_points",
    "infer_relation",
    "map_landmarks",
    "moved",
    "place_landmarks",
    "read_landmarks",
    "verify_relation",
    "write_landmarks",
]
