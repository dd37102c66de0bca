"""The institution's own Plone: its address, judged, and what it answers a client that trusts what the bridge trusts."""

from __future__ import annotations

import http.client
import ipaddress
import os
import socket
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

TIMEOUT_SECONDS = 20
# The public authorities alone, as the images have them: what a host trusts beside them, a slot does not.
PUBLIC = Path("/usr/share/ca-certificates/mozilla")
# OpenSSL's verification errors that no other authority would end.
EXPIRED, WRONG_NAMES = 10, {62, 64}
PARTIAL_CHAIN = 0x80000  # X509_V_FLAG_PARTIAL_CHAIN, for which Python 3.9 has no name


@dataclass(frozen=True)
class Upstream:
    """A Plone site: its `url`; `ca`, PEM certificates to trust instead of the public ones; `page`, which answers 200.

    With an empty `page` any answer below 500 of the site itself will do.
    """

    url: str
    ca: str = ""
    page: str = ""

    @property
    def path(self) -> str:
        return f"{urlsplit(self.url).path.rstrip('/')}/{self.page}"


@dataclass(frozen=True)
class Certificate:
    """Why a server's certificate is not trusted: OpenSSL's number and words; the names that it holds, where known."""

    number: int
    reason: str
    subject: str = ""
    issuer: str = ""


@dataclass(frozen=True)
class Answer:
    """What came back: a `status`, or an untrusted `certificate`, or the `trouble` in words."""

    status: int | None = None
    certificate: Certificate | None = None
    trouble: str = ""


def wrong_address(url: str) -> str | None:
    """Return why the bridge cannot stand before `url`, as a predicate without the value; None where it can."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        return "is no address; give the site's, such as http://cms.example.edu:8080/Plone"
    if not sound:
        return "is no http or https address; give the site's, such as http://cms.example.edu:8080/Plone"
    if "@" in parts.netloc:
        return "holds a user name; leave it out, since clients bring their own credentials"
    if parts.query or parts.fragment:
        return "holds a query or fragment; give the address of the site alone"
    if not parts.path.strip("/"):
        return "names no site; add its id, such as /Plone"
    if "VirtualHostBase" in parts.path:
        return "holds a rewrite rule; give the address as Zope itself serves it"
    if _loopback(parts):
        return "is the loopback address, which is a slot's own inside its container; give an address of the host"
    return None


def _loopback(parts: SplitResult) -> bool:
    name = (parts.hostname or "").rstrip(".")
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified


def trusting(ca: str) -> ssl.SSLContext:
    """Return a client's context that trusts `ca`, else the public authorities. Raises ssl.SSLError, ValueError."""
    if ca:  # as eduhub_bridge/upstream/trust.py, on each Python
        context = ssl.create_default_context(cadata=ca)
        context.verify_flags = ssl.VerifyFlags((context.verify_flags | PARTIAL_CHAIN) & ~ssl.VERIFY_X509_STRICT)
        return context
    public = [path.read_text() for path in sorted(PUBLIC.glob("*.crt"))]
    return ssl.create_default_context(cadata="\n".join(public) or None)


def asked(upstream: Upstream) -> Answer:
    """Return what the site answers within TIMEOUT_SECONDS. Raises ssl.SSLError or ValueError for an unusable `ca`."""
    parts = urlsplit(upstream.url)
    name, secure = parts.hostname or "", parts.scheme == "https"
    if secure:
        context = trusting(upstream.ca)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            name, parts.port or 443, timeout=TIMEOUT_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(name, parts.port or 80, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", upstream.path, headers={"Connection": "close", "User-Agent": "eduhub-preflight"})
        return Answer(connection.getresponse().status)
    except ssl.SSLCertVerificationError as error:
        subject, issuer = _names(name, parts.port or 443)
        return Answer(certificate=Certificate(error.verify_code, error.verify_message.rstrip("."), subject, issuer))
    except ssl.SSLError as error:
        return Answer(trouble=f"did not speak TLS ({(error.reason or str(error)).lower().replace('_', ' ')})")
    except socket.gaierror:
        return Answer(trouble=f"has a name that this host cannot resolve ({name})")
    except TimeoutError:
        return Answer(trouble=f"did not answer within {TIMEOUT_SECONDS} s")
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        return Answer(trouble=f"cannot be reached ({why})")
    except http.client.HTTPException:
        return Answer(trouble="answered with something that is not HTTP")
    finally:
        connection.close()


def _names(name: str, port: int) -> tuple[str, str]:
    """Return subject and issuer of a server's certificate, trusted or not; empty where openssl is missing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    words = ["openssl", "x509", "-noout", "-nameopt", "RFC2253", "-subject", "-issuer"]
    try:
        with socket.create_connection((name, port), TIMEOUT_SECONDS) as plain, context.wrap_socket(
            plain, server_hostname=name
        ) as wrapped:  # fmt: skip
            pem = ssl.DER_cert_to_PEM_cert(wrapped.getpeercert(binary_form=True) or b"")
        done = subprocess.run(words, input=pem, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, ValueError, subprocess.SubprocessError):
        return "", ""
    fields = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    return fields.get("subject", "").strip(), fields.get("issuer", "").strip()
