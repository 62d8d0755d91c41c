"""A pod's programs, in a network and a mount namespace of their own."""

import ctypes
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from dashcam.spool.segment import SUFFIX

ROOT = Path(__file__).parents[2]
SIDECAR = ROOT / "deploy" / "kubernetes" / "components" / "sidecar" / "shipper.yaml"
NEEDED = pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, and unshare of util-linux, for namespaces"
)
_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """Programs with a spool that is a file system of its own or a folder.

    `sleep` takes a tenth of the time there.
    """

    def __init__(self, folder, name, *, host_path=None, size="64m", limit="16MB", **environment):
        self.folder = folder / name
        self.folder.mkdir()
        self.spool = host_path or self.folder / "spool"
        self.spool.mkdir(exist_ok=True)
        self.environment = {
            **os.environ,
            "DASHCAM_DIR": str(self.spool),
            "DASHCAM_SPOOL_LIMIT": limit,
            "DASHCAM_CONSOLE": "off",
            "LOG_BACKEND": "stdout",
            "OTEL_SERVICE_NAME": name,
            "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={name}",
            "PATH": f"{_hurried(folder)}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            **environment,
        }
        mount = "" if host_path else f"mount -t tmpfs -o size={size} tmpfs {shlex.quote(str(self.spool))};"
        script = f"ip link set lo up; {mount} echo ready; exec /bin/sleep infinity"
        command = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-c", script]
        self._holder = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._holder.stdout.readline() == b"ready\n"
        self._started = []

    def start(self, *command, out="ignored"):
        """Start a program in it, in a group of its own."""
        with (self.folder / out).open("ab") as file:
            inside = [*self._enter, *command]
            process = subprocess.Popen(inside, env=self.environment, stdout=file, start_new_session=True)
        self._started.append(process)
        return process

    def run(self, *command):
        """Run a program in it to its end; what it printed."""
        inside = [*self._enter, *command]
        return subprocess.run(inside, env=self.environment, capture_output=True, check=True, timeout=100).stdout

    def ship(self):
        """Start the sidecar, by the command of the manifest."""
        return self.start(*YAML(typ="safe").load(SIDECAR)[0]["value"]["command"], out="log")

    @property
    def _enter(self):
        return ["nsenter", "--target", str(self._holder.pid), "--net", "--mount"]

    def enter(self):
        """Have the calling thread make its connections from now on inside of it."""
        with Path(f"/proc/{self._holder.pid}/ns/net").open() as file:
            if _LIBC.setns(file.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")

    def dropped(self):
        """How many events it says it dropped."""
        command = [*self._enter, "dashcam", "status", "--json"]
        told = subprocess.run(command, env=self.environment, capture_output=True, check=False).stdout
        return sum(json.loads(told)["dropped"].values())

    def spool_bytes(self):
        """What the segments of its spool take."""
        spool = Path(f"/proc/{self._holder.pid}/root{self.spool}")
        return sum(path.stat().st_size for path in spool.rglob(f"*{SUFFIX}") if path.exists())

    @property
    def log(self):
        """What its shipper wrote."""
        return (self.folder / "log").read_bytes()

    def shipped(self):
        """The events of the log; a kill may cut the last line of a shipper."""
        for line in self.log.splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def end(self):
        """End it as an eviction does: whatever is still there goes, the spool of the pod too."""
        for process in self._started:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if self._holder.returncode is None:
            self._holder.kill()
            self._holder.communicate()


def _hurried(folder):
    """A folder with a `sleep`."""
    path = folder / "bin" / "sleep"
    path.parent.mkdir(exist_ok=True)
    path.write_text('#!/bin/sh\nexec /bin/sleep "$(echo "$1" | sed "s/.$/.&/")"\n')
    path.chmod(0o755)
    return path.parent


def command_of(target):
    """The command of an image of ours."""
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    return json.loads(re.search(rf"^FROM service AS {target}\n(?:.+\n)*CMD (.+)", text, re.MULTILINE)[1])


def stop(process):
    """Ask a program to end, and wait until it has."""
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
