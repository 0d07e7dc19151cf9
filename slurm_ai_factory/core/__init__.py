"""The pure core: values in, values out. No I/O, no clock, no logging, no environment, no randomness."""

from __future__ import annotations
