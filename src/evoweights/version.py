"""The version of evoweights."""

__version__ = "0.1.0"
