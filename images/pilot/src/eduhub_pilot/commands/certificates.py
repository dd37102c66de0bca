"""`certificates`: let HAProxy serve the certificates that are on the disk now, without a reload and without a cut.

One that HAProxy has not loaded is left to its next reload, which reads all.
"""

from __future__ import annotations

import argparse
import hashlib
import ssl
from pathlib import Path

from eduhub_pilot.adapters.host import TIMEOUT_SECONDS, Host
from eduhub_pilot.model.errors import RefusedError
from eduhub_pilot.model.outcome import Outcome

# A refused certificate is refused again: there is no sense in trying as long as for a HAProxy that restarts.
TAKE_SECONDS = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's arguments."""
    del parser  # it takes none


def run(host: Host, _: argparse.Namespace) -> Outcome:
    """Run the command."""
    return certificates(host)


def certificates(host: Host) -> Outcome:
    """Return which certificates were replaced; HAProxy has each file where this container has it."""
    replaced = []
    for served in host.proxy.certificates(TIMEOUT_SECONDS):
        path = host.settings.config / Path(served.file).relative_to(CONFIG)
        try:
            chain, key = path.read_text(), path.with_name(f"{path.name}.key").read_text()
            fingerprint = hashlib.sha1(ssl.PEM_cert_to_DER_cert(first(chain)), usedforsecurity=False).hexdigest()
        except (OSError, ValueError) as error:
            raise RefusedError("certificate_unreadable", f"{served.file} cannot be read: {error}.") from None
        if fingerprint != served.fingerprint:
            host.proxy.replace_certificate(served.file, f"{chain}\n{key}", TAKE_SECONDS)
            replaced.append(served.file)
    if not replaced:
        return Outcome("certificates_unchanged", "The edge serves the certificates on the disk.")
    host.note(None, "certificates", "replaced", files=replaced)
    shown = ", ".join(host.settings.on_host(file) for file in replaced)
    return Outcome("certificates_replaced", f"The edge now serves the new {shown}.", True)


def first(chain: str) -> str:
    """Return the first certificate of a chain in PEM; ValueError without one."""
    end = chain.index(END) + len(END)
    return chain[chain.index("-----BEGIN CERTIFICATE-----") : end] + "\n"


END = "-----END CERTIFICATE-----"
# Where HAProxy sees the host's configuration.
CONFIG = Path("/etc/eduhub")
