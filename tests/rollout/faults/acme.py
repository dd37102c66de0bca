"""A host whose certificate is given by an ACME server: Debian's pebble, which wants an external account binding."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from tests.rollout.faults.host import EDGE_PORT, INNER, Host
from tests.rollout.operator import Operator, folded, until
from tests.templates import certificates

HUB = "hub.example.edu"
PEBBLE = "/etc/pebble"
SERVER = "https://localhost:14000/dir"
KEY_ID, KEY = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
SERVED = (f"openssl s_client -connect 127.0.0.1:443 -servername {HUB} -CAfile {PEBBLE}/root.pem </dev/null 2>/dev/null"
          " | openssl x509 -noout -issuer -serial")  # fmt: skip
# Asks the site by TLS until the file `stop` is there, by a connection of its own each time and by one that it keeps;
# prints how many of its requests failed, and how many there were.
ASKS = f"""
import http.client, os, socket, ssl, time
context = ssl.create_default_context(cafile="{PEBBLE}/root.pem")
def connection():
    made = http.client.HTTPSConnection("{HUB}", 443, context=context, timeout=10)
    made.connect()
    return made
kept, asked, failed, ends = connection(), 0, 0, time.monotonic() + 90
while not os.path.exists("/tmp/acme-stop") and time.monotonic() < ends:
    for each in (kept, connection()):
        asked += 1
        try:
            each.request("GET", "/health/live")
            answer = each.getresponse()
            answer.read()
            failed += answer.status != 200
        except (OSError, http.client.HTTPException):
            failed += 1
    time.sleep(0.02)
print(failed, asked)
"""


def an_acme_server_gives_the_certificate_and_renews_it(host: Host, folder: Path) -> None:
    operator = host.operator.with_variables(
        folder / "acme", edge_hosts=[HUB], edge_acme_server=SERVER, edge_acme_eab_key_id=KEY_ID,
        edge_acme_eab_key_file=f"{PEBBLE}/eab", edge_tls_hsts_seconds=60,
    )  # fmt: skip
    try:
        trusts_pebble(host, folder)
        refused = operator.types("deploy")
        assert (refused.returncode, "Connection refused" in folded(refused.stdout)) == (3, True), refused.stdout
        assert host.does(f"grep -q 'redirect code 308' /etc/{INNER}/edge/haproxy.cfg") == 1, "browsers are sent to TLS"
        assert host.does(f"cd {PEBBLE} && systemd-run --unit acme-pebble {PEBBLE}/run") == 0
        until("pebble answers", lambda: host.does("ss -tln | grep -q :14000") == 0, 20, pause=0.3)
        assert operator.types("deploy").returncode == 0
        assert host.does(f"grep -q 'redirect code 308' /etc/{INNER}/edge/haproxy.cfg") == 0
        root = "python3 -c \"import ssl, urllib.request as u; print(u.urlopen('https://localhost:15000/roots/0', "
        host.says(f"{root}context=ssl.create_default_context()).read().decode())\" > {PEBBLE}/root.pem")
        given = host.says(SERVED)
        assert "Pebble" in given
        renewed_under_load(host)
        assert "Pebble" in (renewed := host.says(SERVED))
        assert renewed != given
        assert host.does("systemctl stop acme-pebble") == 0
        assert changes_nothing(operator), "a deployment needs the server"
    finally:
        host.does("systemctl stop acme-pebble; rm -f /tmp/acme-stop")
    assert host.operator.types("deploy", "--yes").returncode == 0
    left = (f"/etc/letsencrypt/live/{INNER}", f"/etc/{INNER}/edge/acme.ini", f"/etc/{INNER}/edge/tls/acme.pem.key")
    assert [path for path in left if host.does(f"test -e {path}") == 0] == []


def trusts_pebble(host: Host, folder: Path) -> None:
    """Install pebble on the host, with a certificate that the host trusts, and let it find the site there."""
    authority = certificates.authority(folder / "authority")
    chain, key = certificates.certificate(folder / "authority", "pebble", "localhost")
    binding = {"externalAccountBindingRequired": True, "externalAccountMACKeys": {KEY_ID: KEY}}
    settings = {"pebble": {
        "listenAddress": "127.0.0.1:14000", "managementListenAddress": "127.0.0.1:15000", "ocspResponderURL": "",
        "certificate": f"{PEBBLE}/chain.pem", "privateKey": f"{PEBBLE}/key.pem", "httpPort": EDGE_PORT, "tlsPort": 5001,
        **binding,
    }}  # fmt: skip
    run = f"#!/bin/sh\nexport PEBBLE_VA_NOSLEEP=1 PEBBLE_WFE_NONCEREJECT=0\nexec pebble -config {PEBBLE}/config.json\n"
    files = {
        f"{PEBBLE}/chain.pem": chain.read_text(), f"{PEBBLE}/key.pem": key.read_text(), f"{PEBBLE}/eab": KEY,
        f"{PEBBLE}/config.json": json.dumps(settings), f"{PEBBLE}/run": run,
        "/usr/local/share/ca-certificates/pebble.crt": authority.read_text(),
    }  # fmt: skip
    written = "; ".join(f"printf %s {shlex.quote(text)} > {path}" for path, text in files.items())
    install = "apt-get update -q && apt-get install -yq --no-install-recommends pebble ca-certificates openssl"
    assert host.does(f"{install} && mkdir -p {PEBBLE}") == 0
    assert host.does(f"set -e; {written}; chmod 700 {PEBBLE}/run; update-ca-certificates") == 0
    assert host.does(f"grep -q {HUB} /etc/hosts || echo 127.0.0.1 {HUB} >> /etc/hosts") == 0


def changes_nothing(operator: Operator) -> bool:
    """Return whether another deployment succeeds and changes nothing."""
    done = operator.types("deploy")
    return done.returncode == 0 and "Nothing to change" in done.stdout


def renewed_under_load(host: Host) -> None:
    """Renew as certbot's timer does, while the site is asked; no request may fail."""
    asks = f"python3 -c {shlex.quote(ASKS)} > /tmp/acme-asked"
    renews = "sleep 1; certbot renew --force-renewal --no-random-sleep-on-renew; code=$?; sleep 1; touch /tmp/acme-stop"
    assert host.does(f"({asks}) & {renews}; wait; exit $code") == 0
    failed, asked = map(int, host.says("cat /tmp/acme-asked").split())
    assert (failed, asked > 50) == (0, True), f"{failed} of {asked} requests failed"
