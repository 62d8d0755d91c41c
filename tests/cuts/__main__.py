"""Cut the power of real file systems: `python -m tests.cuts --disk ext4|xfs|btrfs [--cuts N]`; needs root.

Three services and a shipper work on a file system in a file. At a random moment it stops: ext4 and xfs are shut down
without a flush (the call that file systems are tested with), of btrfs the file is copied as it is and the copy goes on.
A copy takes a moment, in which the file system writes on: one with blocks of two moments is none that a power cut
leaves, so the original goes on, with everybody killed, and the cut is counted as one of `copies torn`.
Everybody is killed, the file system is mounted again and recovers, and a shipper delivers what is there, to the local
store on that disk and to a destination elsewhere. A witness elsewhere knows what was logged and which rounds of syncs
were finished. Lost is what was logged before such a round began and is not there; double what has two IDs; invented
what nobody logged; and the account has to add up. Exit status 1 if there is one of these.
"""

import contextlib
import fcntl
import logging
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import orjson

import dashcam
from dashcam.destinations.registry import connect, load_settings, open_store
from dashcam.find.query import Query
from dashcam.record.context import recorder
from dashcam.ship.batch import Limits
from dashcam.ship.inspection.stats import collect_stats
from dashcam.ship.shipper import ship
from dashcam.ship.upkeep import housekeeping

from ..chaos.disk import SIZES_MB, why_not
from ..kills.__main__ import forked
from ..long_runs import command_line, machine, publish

SHUT_DOWN = 0x8004587D  # FS_IOC_SHUTDOWN of ext4 and xfs
WITHOUT_FLUSH = 2
SERVICES = 3
DISK_MB = 1024  # enough for what is logged between all cuts: what waits for room would wait for ever
ROUTES = ("local", "far")

log = dashcam.get_logger("cuts")


class FileSystem:
    """A file system in a file, mounted; `cut` takes its power and mounts what is left."""

    def __init__(self, kind, folder):
        self.kind, self.mount, self._image = kind, folder / "disk", folder / "disk.img"
        self.torn = 0
        self.mount.mkdir()
        with self._image.open("wb") as file:
            file.truncate(DISK_MB << 20)
        _run(f"mkfs.{kind}", "-q", self._image)
        self._mount()

    def _mount(self):
        _run("mount", "-o", "loop", self._image, self.mount)

    def cut(self, kill_all):
        """Stop the file system at once, then everybody, and mount it again."""
        if self.kind == "btrfs":
            copy = self._image.with_suffix(".copy")
            # From the front: the superblock is older than what it leads to, which is not overwritten so soon.
            _run("cp", "--sparse=always", self._image, copy)
            kill_all()
            self.close()
            original = self._image.rename(self._image.with_suffix(".original"))
            copy.rename(self._image)
            if not self._is_whole():
                self.torn += 1
                original.rename(self._image)
        else:
            folder = os.open(self.mount, os.O_RDONLY)
            fcntl.ioctl(folder, SHUT_DOWN, struct.pack("I", WITHOUT_FLUSH))
            os.close(folder)
            kill_all()
            self.close()
        self._mount()

    def _is_whole(self):
        """Return whether each block has its checksum."""
        try:
            self._mount()
        except subprocess.CalledProcessError:
            return False
        try:
            _run("btrfs", "scrub", "start", "-B", self.mount)
        except subprocess.CalledProcessError:
            return False
        finally:
            self.close()
        return True

    def close(self):
        """Unmount."""
        _run("umount", self.mount)


def _run(*command):
    subprocess.run(command, capture_output=True, check=True)


class Far:
    """A destination elsewhere: a file on another disk, one line an event."""

    limits = Limits(events=500, bytes=1_000_000)

    def __init__(self, path):
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def ship(self, batch):
        os.write(self._file, b"".join(event.data + b"\n" for event in batch))

    def close(self):
        """Close the file."""
        os.close(self._file)


class Witness:
    """What was logged, and which rounds of syncs were finished: lines with the time, on another disk."""

    def __init__(self, folder):
        self.path, self.far = folder / "witness", folder / "far"

    def tell(self, what):
        """Tell what happens to the machine."""
        with self.path.open("a") as file:
            file.write(f"{what} - 0\n")

    def serve(self, number):
        """Record without end."""
        told = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        dice, step = random.Random(number), 0
        while True:
            name = f"{number}-{step}"
            step += 1
            os.write(told, f"calling {name} 0\n".encode())
            log.info("step", step=name, filling="x" * dice.choice([0, 10, 300]))
            os.write(told, f"logged {name} {time.monotonic_ns()}\n".encode())
            if step % 5 == 0:
                time.sleep(dice.uniform(0, 0.01))

    def deliver(self, *, is_drain=False):
        """Ship to both; tell of each round that is finished."""
        told = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        whole_round = housekeeping.Housekeeping.round

        def told_round(keeper):
            began_ns = time.monotonic_ns()
            whole_round(keeper)
            if not keeper.troubles:
                os.write(told, f"synced - {began_ns}\n".encode())

        housekeeping.Housekeeping.round = told_round
        recorder.stop()  # it is no service
        logging.disable()
        settings = replace(load_settings(), routes=ROUTES, sync_interval_s=0.3)
        ship(settings, lambda name: connect(name) if name == "local" else Far(self.far), is_drain=is_drain)


