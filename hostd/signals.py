"""How our processes are told to stop: signals, and the end of a supervisor's pipe."""

import os
import signal
import sys
import threading


def stop_event(supervised: bool) -> threading.Event:
    """An event set by SIGINT or SIGTERM, and for a supervised process when its supervisor is gone.

    A supervised process leaves Ctrl-C to its supervisor, which stops everything in order.
    """
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # what came before comes now
    if supervised:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        threading.Thread(target=_until_eof, args=(stop,), name="supervisor", daemon=True).start()
    else:
        signal.signal(signal.SIGINT, lambda *_: stop.set())
    return stop


def _until_eof(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 1):  # unbuffered: a buffer's lock would outlive the thread
        pass
    stop.set()
