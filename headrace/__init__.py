"""The command line and the wiring: the only package that reads the environment and knows the other three."""

from importlib.metadata import version

__version__ = version("headrace")
