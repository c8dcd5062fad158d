"""The front door: command line, settings, wiring, simulator and demo."""

__version__ = "0.1.0"
