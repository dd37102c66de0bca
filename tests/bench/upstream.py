"""The fixed upstream and the proxy that the bridge is compared with: both HAProxy, one thread each. Pure."""

from __future__ import annotations

PORT = 8000
# More requests on one connection than any window sends.
_COMMON = """
global
    nbthread 1
    maxconn 4000
    stats socket {doors}/{name}-admin.sock mode 666 level admin

defaults
    mode http
    timeout connect 5s
    timeout client 300s
    timeout server 300s
    timeout http-keep-alive 300s
"""


def fixed(doors: str, files: str) -> str:
    """Return the configuration of an upstream that answers at once, on PORT and on the door `direct`."""
    said = "http-request return status 200 content-type application/json hdr cache-control private file"
    return (
        _COMMON.format(doors=doors, name="direct")
        + f"""
frontend fixed
    bind 127.0.0.1:{PORT}
    bind unix@{doors}/direct.sock mode 666
    {said} {files}/ok.json if {{ path_end /ok }}
    {said} {files}/page.json if {{ path_sub /courses/ }}
    {said} {files}/listing.json if {{ path_end /courses }}
    {said} {files}/site.json
"""
    )


def proxy(doors: str, name: str, port: int, *more: str) -> str:
    """Return the configuration of a proxy from the door `name` (and addresses in `more`) to 127.0.0.1:`port`."""
    binds = "".join(f"    bind {address}\n" for address in more)
    return (
        _COMMON.format(doors=doors, name=name)
        + f"""
frontend door
    bind unix@{doors}/{name}.sock mode 666
{binds}    default_backend behind

backend behind
    http-reuse safe
    server one 127.0.0.1:{port}
"""
    )
