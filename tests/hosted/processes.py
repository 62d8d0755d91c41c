"""Real processes: a service that records at a pace, shippers that come and go."""

import json
import os
import re
import signal

from .. import prepared
from ..processes import until

NUMBER = re.compile(rb'"number":(\d+)')


def numbers_in(lines):
    """The numbers of a recorder's events in JSON lines, as often as they come."""
    return [int(number) for line in lines for number in NUMBER.findall(line)]


class Stage:
    """One machine: a `DASHCAM_DIR`, whoever records in it, and the shipper of the moment."""

    def __init__(self, folder, environment):
        self.folder = folder
        self.environment = os.environ | environment | {"DASHCAM_DIR": str(folder), "OTEL_SERVICE_NAME": "recorder"}
        self.shipper = None
        self.recorder = None
        self.output = folder / "stdout.jsonl"

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_):
        for process in (self.recorder, self.shipper):
            if process and process.poll() is None:
                process.kill()
                process.wait()

    def record(self, events, per_s):
        """Start a service that logs numbered events at a pace."""
        command = ["-m", "tests.hosted.recorder", str(events), str(per_s)]
        self.recorder = prepared.start(command, self.environment)

    def start_shipper(self, routes):
        """Start a shipper for these routes; its standard output is added to a file."""
        with self.output.open("ab") as output, (self.folder / "shipper.log").open("ab") as log:
            environment = self.environment | {"LOG_BACKEND": routes}
            self.shipper = prepared.start(["-m", "dashcam", "ship"], environment, stdout=output, stderr=log)

        said = self.log().count("ships to")
        until(lambda: self.log().count("ships to") > said or self.shipper.poll() is not None, "shipper at work")

    def stop_shipper(self):
        """End it as a platform does; it has 15 s."""
        self.shipper.send_signal(signal.SIGTERM)
        assert self.shipper.wait(timeout=20) == 0

    def kill_shipper(self):
        """End it as a crash does."""
        self.shipper.kill()
        self.shipper.wait()

    def drain(self, routes):
        """Have a shipper send what waits."""
        command, environment = ["-m", "dashcam", "ship", "--drain"], self.environment | {"LOG_BACKEND": routes}
        with self.output.open("ab") as output, prepared.start(command, environment, stdout=output) as shipper:
            assert shipper.wait(120) == 0

    def status(self):
        """The account of the spool."""
        return json.loads(prepared.run(["-m", "dashcam", "status", "--json"], self.environment, 100).stdout)

    def log(self):
        """What the shippers said."""
        return (self.folder / "shipper.log").read_text()

    def printed(self):
        """The numbers of the events on the shippers' standard output."""
        return numbers_in(self.output.read_bytes().splitlines())
