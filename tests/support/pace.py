"""Real time that passes only when a source waits for it."""

import threading


class PacedTime:
    """Stands in for a module's `time`; a `stop` event made here lets its waits pass at once."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def stop_event(self) -> threading.Event:
        """An event whose waits take no time but are counted."""
        passed = self

        class Stop(threading.Event):
            def wait(self, timeout: float | None = None) -> bool:
                assert timeout is not None
                passed.now_ns += round(timeout * 1e9)
                return self.is_set()

        return Stop()
