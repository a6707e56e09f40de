"""The one place of the version, for outputs that record it."""

__version__ = "0.1.0"
