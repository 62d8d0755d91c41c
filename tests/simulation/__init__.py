"""A machine in one thread: services, a shipper and an operator on it, and everything that can happen to them.

The product runs as it is: `Writer`, `ship()`, `DeadLetters.replay()`, `collect_stats()` and the local store. What it
stands on is simulated, and drawn from a seed:

`machine`  takes the place of `dashcam.machine`: a clock that moves only while all threads wait, threads that are
           greenlets and take turns, locks, signals, random numbers. An hour passes in a second or two.
`disk`     stands before `os`: real files in memory, of which each call can fail or be the last. A power cut leaves
           each page of 4 KiB on its own as it was synced or as it is, and of the names only what is in order.
`store`    does the same below SQLite, at its own table of functions.
`backends` are destinations that are down, slow, hanging, strict, that take a part, or lose the answer.
`network`  has the real clients of Elasticsearch, Loggly and the forward protocol, over connections in memory that are
           refused, cut or silent, to servers that answer in pieces, late, with a part, or with something else.
`points`   has the named points at which a process is killed, the power is cut or a call fails, and the states that
           have to be reached.
`world`    lets it happen: services start, record and end; a supervisor starts the shipper; an operator stops it,
           switches its destinations, replays letters, starts a second one; fate does the rest. Then all is well.
`oracle`   sees both ends, and holds three sentences: conservation, no invention, liveness.

A run that fails prints its seed; `seeds/` keeps it, and the tests replay it for ever:

    python -m tests.simulation --seeds 1000            # from 0; `--from N`, `--report FILE`
    python -m tests.simulation --from 4711 --trace     # one run, step by step

The same seed gives the same run. Sets are ordered by hashes of names, so the command runs under `PYTHONHASHSEED=0`.
"""
