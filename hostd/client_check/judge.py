"""What a client shows, held against what it is to show. Knows no steps."""

from collections.abc import Callable
from dataclasses import dataclass

from hostd.client_check.report import Report
from hostd.client_check.script import Shown
from hostd.client_check.stage import Stage

SETTLE_S = 4.0
"""So long a client has to show what it was told."""
GONE_S = 2.0
FEW = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """Of one step; `ok` None: it was left out."""

    name: str
    ok: bool | None
    text: str

    @property
    def line(self) -> str:
        """As it is printed."""
        return f"{'SKIP' if self.ok is None else 'PASS' if self.ok else 'FAIL'}  {self.name}: {self.text}"


class Judge:
    """Of one client on a `stage`; `gone` tells why the client is there no longer, or ""."""

    def __init__(self, stage: Stage, gone: Callable[[], str] = lambda: "") -> None:
        self._stage, self._gone = stage, gone
        self._family, self._tests = "average", True
        self._before = ""

    def _lost(self) -> str:
        """Why the client cannot be asked any more; "" while it reports."""
        seen = self._stage.reports
        if self._stage.until(lambda: self._stage.reports > seen or bool(self._gone()), GONE_S):
            return self._gone()
        return self._stage.wrong or "its reports have stopped"

    def _topic(self, name: str) -> str:
        return f"{self._family}.check_{name}" if self._tests else self._family

    def _shows(self, wanted: list[str], seconds: float = SETTLE_S) -> str:
        """Serve until the client shows what it is to show of `wanted`; else what it shows instead."""
        stage, since = self._stage, self._stage.reports

        def right() -> bool:
            fresh = stage.report is not None and stage.reports > since
            return bool(self._gone()) or (fresh and not self._differs(wanted))

        if stage.until(right, seconds) and not self._gone():
            return ""
        return self._differs(wanted) or self._gone()

    def _differs(self, wanted: list[str]) -> str:
        report = self._stage.report
        if report is None:
            return "no report"
        wrong = [
            told
            for topic in wanted
            if report.reads(topic) and (told := _differs(topic, self._stage.truth[topic], report))
        ]
        more = f" (and {len(wrong) - FEW} more)" if len(wrong) > FEW else ""
        return "; ".join(wrong[:FEW]) + more

    def _settle(self) -> None:
        """Wait for two reports more."""
        seen = self._stage.reports
        self._stage.until(lambda: self._stage.reports >= seen + 2 or bool(self._gone()), SETTLE_S)


def _differs(topic: str, right: Shown, report: Report) -> str:
    """What is wrong with what the client shows of `topic`."""
    if topic not in report.latest:
        return f"{topic}: nothing is shown, right is seq {right.seq}"
    seq, digest = report.latest[topic]
    if seq != right.seq:
        return f"{topic}: seq {seq} is shown, right is {right.seq}"
    if not right.is_(seq, digest):
        return f"{topic}: the digest of seq {seq} is {digest:.9g}, right is {right.digest:.9g}"
    return ""
