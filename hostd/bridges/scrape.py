"""`evokd bridge prometheus`: `/metrics` of one box by HTTP, a bus client in its own process.

Serves from the start, with `evokd_up` 0 until a box answers. Two threads: this one hears the bus, the other
answers Prometheus. Plain HTTP without a password: nothing in it is a patient's, but it tells alerts.
"""

import os
import sys
import threading

from prometheus_client import CollectorRegistry, start_http_server

from hostd.bridges.metrics import TOPICS, Metrics
from hostd.client import Joined
from hostd.endpoints import parse_bus, parse_http
from hostd.errors import BusError
from hostd.keys import Secret

RECEIVE_MS = 200
JOIN_MS = 1000


def serve(bus: str, http: str, stop: threading.Event, key: Secret | None = None) -> None:
    """Serve until `stop`; the daemon may come, go and come back. Raises UsageError for a malformed address,
    BusError when the port cannot be had."""
    parse_bus(bus)
    host, port = parse_http(http)
    metrics, registry = Metrics(), CollectorRegistry()
    registry.register(metrics)
    try:
        server, thread = start_http_server(port, host, registry)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise BusError(f"--http {http}: {why}; stop the program that uses it or choose another") from None
    _say(f"http://{host}:{server.server_port}/metrics, of {bus}")
    try:
        hear(bus, metrics, stop, key)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def hear(bus: str, metrics: Metrics, stop: threading.Event, key: Secret | None = None) -> None:
    """Feed `metrics` from the bus until `stop`, waiting for it where it is not there."""
    told = ""
    with Joined(bus, TOPICS, key=key, answer_ms=JOIN_MS) as joined:
        while not stop.is_set():
            try:
                for message in joined.receive(RECEIVE_MS):
                    metrics.accept(message)
            except BusError as error:
                if str(error) != told:
                    told = str(error)
                    _say(f"waiting for the box: {told}")


def _say(text: str) -> None:
    sys.stderr.write(f"evokd bridge prometheus: {text}\n")
    sys.stderr.flush()
