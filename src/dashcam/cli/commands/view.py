"""Show requests, searches and stories in a browser, over the store of LOG_BACKEND, until Ctrl-C.

It prints its address, and listens on this machine only unless --host says otherwise: everybody who reaches the address
can read every event.
"""

import argparse
import sys

from dashcam.cli import OK
from dashcam.cli.quantities import port
from dashcam.destinations.registry import load_settings, open_store
from dashcam.errors import StoreUnreachable

PORT = 7411

OWN_ADDRESSES = frozenset({"127.0.0.1", "localhost", "::1"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=port, default=PORT, help=f"the port, 0 for a free one ({PORT})")
    parser.add_argument("--json", action="store_true", help="print the address as one JSON object")


def run(arguments: argparse.Namespace) -> int:
    """Serve the pages; a store that cannot be reached shows on them and stops nothing."""
    from contextlib import suppress
    from functools import partial

    from dashcam.find.language import parse
    from dashcam.find.related import find_related_events
    from dashcam.record.masking.mask import mask_event
    from dashcam.show.web.app import create_app, serve
    from dashcam.show.web.finder import Finder

    settings = load_settings()
    finder = Finder(partial(open_store, settings.routes[0]), parse, find_related_events, mask_event)
    with suppress(StoreUnreachable), finder.open():
        pass  # a route without a store is an error now, not on a page
    app = create_app(finder, hosts=OWN_ADDRESSES if arguments.host in OWN_ADDRESSES else frozenset())
    server = serve(app, arguments.host, arguments.port)
    try:
        if arguments.host not in OWN_ADDRESSES:
            print("dashcam: everybody who can reach this address can read every event", file=sys.stderr)
        host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        url = f"http://{host}:{server.port}/"
        said = f"{url} shows what {settings.routes[0]} keeps; Ctrl-C ends it"
        print(f'{{"url":"{url}"}}' if arguments.json else said, flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        return OK
    finally:
        server.server_close()
    return OK
