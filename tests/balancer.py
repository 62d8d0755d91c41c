"""One address for several servers, as a load balancer for TCP gives them, or a Service of Kubernetes."""

import itertools
import socket
import socketserver
import threading
from contextlib import contextmanager, suppress


class Balancer(socketserver.ThreadingTCPServer):
    """Passes each connection on to the next server that accepts it."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, ports):
        self._ports, self._connections = ports, itertools.count()
        super().__init__(("127.0.0.1", 0), None)

    def finish_request(self, client, _):
        ports = self._ports()
        turn = next(self._connections) % len(ports)
        for port in ports[turn:] + ports[:turn]:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as server:
                back = threading.Thread(target=pump, args=(server, client), daemon=True)
                back.start()
                pump(client, server)
                back.join()
                return


def pump(source, target):
    """Pass on bytes until one of the two ends."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def balanced(ports):
    """Give the address that stands for the servers; `ports` is asked at each connection where they listen."""
    with Balancer(ports) as balancer:
        threading.Thread(target=balancer.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{balancer.server_address[1]}"
        finally:
            balancer.shutdown()
