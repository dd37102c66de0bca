"""An observation of a host in order, as observe.py reports one, for tests to break."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from verify.observed import Observed

RELEASE = "20261128T170000Z-py3.11-0123abcd"
URLS = {
    "stack": "http://127.0.0.1:8080",
    "blue": "http://127.0.0.1:8101",
    "green": "http://127.0.0.1:8102",
    "statistics": "http://127.0.0.1:8404",
}
SERVED = {"x-eduhub-slot": "blue", "x-eduhub-release": RELEASE}
NOW = 1_796_000_000.0  # 2026-11-30T04:53:20Z
STATE = {
    "live": {"slot": "blue", "release": RELEASE},
    "last_good": RELEASE,
    "rollout": None,
    "slots": {"blue": RELEASE, "green": None},
}


def answer(path: str, status: int, *, contains: bool = False, **headers: str) -> dict[str, Any]:
    """Return an HTTP answer at `path` of the public address; at another address where `path` is a whole URL."""
    url = path if path.startswith("http") else URLS["stack"] + path
    return {"url": url, "status": status, "headers": headers, "contains": contains, "trouble": None}


def silence(path: str) -> dict[str, Any]:
    """Return what is reported where nothing listens."""
    return {**answer(path, 0), "status": None, "trouble": "Connection refused"}


def container(part: str, **more: Any) -> dict[str, Any]:
    return {
        "name": f"eduhub-{part}", "image": f"sha256:{part}", "slot": None, "release": None, "status": "running",
        "exit_code": 0, "health": "healthy", "user": "10001:10001", "read_only": True, "privileged": False,
        "cap_drop": ["ALL"], "security_opt": ["no-new-privileges"], "restart": "unless-stopped",
        "log_max_size": "10m", "network": "eduhub", "mounts": ["/var/lib/eduhub/run/blue"], **more,
    }  # fmt: skip


def lock(verb: str, silent: float) -> dict[str, Any]:
    """Return the lock of run-2, that was heard of `silent` seconds ago."""
    heartbeat = datetime.fromtimestamp(NOW - silent, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"run": "run-2", "owner": "ann@desk", "verb": verb, "heartbeat": heartbeat, "ttl_seconds": 900.0}


def permissions(uid: int, gid: int, mode: int) -> dict[str, int]:
    return {"uid": uid, "gid": gid, "mode": mode}


SECRET = "/etc/eduhub/secrets/plone_admin_password"  # noqa: S105 - a path
FINE: dict[str, Any] = {
    "live": "blue",
    "state_before": STATE,
    "state": STATE,
    "edge_configuration": False,
    "records": {
        RELEASE: {
            "image": {"id": "sha256:blue"}, "python_version": "3.11.2",
            "spec": {"live_path": "/health/live", "health_path": "/health/ready", "read_only": True},
        },
    },
    "journal": {"lines": 12, "incomplete": []},
    "traffic_map": ["green", "0"],
    "drain_map": ["draining", "0"],
    "lock": None,
    "now": NOW,
    "kept": {f"eduhub/kept:{RELEASE.lower()}": True},
    "engine_trouble": None,
    "containers": {
        "edge": container("edge", network="host"),
        "blue": container("blue", slot="blue", release=RELEASE),
        "plone": container("plone", mounts=["/var/lib/eduhub/run/plone"]),
        "plone-endpoint": container("plone-endpoint", image="sha256:edge"),
    },
    "python": "3.11.2",
    "public": answer("/", 200, **SERVED),
    "forged": answer("/", 200, **SERVED),
    "metrics": [answer("/metrics", 404), answer("//metrics", 400)],
    "statistics": answer("http://127.0.0.1:8404/metrics", 200, contains=True),
    "balancer": answer("/health/host", 200),
    "health": [answer("http://127.0.0.1:8101/health/live", 200), answer("http://127.0.0.1:8101/health/ready", 200)],
    "files": {
        "/var/lib/eduhub/run/blue": permissions(10001, 10002, 0o2750),
        "/var/lib/eduhub/run/green": permissions(10001, 10002, 0o2750),
        "/var/lib/eduhub/bridge": permissions(10001, 10001, 0o700),
        "/var/lib/eduhub/release.json": permissions(0, 0, 0o644),
        "/var/lib/eduhub/journal.jsonl": permissions(0, 0, 0o644),
        "/etc/eduhub/bridge/state_key": permissions(0, 10001, 0o440),
        SECRET: permissions(0, 10001, 0o440),
    },
    "secrets": [SECRET],
    "exposed": [],
}  # fmt: skip


def observed(**changes: Any) -> Observed:
    """Return the host in order, but for `changes`: `containers__edge__status="exited"` reaches into the report."""
    report = copy.deepcopy(FINE)
    for path, value in changes.items():
        *above, last = path.split("__")
        place = report
        for key in above:
            place = place[key]
        place[last] = value
    return Observed({"name": "eduhub", "urls": URLS}, report)
