"""The network broker: a process on the host's side of a socket that is mounted into one container.

::

    tool -> fetch ──────────────┐
    program -> front (lo:3128) ─┴─▶ /broker/socket ─▶ read ─▶ judge ─▶ pin ─▶ reach ─▶ pass on      (one request each)
                                    the container's   strict   grants   DNS     TLS      limits
                                    whole network

`lease` is the side of the runner: it starts the process for one container and ends it with the call. All else runs in
that process: `server` waits for connections, `conversation` takes one request to its answer through the stations above.
The container speaks plain HTTP/1.1 with absolute URLs; nothing but a granted request ever leaves the broker.
"""
