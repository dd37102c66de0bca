"""Builds the images of images.yml on a Docker Engine: `cd images && python -m builder --help`."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
"""The images directory: images.yml, and a directory for each image."""


class Refusal(Exception):  # noqa: N818 - not an error of ours
    """Something an operator can put right: one sentence with what is wrong and what to type next."""
