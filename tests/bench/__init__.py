"""Measures the bridge: `python -m tests.bench --help`. What each number means stands in docs/bench.md.

Four parts, each a module that measures and returns one JSON document: `inprocess`, `http`, `latency`, `site`.
`stage` runs the containers, `tests.load` and `saturation` are the load, `tables` and `plot` show what was found.
"""

from __future__ import annotations


class VoidError(Exception):
    """What was measured means nothing, since requests failed; one sentence."""
