"""A PostgreSQL server of the tests' own, on a unix socket, where Debian's `postgresql` is installed."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Server:
    """Runs between start() and stop(); keeps nothing on disk for longer."""

    def __init__(self) -> None:
        # Not below pytest's folder, which it closes to other users; and the server refuses to run as root.
        self._folder = folder = Path(tempfile.mkdtemp(prefix="eduhub-postgres-"))
        self._data = folder / "data"
        self._user = pwd.getpwnam("postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name)
        os.chown(folder, self._user.pw_uid, self._user.pw_gid)
        folder.chmod(0o755)  # a bridge in a container has a user of its own, and the socket is in here
        self._run("initdb", "--auth=trust", "--username=bridge", "--no-sync", "--locale=C", "-D", str(self._data))
        self.start()

    def _as_user(self) -> dict[str, int]:
        return {"user": self._user.pw_uid, "group": self._user.pw_gid} if os.getuid() == 0 else {}

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(
            [str(PROGRAMS[-1] / program), *words], capture_output=True, text=True, check=False, cwd=self._folder,
            **self._as_user(),
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        words = ["-D", str(self._data), "-k", str(self._folder), "-c", "listen_addresses=", "-c", "fsync=off"]
        self._process = subprocess.Popen(
            [str(PROGRAMS[-1] / "postgres"), *words], stderr=subprocess.DEVNULL, cwd=self._folder, **self._as_user()
        )
        deadline = time.monotonic() + 120  # bounds only a failure
        while subprocess.run([str(PROGRAMS[-1] / "pg_isready"), "-q", "-h", str(self._folder)], check=False).returncode:
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.05)

    def database(self, name: str) -> str:
        """Make an empty database and return its address."""
        self._run("createdb", "-h", str(self._folder), "-U", "bridge", name)
        return f"postgresql://bridge@/{name}?host={self._folder}"

    @property
    def folder(self) -> Path:
        """Where the socket is."""
        return self._folder

    def stop(self) -> None:
        self._process.send_signal(2)  # fast: cuts every connection
        self._process.wait(20)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder)
