"""The result in words, for people."""

from __future__ import annotations

from typing import Any


def message(result: dict[str, Any]) -> str:
    """Return the result in one sentence or two."""
    failed = ", ".join(f"{count} {name}" for name, count in result["failures"].items() if count)
    words = f"{result['failed']} of {result['requests']} requests failed" + (f" ({failed})" if failed else "")
    return f"{words}; the longest gap was {result['longest_gap_seconds']:.3f} s.{_audited(result['audit'])}"


def _audited(audit: dict[str, Any] | None) -> str:
    if audit is None:
        return ""
    if "error" in audit:
        return f" The documents could not be counted: {audit['error']}."
    wrong = ", ".join(f"{len(names)} {what}" for what, names in audit.items() if names)
    return f" Documents: {wrong}." if wrong else " Every POST made exactly one document."


def table(result: dict[str, Any]) -> str:
    """Return some lines: who answered when, how fast, and the first failures."""
    lines = [f"load: {result['message']}"]
    for entry in result["timeline"]:
        who = f"{entry['slot']} {entry['release'] or ''} python {entry['python'] or '?'}"
        lines.append(f"  {entry['last'] - entry['first']:8.1f} s  {entry['answers']:6} light answers  {who}")
    for slot, kinds in result["latency_ms"].items():
        for kind, at in kinds.items():
            quantiles = "  ".join(f"{name} {at[name]:.1f}" for name in ("p50", "p90", "p99", "max"))
            lines.append(f"  {slot:6} {kind:9} {at['count']:6}  {quantiles} ms")
    lines += [f"  failed: {each['kind']} {each['error']} {each['detail']}" for each in result["examples"]]
    return "\n".join(lines)
