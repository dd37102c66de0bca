"""Observes a deployed host and prints one JSON document. Reads only.

The suite sends this file to the host, so it needs nothing but Python 3.9, the standard library and the docker client.
Its argument is the JSON of the target: `name` of the stack and its `urls` (stack, blue, green, statistics). No secret
leaves the host: where a secret is exposed, the document has its name.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
import sys
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

SERVING = {"edge", "bridge", "plone", "plone_endpoint"}  # roles of containers; the pilot's own come and go beside them
# Spellings of /metrics that a proxy or an application may accept.
METRICS = ["/metrics", "/metrics/", "//metrics", "/%6detrics", "/./metrics", "/plone/../metrics"]
FORGED_SLOT = "purple"
JOURNAL_FIELDS = {"time", "run", "step", "event"}
TIMEOUT_SECONDS = 20


def run(*words: str) -> tuple[str, str | None]:
    """Return what a program printed, and why it failed, None when it did not."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return "", str(error)
    lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return done.stdout, lines[-1] if done.returncode else None


def text(path: Path) -> str:
    """Return a file's text, nothing for one that cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def document(path: Path) -> Any:
    """Return the JSON in a file; None for a file that is missing or holds none."""
    try:
        return json.loads(text(path))
    except ValueError:
        return None


def get(url: str, contains: str = "", **headers: str) -> dict[str, Any]:
    """Return what `url` answers, its path sent as it stands, no redirect followed.

    `status` and `headers` (names in lower case); `contains`: whether the body holds that text, in any case; `trouble`:
    why there is no answer, None when there is one.
    """
    host = urllib.parse.urlsplit(url).netloc
    connection = http.client.HTTPConnection(host, timeout=TIMEOUT_SECONDS)
    answer: dict[str, Any] = {"url": url, "status": None, "headers": {}, "contains": False, "trouble": None}
    try:
        connection.request("GET", url.split(host, 1)[1], headers=headers)
        got = connection.getresponse()
        body = got.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        return {**answer, "trouble": getattr(error, "strerror", None) or str(error) or type(error).__name__}
    finally:
        connection.close()
    named = {name.lower(): value for name, value in got.getheaders()}
    return {**answer, "status": got.status, "headers": named, "contains": contains in body.lower()}


def inspected(name: str) -> tuple[list[dict[str, Any]], str | None]:
    """Return `docker inspect` of each container that serves, and why the engine does not answer."""
    label, form = f"label=org.eduhub.stack={name}", '{{.Names}} {{.Label "org.eduhub.role"}}'
    listed, trouble = run("docker", "ps", "--all", "--filter", label, "--format", form)
    # They serve before, during or after a takeover.
    beside = {f"{name}-plone-{each}" for each in ("standby", "previous", "endpoint-stand-in")}
    names = [line.split()[0] for line in listed.splitlines() if line.split()[-1] in SERVING]
    names = [each for each in names if each not in beside and not each.startswith(f"{name}-edge-")]
    if trouble or not names:
        return [], trouble
    printed, _ = run("docker", "inspect", *names)  # fails for one that has just been removed, and prints the others
    return list(json.loads(printed or "[]")), None


def summary(container: dict[str, Any]) -> dict[str, Any]:
    """Return what the suite judges of one container."""
    config, host, state = container["Config"], container["HostConfig"], container["State"]
    return {
        "name": container["Name"].lstrip("/"),
        "image": container["Image"],
        "slot": config["Labels"].get("org.eduhub.slot"),
        "release": config["Labels"].get("org.eduhub.release"),
        "status": state["Status"],
        "exit_code": state["ExitCode"],
        "health": (state.get("Health") or {}).get("Status"),
        "user": running_as(state["Pid"]) or config["User"],
        "read_only": host["ReadonlyRootfs"],
        "privileged": host["Privileged"],
        "cap_drop": host["CapDrop"] or [],
        "security_opt": host["SecurityOpt"] or [],
        "restart": host["RestartPolicy"]["Name"],
        "log_max_size": (host["LogConfig"]["Config"] or {}).get("max-size"),
        "network": host["NetworkMode"],
        "mounts": [mount.get("Source", "") for mount in container["Mounts"]],
    }


def running_as(pid: int) -> str:
    """Return the user of a container's main process, which may have started as root; nothing where none runs."""
    fields = dict(line.split(":", 1) for line in text(Path(f"/proc/{pid}/status")).splitlines() if ":" in line)
    return ":".join(fields[name].split()[0] for name in ("Uid", "Gid")) if "Uid" in fields else ""


def permissions(path: Path) -> dict[str, Any] | None:
    """Return numeric owner, group and mode of a file; None for one that is missing."""
    try:
        found = path.stat()
    except OSError:
        return None
    return {"uid": found.st_uid, "gid": found.st_gid, "mode": found.st_mode & 0o7777}


def exposed(secrets: list[Path], containers: list[dict[str, Any]]) -> list[str]:
    """Return the secrets whose content `docker inspect` shows."""
    shown = json.dumps(containers)
    contents = {path: text(path).strip() for path in secrets}
    return [str(path) for path, content in contents.items() if content and json.dumps(content)[1:-1] in shown]


