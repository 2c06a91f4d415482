"""One request's answer, given when the last of what it started is done."""

from collections.abc import Callable
from typing import Any

from hostd.control import error_reply, ok_reply


class Outcome:
    """Answers a request when the last of its `actions` is done: ok with `result`, or the first error."""

    def __init__(self, actions: int, request_id: Any, answer: Callable[[dict[str, Any]], None]) -> None:
        self._open = actions + 1
        self._id, self._answer = request_id, answer
        self._error: tuple[Any, str] | None = None
        self.result: dict[str, Any] = {}

    def begun(self) -> None:
        """All actions are under way."""
        self.one(None)

    def one(self, error: tuple[Any, str] | None) -> None:
        """One action is done."""
        self._error = self._error or error
        self._open -= 1
        if self._open == 0:
            answer = error_reply(self._id, *self._error) if self._error else ok_reply(self._id, self.result)
            self._answer(answer)
