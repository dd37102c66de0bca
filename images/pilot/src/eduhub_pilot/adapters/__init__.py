"""What touches the host: engine, HAProxy, HTTP, files, clock, cgroups; and `Host`, all of them together."""