def journal(path: Path) -> dict[str, Any]:
    """Return how many lines the journal has, and the numbers of those that are incomplete."""
    lines = text(path).splitlines()
    return {"lines": len(lines), "incomplete": [number for number, line in enumerate(lines, 1) if not whole(line)]}


def whole(line: str) -> bool:
    try:
        return set(json.loads(line)) >= JOURNAL_FIELDS
    except (ValueError, TypeError):
        return False


def kept(images: dict[str, str]) -> dict[str, bool]:
    """Return for the tag of each release, whose image ids are given, whether the engine has it.

    Not of one whose image is gone, which no tag protects any more: such a release cannot be rolled back to, as status
    says, and the next one takes its place.
    """
    tags = {f"eduhub/kept:{release.lower()}": image for release, image in sorted(images.items())}
    # It fails for a missing one and prints the others, with empty lines between.
    form = "{{.Id}} {{json .RepoTags}}"
    printed, _ = run("docker", "image", "inspect", "--format", form, *tags.values()) if tags else ("", None)
    found = {line.split(" ", 1)[0]: json.loads(line.split(" ", 1)[1]) or [] for line in printed.splitlines() if line}
    return {tag: tag in found[image] for tag, image in tags.items() if image in found}


def python_of(container: str) -> str:
    """Return the version of the Python in a running container; what went wrong where there is none."""
    printed, trouble = run("docker", "exec", container, "python3", "-V")
    return trouble or printed.strip().removeprefix("Python ")


def edited(path: Path) -> bool:
    """Return whether a file is not the one whose digest was kept beside it; false where none was."""
    kept = text(path.with_name(f"{path.name}.sha1")).strip()
    try:
        return bool(kept) and hashlib.sha1(path.read_bytes()).hexdigest() != kept  # noqa: S324 - Ansible's digest
    except OSError:
        return True


def observe(target: dict[str, Any]) -> dict[str, Any]:
    """Return everything that the suite judges, in one document."""
    name, urls = target["name"], target["urls"]
    state_dir, config_dir = Path("/var/lib", name), Path("/etc", name)
    before, public, state = (
        document(state_dir / "release.json"), get(f"{urls['stack']}/"), document(state_dir / "release.json"),
    )  # fmt: skip
    known = state or {"live": None, "slots": {}, "last_good": None}
    live = public["headers"].get("x-eduhub-slot") or (known["live"] or {}).get("slot")
    good = {release for release in ((known["live"] or {}).get("release"), known["last_good"]) if release}
    releases = good | {release for release in known["slots"].values() if release}
    records = {release: document(state_dir / "releases" / release / "release.json") for release in sorted(releases)}
    spec = ((records.get(known["slots"].get(live)) or {}).get("spec")) or {}
    paths = [path for path in (spec.get("live_path"), spec.get("health_path")) if path]
    secrets = sorted(path for path in (config_dir / "secrets").glob("*") if path.is_file())

    with ThreadPoolExecutor() as pool:
        found = pool.submit(inspected, name)
        images = {release: records[release]["image"]["id"] for release in good if records.get(release)}
        tags = pool.submit(kept, images)
        python = pool.submit(python_of, f"{name}-{live}") if live else None
        forged = pool.submit(get, f"{urls['stack']}/", **{"X-EduHub-Slot": FORGED_SLOT})
        metrics = [pool.submit(get, urls["stack"] + path, "# help") for path in METRICS]
        statistics = pool.submit(get, f"{urls['statistics']}/metrics", "haproxy_process_uptime_seconds")
        balancer = pool.submit(get, f"{urls['stack']}/health/host", "draining")
        health = [pool.submit(get, urls[live] + path) for path in paths if live in urls]
    containers, trouble = found.result()
    watched = [
        *(state_dir / "run" / slot for slot in ("blue", "green")), state_dir / "bridge", state_dir / "release.json",
        state_dir / "journal.jsonl", config_dir / "bridge/state_key", *secrets,
    ]  # fmt: skip
    return {
        "live": live,
        "state_before": before,
        "state": state,
        "records": records,
        "journal": journal(state_dir / "journal.jsonl"),
        "traffic_map": text(state_dir / "edge/traffic.map").split(),
        "drain_map": text(state_dir / "edge/drain.map").split(),
        "edge_configuration": edited(config_dir / "edge/haproxy.cfg"),
        "lock": document(state_dir / "lock.json"),
        "now": time.time(),
        "kept": tags.result(),
        "engine_trouble": trouble,
        "containers": {each["Name"].split(f"/{name}-", 1)[-1]: summary(each) for each in containers},
        "python": python.result() if python else None,
        "public": public,
        "forged": forged.result(),
        "metrics": [each.result() for each in metrics],
        "statistics": statistics.result(),
        "balancer": balancer.result(),
        "health": [each.result() for each in health],
        "files": {str(path): permissions(path) for path in watched},
        "secrets": [str(path) for path in secrets],
        "exposed": exposed(secrets, containers),
    }


if __name__ == "__main__":
    print(json.dumps(observe(json.loads(sys.argv[1]))))
