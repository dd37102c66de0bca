"""Hosts that are in order, and what is found of one."""

from __future__ import annotations

from module_utils.host_readiness.findings import findings
from module_utils.host_readiness.model import Host, Port, Requirements

ANY = "0.0.0.0"  # noqa: S104 - compared, not bound
EDGE = Port("edge_port", "127.0.0.1", 8080)
PLONE = Port("plone_port", "127.0.0.1", 8081)
REQUIRED = Requirements("eduhub", [EDGE, PLONE], memory_mb=1500)
ALPINE = "Alpine Linux v3.20"
FINE = Host(distribution="Debian GNU/Linux 12 (bookworm)", engine="20.10.24+dfsg1")

# Lines of /proc/net/tcp: sl, local address, remote address, state, queues, timer, retransmits, uid, timeout, inode.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4243 1 0 100 0 0 10 0
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr inode
   0: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 7 1 0
   1: 0000000000000000FFFF00000100007F:0051 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 8 1 0
"""


def said(host: Host, required: Requirements = REQUIRED) -> list[str]:
    return [str(finding) for finding in findings(host, required)]


def codes(host: Host, required: Requirements = REQUIRED) -> list[str]:
    return [finding.code for finding in findings(host, required)]
