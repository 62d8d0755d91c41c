"""The machine below the spool and the shipper: its clocks, its chance, its threads, its signals, its connections.

`spool` and `ship` take these from here by name, as `machine.monotonic()`, and from nowhere else; so do destinations
that wait for an answer. So there is one place where the simulation (`tests/simulation`) puts a machine of its own, on
which time passes only while everybody waits, threads take turns in one, and all chance comes from a seed. Files need no
names here: whatever is changed on a disk comes down to a function of `os`, also where `pathlib` does it.
"""

from concurrent.futures import ThreadPoolExecutor, wait
from random import uniform
from secrets import token_hex
from signal import signal
from socket import create_connection
from threading import Event, Lock, RLock, Thread
from time import monotonic, sleep, time_ns

__all__ = [
    "Event",
    "Lock",
    "RLock",
    "Thread",
    "ThreadPoolExecutor",
    "create_connection",
    "monotonic",
    "signal",
    "sleep",
    "time_ns",
    "token_hex",
    "uniform",
    "wait",
]
