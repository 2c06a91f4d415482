"""Free ports for tests that start real servers."""

import random
import socket


def free_block(n: int) -> int:
    """First of `n` consecutive TCP ports on loopback that are free now."""
    while True:
        first = random.randrange(20000, 32000)
        held = []
        try:
            for port in range(first, first + n):
                s = socket.socket()
                held.append(s)
                s.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for s in held:
                s.close()


def free_bus() -> str:
    """A --bus whose four ports are free."""
    return f"tcp://127.0.0.1:{free_block(4)}"
