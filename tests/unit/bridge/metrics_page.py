"""`python -m tests.unit.bridge.metrics_page` prints docs/reference/metrics.md: every metric of bridge and host."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from eduhub_bridge.server.app import create_app
from eduhub_bridge.settings import read
from eduhub_pilot.commands.monitoring.gauges import ALL

INTRODUCTION = """\
# Metrics

*Printed by `python -m tests.unit.bridge.metrics_page` from the instruments themselves; a test holds it to them.*

What to set up, and alerts: [runbook](../runbooks/monitor.md).

## Of the bridge

`GET /metrics` on a slot's private endpoint (`127.0.0.1:8101` blue, `8102` green), never through the public address. The
format is Prometheus text, or OpenMetrics if the client accepts it. A histogram `NAME` gives `NAME_bucket`, `NAME_sum`
and `NAME_count`, in seconds of wall time. Counters end in `_total`. prometheus-client adds `process_…` and
`python_gc_…`.
"""
LABELS = {
    "route": "the endpoint's template (`/plone/{path}`, `/api/v1/content`), never a path; `unknown` for none",
    "feature": "what of the bridge asked Plone: `pass_through`, `pages` (stored pages for anonymous readers), `api` "
    "(typed endpoints), `jobs` (bulk and exports), `live` (changes and presence)",
    "method": "GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS; `other` for any other",
    "status": "of the answer; 0 if none was begun",
    "lane": "`reads`, `writes`, or `transfers` (long bodies)",
    "state": "of the circuit breaker: `closed`, `half_open`, `open`",
    "result": "what a stored page did: `hit`, `stale` (given at once, renewed behind the reader's back), "
    "`revalidated`, `error` (given because Plone gave none), `miss`, `collapsed` (waited for another's answer), "
    "`bypass`",
    "cache": "what a stored page did for a request: `hit` (all of the answer), `miss` (it waited for Plone), `none` "
    "(no page is stored for such a request)",
    "kind": "of an error: `connect`, `connect_timeout`, `timeout`, `severed`, `protocol`, `cut`, `queue_full`, "
    "`queue_late`, `breaker_open`; of a transaction: `read`, `write`",
}
END = """
Which feature keeps Plone busy, in seconds of Plone's time a second:

```
sum by (feature) (rate(eduhub_bridge_plone_seconds_sum[5m]))
```

## Of the edge

On each host `127.0.0.1:8404/metrics` (`edge_statistics_port`) has the metrics of HAProxy's own exporter, and
`127.0.0.1:8404/metrics/host` one of ours: the gauge `eduhub_edge_draining`, 1 while the host tells its balancer to go
elsewhere ([runbook](../runbooks/behind-a-balancer.md)).

## Of a host

With `pilot_metrics_at` a bridge host writes these gauges to `STACK.prom` in `pilot_metrics_directory`, each with the
label `stack`. A gauge of which nothing is known is left out. Times are in seconds since 1970, in UTC.

"""


def instruments() -> list[Any]:
    """Return the instruments of an application that is not started, by name."""
    bridge = create_app(read({"PLONE_URL": "http://plone.invalid/Plone"}))
    names = bridge.registry._names_to_collectors  # the registry's own way to tell does not know labels without values
    ours = {id(each): each for name, each in names.items() if name.startswith("eduhub_bridge_")}
    return sorted(ours.values(), key=lambda each: each._name)


def document() -> str:
    """Return the page."""
    rows = ["| name | type | labels | what |", "|---|---|---|---|"]
    for each in instruments():
        kind = type(each).__name__.lower()
        name = f"{each._name}_total" if kind == "counter" else each._name
        rows.append(f"| `{name}` | {kind} | {_marked(each._labelnames)} | {each._documentation} |")
    rows += ["", "| label | holds |", "|---|---|", *(f"| `{label}` | {text} |" for label, text in LABELS.items())]
    host = ["| name | labels | what |", "|---|---|---|"]
    host += [f"| `{each.name}` | {_marked(each.labels)} | {each.help} |" for each in ALL]
    codes = ["", "`code` is that of a note of `./invoke status` ([answers of the pilot](answers.md))."]
    return "\n".join([INTRODUCTION, *rows]) + "\n" + END + "\n".join([*host, *codes]) + "\n"


def _marked(labels: Sequence[str]) -> str:
    return ", ".join(f"`{label}`" for label in labels) or "-"


if __name__ == "__main__":
    sys.stdout.write(document())
