"""The load generator of the tests and the bench: open arrivals, and an exact account of every failure.

A late answer never delays the next arrival. Nothing is sent twice: a kept-alive connection that breaks under a
request is a failure like any other. As a program it puts load on a stack from outside, this machine's or, with
`--anywhere`, a public address: `.venv/bin/python -m tests.load --help`, from the checkout.

`client` sends one request and names how it ended; `arrivals` keeps to the times; `streams` are the program's load,
`tally` its account, `audit` its count of documents; `timetable` and `users` are the bench's mixed scenario.

Streams, each with a kind of its own:

- `light`     steady arrivals on cheap paths, every second one on a new connection; the gap is measured on it
- `page`      steady arrivals on real pages, likewise
- `post`      steady arrivals, each makes one document with an id of its own; one that would meet another
              still in flight is skipped and counted, since two writes at once are more than Plone bears
- `slow`      one after the other: a request whose body takes --slow-seconds (5) to send
- `download`  one after the other: a file read so that it lasts --download-seconds (10), its bytes checked

The result (`--out`), seconds and milliseconds of wall time, times in seconds since 1970 (UTC) unless text:

    schema                  1
    exit, message, changed  exit code (1 when anything failed or the audit found something), a summary, and whether
                            documents were made
    url, run, seed          what was called; the word in the titles of this run's documents; order of pages
    started                 RFC 3339, UTC
    seconds                 from the first arrival to the last
    stopped_by              "time" | "file" | "signal"
    rate                    arrivals of `light` a second
    requests                requests that ended: ok + failed
    failed                  of those
    unfinished              requests given up at the end; neither good nor bad
    skipped_posts           arrivals of `post` that met another still in flight
    failures                {class: count}, all classes, zeros too:
        connect             no connection
        reset               the connection ended before the head of an answer; also a kept-alive one that was dead
        truncated           the body broke off, or has no stated length, so that its end is unknown
        timeout             no complete answer within --timeout, what is slow on purpose left out
        5xx                 an answer 500 to 599
        wrong_status        any other than the expected one
        wrong_body          other content than before the load began, or no HTTP
        not_sent            too many requests in flight: the load generator, or its target, is overloaded
    kinds                   {kind: {"ok", "failed", "failures": {class: count above 0}}}
    connections             {"new" | "reused": the same}
    examples                the first 20 failures, as events with "detail"
    longest_gap_seconds     between two successful completions of `light` in a row, start and end of the load included
    longest_gap_at          when that gap began
    slowest                 the event of the slowest good answer to a light or page request, or null
    latency_ms              {slot: {kind: {"count", "p50", "p90", "p99", "max"}}}, from the scheduled arrival to the
                            last byte, good answers only, quantiles within 2%
    timeline                which slot answered `light`, by the time the requests were sent:
                            [{"slot", "release", "python", "first", "last", "answers"}], a new entry at every change
    answered_by             {slot: {"release", "python", "first", "last", "answers"}} over all kinds, last release seen
    lag_ms                  how late the load generator itself was at most
    downloads_completed     whole and right
    posts                   [[id, outcome]]: "created", "failed" (perhaps made all the same), "not_sent"
    audit                   {"missing", "duplicate", "unexpected": [id]} or {"error": text}; null without posts

An event (`--events`), one JSON line each as it ended: sent (when its head was written, or when it was due if it never
was), kind, connection ("new" | "reused"), status, slot, release, python, ms (from the scheduled arrival), error (class
or null). `slot`, `release` and `python` are null where the answer did not come from a slot.
"""
