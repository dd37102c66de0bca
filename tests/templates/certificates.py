"""Certificates of a site, made by openssl as an institution's authority would make them."""

from __future__ import annotations

import subprocess
from pathlib import Path


def authority(folder: Path) -> Path:
    """Make an authority; return its certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "365", "-subj", "/CN=Test authority",
            "-keyout", str(folder / "ca.key"), "-out", str(folder / "ca.pem"))  # fmt: skip
    openssl(*made)
    return folder / "ca.pem"


def certificate(folder: Path, name: str, *names: str, days: int = 90) -> tuple[Path, Path]:
    """Return chain and key of a certificate for `names`, below `folder` by `name`; made before its end, `days` off."""
    key, asked, extra = (folder / f"{name}.{kind}" for kind in ("key", "csr", "ext"))
    extra.write_text("subjectAltName=" + ",".join(f"{'IP' if ':' in each else 'DNS'}:{each}" for each in names) + "\n")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={names[0]}", "-keyout", str(key), "-out", str(asked))
    signed = folder / f"{name}.crt"
    openssl("x509", "-req", "-in", str(asked), "-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca.key"),
            "-days", str(days), "-extfile", str(extra), "-out", str(signed), "-CAcreateserial")  # fmt: skip
    chain = folder / f"{name}.pem"
    chain.write_text(signed.read_text() + (folder / "ca.pem").read_text())
    return chain, key


def openssl(*words: str) -> None:
    """Run openssl; CalledProcessError with what it said."""
    subprocess.run(["openssl", *words], check=True, capture_output=True)
