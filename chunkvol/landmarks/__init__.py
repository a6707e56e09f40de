"""Landmarks: files of points, and how they go from one volume to another."""

from chunkvol.landmarks.points import Landmarks

__all__ = ["Landmarks"]
