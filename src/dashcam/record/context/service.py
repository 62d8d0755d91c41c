"""The service that a process records, as every event of it has it."""

import os
import platform
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dashcam.event import ECS_VERSION
from dashcam.settings import service_identity
from dashcam.version import __version__


@dataclass(frozen=True, slots=True)
class Service:
    """The service that records, as `service.*` of every event has it."""

    name: str
    version: str
    environment: str
    node: str

    @classmethod
    def of_process(cls, name: str = "", version: str = "") -> "Service":
        """The service as OpenTelemetry's variables name it, else as given, else as the program that runs."""
        known = service_identity()
        fallback = name or Path(sys.argv[0]).stem or "python"
        named = known.get("name", fallback), known.get("version", version), known.get("environment", "")
        # The environment may hold bytes that are no UTF-8; a line may not.
        return cls(*(text.encode("utf-8", "replace").decode() for text in (*named, known.get("node", "localhost"))))


def common_fields(service: Service) -> dict[str, Any]:
    """Return the fields that all events of this process share."""
    named = {"name": service.name, "version": service.version, "environment": service.environment}
    return {
        "ecs.version": ECS_VERSION,
        "service": {name: value for name, value in named.items() if value} | {"node": {"name": service.node}},
        "process": {"pid": os.getpid()},
        "host": {"name": platform.node() or "localhost"},
        "agent": {"name": "dashcam", "version": __version__},
    }
