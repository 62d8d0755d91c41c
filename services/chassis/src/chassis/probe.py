"""Ask a service on this machine for its health: `python -m chassis.probe /readyz`, for a container's health check."""

import http.client
import os
import sys

TIMEOUT_S = 3.0


def ask(path: str, port: int) -> tuple[bool, str]:
    """Return whether a service on loopback answers with 200, and its answer."""
    service = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        service.request("GET", path)
        answer = service.getresponse()
        return answer.status == 200, answer.read(10_000).decode("utf-8", "replace").strip()
    except (OSError, http.client.HTTPException) as fault:
        return False, f"no answer on port {port}: {fault}"
    finally:
        service.close()


if __name__ == "__main__":
    is_healthy, text = ask(sys.argv[1], int(os.environ.get("PORT", "8000")))
    print(text)  # noqa: T201 - Docker keeps it with the check's result
    sys.exit(not is_healthy)
