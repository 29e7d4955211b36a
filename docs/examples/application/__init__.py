"""A spectrometer: an example of an application."""

from __future__ import annotations
