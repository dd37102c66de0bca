"""What Plone is asked is HAProxy's own count, and the CPU time of a process is its own."""

from __future__ import annotations

import pytest

from tests.bench import VoidError, cpu
from tests.bench.site import requests_in


def test_haproxys_count_of_requests_is_read():
    text = "# pxname,svname,stot,req_tot\ndoor,FRONTEND,3,17\nbehind,one,4,\nbehind,BACKEND,4,\n\n"
    assert requests_in(text) == 17
    with pytest.raises(VoidError, match="HAProxy"):
        requests_in("# pxname,svname,stot,req_tot\nbehind,one,4,\n")


def test_cpu_time_of_another_process_is_its_own():
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    work = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert 0.2 <= cpu.seconds(child.pid) < 1.0
        child.communicate(b"\n")


def test_cpu_time_of_nobody_is_an_error():
    with pytest.raises(ProcessLookupError):
        cpu.seconds(2**22 + 1)
