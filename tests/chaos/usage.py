"""What processes use over the time: memory, descriptors, threads."""

from pathlib import Path

KB = 1024
# Until then the local store's page cache fills: 16 MB, and about as much that the allocator keeps beside its pages.
CACHES_FULL_S = 900.0
CACHES_KB = {"shipper": 32 * KB}


class Usage:
    """Measurements of some processes, by name."""

    def __init__(self, pids):
        self._pids = pids
        self._rows = {name: [] for name in pids}

    def measure(self):
        """Look at all of them now."""
        for name, pid in self._pids.items():
            self._rows[name].append(_usage(pid))

    def report(self, duration_s):
        """Return the first and the last third of each measure at their highest, and what the last may be.

        Where the first third of the run is too short for the caches to fill, they may fill in the last.
        """
        rows, is_short = [], duration_s / 3 < CACHES_FULL_S
        for name, measured in self._rows.items():
            third = max(1, len(measured) // 3)
            for what in measured[0] if measured else ():
                first = max(each[what] for each in measured[:third])
                last = max(each[what] for each in measured[-third:])
                # A tenth and a little more: pages that an allocator keeps, a descriptor of a moment.
                allowed = round(first * 1.1) + {"memory kB": 4 * KB, "descriptors": 8, "threads": 2}[what]
                if what == "memory kB" and is_short:
                    allowed += CACHES_KB.get(name, 0)
                rows.append({"process": name, "what": what, "first": first, "last": last, "allowed": allowed})
        return rows


def _usage(pid):
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {
        # What is the process's own: pages of mapped segments are the kernel's.
        "memory kB": int(status["RssAnon"].split()[0]),
        "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
        "threads": int(status["Threads"]),
    }
