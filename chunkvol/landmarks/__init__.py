"""Landmarks: files of points, and how they go from one volume to another."""

from chunkvol.landmarks.files import read_landmarks, write_landmarks
from chunkvol.landmarks.moving import moved
from chunkvol.landmarks.points import Landmarks

__all__ = ["Landmarks", "moved", "read_landmarks", "write_landmarks"]
