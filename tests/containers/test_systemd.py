"""The units of deploy/systemd, started by systemd in a container, by the commands of docs/deployment.md."""

import re

import pytest

from .base_images import ROOT
from .stack import until

pytestmark = [pytest.mark.containers, pytest.mark.long, pytest.mark.timeout(600)]

IMAGE = """
FROM {shipper}
USER root
RUN apt-get update -qq && apt-get install -qq -y --no-install-recommends dbus systemd-sysv
RUN ln -s /app /opt/dashcam && userdel dashcam
WORKDIR /checkout
COPY . deploy/systemd/
ENV container=docker SYSTEMD_PROC_CMDLINE="SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1"
ENTRYPOINT ["sh", "-c", "mount -o remount,rw,bind /sys/fs/cgroup; \\
  for each in /sys/fs/cgroup/*; do ! mountpoint -q $each || mount -o remount,rw,bind $each; done; exec /sbin/init"]
"""
RIGHTS = [word for right in ("SYS_ADMIN", "SYS_PTRACE") for word in ("--cap-add", right)]
UNCONFINED = [word for what in ("seccomp", "apparmor") for word in ("--security-opt", f"{what}=unconfined")]
FOLDERS = [word for folder in ("/run", "/run/lock", "/tmp") for word in ("--tmpfs", folder)]
STEPS = re.search(r"## One machine: systemd.*?```sh\n(.*?)```", (ROOT / "docs/deployment.md").read_text(), re.DOTALL)[1]
JOB = """
import dashcam
with dashcam.job("import"):
    dashcam.get_logger("job").info("imported", rows=3)
"""


class Machine:
    """A container that systemd runs."""

    def __init__(self, engine, name):
        self._engine, self.name = engine, name

    def run(self, *command, check=True, **options):
        """Run a command as root; what it printed."""
        return self._engine.run("exec", "-i", self.name, *command, check=check, **options).stdout.strip()

    def show(self, name):
        """A property of the shipper's unit."""
        return self.run("systemctl", "show", "--value", "--property", name, "dashcam-ship")

    def dashcam(self, *words):
        """Run a command of ours beside the shipper; what it printed."""
        places = ["DASHCAM_DIR=/var/lib/dashcam", "LOG_BACKEND=local"]
        return self.run("env", *places, "/opt/dashcam/bin/dashcam", *words, check=False)


@pytest.fixture
def machine(stack):
    """A machine with the shipper's program where the units want it."""
    name = f"{stack.name}-systemd"
    engine, text = stack.engine, IMAGE.format(shipper=f"{stack.name}-shipper")
    engine.run("build", "--quiet", "--tag", name, "--file", "-", str(ROOT / "deploy/systemd"), input=text)
    engine.run("run", "--detach", "--name", name, "--cgroupns", "private", *RIGHTS, *UNCONFINED, *FOLDERS, name)
    try:
        machine = Machine(engine, name)
        until(lambda: machine.run("systemctl", "is-system-running", check=False) in {"running", "degraded"}, "systemd")
        yield machine
    finally:
        engine.run("rm", "--force", "--volumes", name, check=False)
        engine.run("rmi", "--force", name, check=False)


def test_units_start_go_on_and_stay_stopped(machine):
    """By the page's own commands: confined as they say, after a kill and a hang too, and not against who stops them."""
    steps = "".join(line for line in STEPS.splitlines(keepends=True) if "pip install" not in line)
    machine.run("bash", "-e", input=steps.replace("LOG_BACKEND=loggly", "LOG_BACKEND=local"))
    until(lambda: "local: ships" in machine.dashcam("status", "--health"), "healthy shipper")

    machine.run("useradd", "--system", "shop")
    lines = re.search(r"A service that records joins the group: (.*?)\. ", (ROOT / "docs/deployment.md").read_text())[1]
    settings = [word for line in re.findall("`([^`]+)`", lines) for word in ("--property", line)]
    command = ["systemd-run", "--wait", "--property", "User=shop", "--property", "ProtectSystem=strict", *settings]
    machine.run(*command, "/opt/dashcam/bin/python", "-c", JOB)
    until(lambda: "imported" in machine.dashcam("search", "rows:3"), "what a service recorded")

    machine.run("systemctl", "kill", "--signal", "KILL", "dashcam-ship")
    until(lambda: machine.show("NRestarts") == "1" and machine.show("ActiveState") == "active", "second start")
    hung = machine.show("MainPID")
    machine.run("systemctl", "kill", "--signal", "STOP", "dashcam-ship")
    until(lambda: "local: ships" not in machine.dashcam("status", "--health"), "hung shipper")
    machine.run("systemctl", "start", "dashcam-health")
    assert machine.show("MainPID") != hung
    until(lambda: "local: ships" in machine.dashcam("status", "--health"), "third start")

    machine.run("systemctl", "stop", "dashcam-ship")
    machine.run("systemctl", "start", "dashcam-health")
    found = {name: machine.show(name) for name in ("ActiveState", "Result", "ExecMainStatus")}
    assert found == {"ActiveState": "inactive", "Result": "success", "ExecMainStatus": "0"}
