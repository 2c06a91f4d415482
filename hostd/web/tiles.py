"""One tile of the wall per box: how much it needs somebody to look, and why. Pure.

The order is the need: an alert first, by priority and whether anybody has acknowledged it, then a box that
is not heard, then the longest time without a good response. Refuses to call anything good that is old: a tile
of a silent box says how long, whatever it said last.
"""

from collections.abc import Mapping
from typing import Any

from hostd.web.board import Board
from hostd.web.history import leading_peak

SILENT_MS = 3000.0
PRIORITIES = ("high", "medium", "low", "info")
_NEED = {"high": 0, "medium": 1, "low": 4, "info": 5}


def tile(name: str, board: Board, age_ms: float | None) -> dict[str, Any]:
    """What the wall shows of a box whose bus has been silent for `age_ms` (None: never heard)."""
    status = _header(board, "status")
    now_ns = max((_t_ns(message.header) for message in board.latest.values()), default=0)
    alerts = [m.header for m in board.alerts if m.header.get("state") != "cleared"]
    alerts.sort(key=lambda one: (_rank(one), one.get("state") == "acknowledged", -_t_ns(one)))
    good = _since_good(board, status, now_ns)
    return {
        "box": name,
        "age_ms": age_ms,
        "silent": age_ms is None or age_ms > SILENT_MS,
        "case": status.get("case"),
        "name": status.get("name"),
        "state": status.get("state"),
        "phase": _header(board, "case").get("phase"),
        "critical": _header(board, "case").get("critical") is True,
        "running_s": _ratio(status.get("samples"), status.get("rate_hz")),
        "lost_samples": status.get("lost_samples"),
        "recording": _of(status.get("recording")).get("state"),
        "faults": _texts(status.get("faults")),
        "tests": good,
        "alerts": [_alert(one, now_ns) for one in alerts[:3]],
        "open_alerts": len(alerts),
        "worst_s": max((one["since_s"] for one in good if one["since_s"] is not None), default=None),
    }


def order(tiles: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Worst first; boxes that are alike keep the order in which they were named."""
    return sorted(tiles, key=_need)


def _need(one: Mapping[str, Any]) -> tuple[float, ...]:
    alert = one["alerts"][0] if one["alerts"] else None
    rank = 9.0
    if alert is not None:
        rank = _NEED.get(alert["priority"], 5) + (0.5 if alert["state"] == "acknowledged" else 0.0)
    if one["silent"]:  # nobody knows what happens there; once its case is closed nothing does
        rank = min(rank, 8.0 if one["state"] in ("closed", None) else 2.0)
    if one["critical"]:
        rank = min(rank, 3.0)
    return rank, -(one["worst_s"] or 0.0)


def _since_good(board: Board, status: Mapping[str, Any], now_ns: int) -> list[dict[str, Any]]:
    """Every test that responses come from: what its leading one is now, and since when it was last seen."""
    tests = []
    for topic, message in board.latest.items():
        family, _, test = topic.partition(".")
        if family != "measure":
            continue
        header = message.header
        peak = leading_peak(header)
        seen_ns = board.good_ns.get(test)
        tests.append(
            {
                "test": test,
                "peak": peak.get("name"),
                "present": peak.get("present") is True,
                "latency_ms": peak.get("latency_ms"),
                "change_pct": peak.get("change_pct"),
                "had_baseline": peak.get("baseline_amplitude_uv") is not None,
                "state": _of(status.get("tests")).get(test),
                "since_s": None if seen_ns is None else max(0.0, (now_ns - seen_ns) / 1e9),
            }
        )
    return tests


def _alert(header: Mapping[str, Any], now_ns: int) -> dict[str, Any]:
    told = {key: header.get(key) for key in ("id", "test", "kind", "priority", "state", "cause", "text")}
    return told | {"utc_ns": header.get("utc_ns"), "since_s": max(0.0, (now_ns - _t_ns(header)) / 1e9)}


def _rank(header: Mapping[str, Any]) -> int:
    priority = header.get("priority")
    return PRIORITIES.index(priority) if priority in PRIORITIES else len(PRIORITIES)


def _header(board: Board, topic: str) -> Mapping[str, Any]:
    message = board.latest.get(topic)
    return {} if message is None else message.header


def _t_ns(header: Mapping[str, Any]) -> int:
    t_ns = header.get("t_ns")
    return t_ns if isinstance(t_ns, int) else 0


def _of(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    return [one for one in _list(value) if isinstance(one, str)][:3]


def _ratio(count: Any, rate: Any) -> float | None:
    if isinstance(count, int | float) and isinstance(rate, int | float) and rate > 0:
        return float(count / rate)
    return None
