"""Builds the images of images.yml on a Docker Engine: `PYTHONPATH=images:ansible python -m builder --help`."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
"""The images directory: images.yml, and a directory for each image."""
PYTHONPATH = f"{HERE}:{HERE.parent / 'ansible'}"
"""What the programs here are started with: they know of images what Ansible's modules know."""


class Refusal(Exception):  # noqa: N818 - not an error of ours
    """Something an operator can put right: one sentence with what is wrong and what to type next."""
