"""Lets every answer of our bridge wait for SLOW_MS milliseconds first. Python itself imports this, if it finds it."""

import os
import sys
import time
from importlib import util
from statistics import median

HTTP = "uvicorn.protocols.http.httptools_impl"
SECONDS = float(os.environ.get("SLOW_MS", "0")) / 1000


class Finder:
    """Changes the module HTTP once it is imported, so that a process that never does is left alone."""

    def find_spec(self, name, path=None, target=None):  # noqa: ARG002 - Python's signature
        if name != HTTP:
            return None
        sys.meta_path.remove(self)
        spec = util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            slow_down(module.RequestResponseCycle)

        spec.loader.exec_module = exec_module
        return spec


def overslept():
    """Return by how many seconds a sleep of that length is too long here."""
    slept = []
    for _ in range(201):
        began = time.perf_counter()
        time.sleep(SECONDS)
        slept.append(time.perf_counter() - began - SECONDS)
    return median(slept)


def slow_down(cycle):
    answer = cycle.run_asgi

    seconds = max(0.0, SECONDS - overslept())

    async def run_asgi(self, app):
        time.sleep(seconds)  # noqa: ASYNC251 - with everybody behind it, and finer than a timer of the loop
        await answer(self, app)

    cycle.run_asgi = run_asgi


if SECONDS:
    sys.meta_path.insert(0, Finder())