def one_cut(disk, witness, first, dice):
    """Work, cut, recover, deliver; return what is wrong with the account."""
    pids = [forked(lambda number=number: witness.serve(number)) for number in range(first, first + SERVICES)]
    pids.append(forked(witness.deliver))

    def kill_all():
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    time.sleep(dice.uniform(0.5, 2.5))
    witness.tell("cut")
    disk.cut(kill_all)
    witness.tell("up")
    if status := os.waitpid(forked(lambda: witness.deliver(is_drain=True)), 0)[1]:
        return [f"the shipper after the cut ended with {status}"]
    stats = collect_stats(disk.mount / "state")
    wrong = [f"{name} waits: {share}" for name, share in stats.routes.items() if share.waiting]
    return wrong + [
        f"{name}: {share} of {stats.recorded}"
        for name, share in stats.routes.items()
        if stats.recorded != share.earlier + share.delivered + share.dead + share.missing
    ]


def judge(witness):
    """Count what became of the events of all cuts."""
    told = [line.split() for line in witness.path.read_text().splitlines()]
    began, certain, waiting, is_up = set(), set(), [], True
    for what, name, at_ns in told:
        if what == "calling":
            began.add(name)
        elif what == "logged":
            waiting.append((name, int(at_ns)))
        elif what == "cut":
            is_up = False
        elif what == "up":
            is_up, waiting = True, []
        elif is_up:
            certain |= {each for each, logged_ns in waiting if logged_ns < int(at_ns)}
            waiting = [(each, logged_ns) for each, logged_ns in waiting if logged_ns >= int(at_ns)]
    far = {}
    for line in witness.far.read_bytes().splitlines():
        event = orjson.loads(line)
        if event["message"] == "step":
            far.setdefault(event["labels"]["step"], set()).add(event["event"]["id"])
    with contextlib.closing(open_store("local", os.environ)) as store:
        local = Counter(event.labels["step"] for event in store.find(Query()) if event.get("message") == "step")
    return {
        "log calls": len(began),
        "synced before a cut": len(certain),
        "lost": len(certain - far.keys()),
        "lost in the local store": len(certain - local.keys()),
        "double": sum(len(ids) > 1 for ids in far.values()) + sum(times > 1 for times in local.values()),
        "invented": len((far.keys() | local.keys()) - began),
    }


def main():
    """Cut so often, and judge; an exit status."""
    parser = command_line("cuts", __doc__)
    parser.add_argument("--disk", choices=list(SIZES_MB), default="ext4", help="the kind of file system (ext4)")
    parser.add_argument("--cuts", type=int, default=10, metavar="N", help="how many (10)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="when they come")
    options = parser.parse_args()
    if reason := why_not(options.disk):
        print(f"{options.disk}: not run, {reason}")
        return 0
    if not os.environ.get("HAS_OWN_MOUNTS"):
        # A container that starts meanwhile has a copy of each mount, which keeps the file system alive behind a cut.
        os.execvpe("unshare", ["unshare", "--mount", *sys.orig_argv], os.environ | {"HAS_OWN_MOUNTS": "yes"})
    wrong, dice, began_s = [], random.Random(options.seed), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="cuts-") as name:
        disk, witness = FileSystem(options.disk, Path(name)), Witness(Path(name))
        os.environ |= {"DASHCAM_DIR": str(disk.mount / "state"), "DASHCAM_CONSOLE": "off", "LOG_BACKEND": "local"}
        dashcam.init("cuts")
        try:
            for number in range(options.cuts):
                wrong += one_cut(disk, witness, number * SERVICES, dice)
            found = judge(witness)
        finally:
            disk.close()
    result = {"disk": options.disk, "cuts": options.cuts, "copies torn": disk.torn}
    result |= found | {"account wrong": len(wrong)}
    result |= {"seconds": round(time.monotonic() - began_s), "machine": machine(), "wrong": wrong}
    publish(result, options.report)
    bad = ("lost", "lost in the local store", "double", "invented", "account wrong")
    return 1 if any(result[each] for each in bad) else 0


if __name__ == "__main__":
    sys.exit(main())
