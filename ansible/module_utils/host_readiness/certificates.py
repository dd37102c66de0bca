"""Reads the files of a TLS certificate as a server would, with nothing but the standard library."""

from __future__ import annotations

import re
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path

from .findings import canonical
from .model import Certificate, CertificateFiles

BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)
KEY = re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----")


class PassphraseError(Exception):
    """The key has a passphrase."""


def _ask() -> str:
    raise PassphraseError


def certificate(files: CertificateFiles) -> Certificate:
    """Return what a server would find in these files; `trouble` says why it could not use them."""
    texts = {}
    for path in (files.certificate, files.key):
        try:
            texts[path] = Path(path).read_text(encoding="ascii", errors="replace")
        except OSError as error:
            return Certificate(files, f"{path} cannot be read ({error.strerror})")
    if not BLOCK.search(texts[files.certificate]):
        return Certificate(files, f"{files.certificate} holds no certificate in PEM")
    if not KEY.search(texts[files.key]):
        return Certificate(files, f"{files.key} holds no private key in PEM")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files.certificate, files.key, _ask)
    except PassphraseError:
        return Certificate(files, f"{files.key} has a passphrase")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            if any(_fits(block, files.key) for block in BLOCK.findall(texts[files.certificate])[1:]):
                return Certificate(files, f"{files.certificate} holds its certificate after those of authorities", True)
            return Certificate(files, f"{files.key} is the key of another certificate than {files.certificate}")
        return Certificate(files, f"{files.certificate} cannot be used with its key ({error.reason or error})")
    return _read(files)


def _fits(block: str, key: str) -> bool:
    """Whether a private key is the one of a certificate, given in PEM."""
    with tempfile.NamedTemporaryFile("w", encoding="ascii", errors="replace") as alone:
        alone.write(block)
        alone.flush()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(alone.name, key, _ask)
        except (ssl.SSLError, OSError):
            return False
    return True


def _read(files: CertificateFiles) -> Certificate:
    # The standard library has no public way to read a certificate that is no authority's. Its own tests use this
    # one, which is the same in 3.9 to 3.14; without it names and dates are left to HAProxy.
    decode = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
    told = None
    with suppress(ssl.SSLError, OSError):
        told = decode(files.certificate) if decode else None
    if told is None:
        return Certificate(files)
    names = [
        canonical(value) if kind == "IP Address" else value
        for kind, value in told.get("subjectAltName", ()) if kind in {"DNS", "IP Address"}
    ]  # fmt: skip
    return Certificate(
        files, None, False, tuple(name.lower() for name in names),
        ssl.cert_time_to_seconds(told["notBefore"]), ssl.cert_time_to_seconds(told["notAfter"]), told["notAfter"],
    )  # fmt: skip
