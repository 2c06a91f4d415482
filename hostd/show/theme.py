"""What style names look like: one table. No state is said by its colour alone; these only help the eye.

Alarm colours after IEC 60601-1-8: high red, medium yellow, low cyan.
"""

BACKGROUND = "#0b0f13"
STYLES = {
    "": "#c9d3dc",
    "dim": "#7d8a97",
    "faint": "#46525e",
    "strong": "bold #ffffff",
    "title": "bold #e8eef4",
    "bar": "#c9d3dc on #18212a",
    "bar dim": "#8a97a4 on #18212a",
    "bar strong": "bold #ffffff on #18212a",
    "bar good": "bold #6fd08c on #18212a",
    "bar warn": "bold #ffd75f on #18212a",
    "bar bad": "bold #ffffff on #c41e3a",
    "bar lost": "bold #ff6b6b on #18212a",
    "bar high": "bold #ff8a9a on #18212a",
    "bar medium": "bold #ffd23f on #18212a",
    "bar low": "#5fd7e6 on #18212a",
    "bar info": "#a9b6c2 on #18212a",
    "key": "bold #0b0f13 on #8fa3b5",
    "chosen": "bold #0b0f13 on #7cc4ff",
    "good": "#6fd08c",
    "warn": "#ffd75f",
    "bad": "bold #ff6b6b",
    "trace": "#7cc4ff",
    "answer": "#3f7fb5",
    "baseline": "#b3924a",
    "stim": "#5b6875",
    "axis": "#5b6875",
    "zero": "#2a343d",
    "peak": "bold #ffe9a8",
    "wave": "#7fd6c2",
    "course": "#7cc4ff",
    "range": "#2f5575",
    "mark": "#b58ad6",
    "high": "bold #ffffff on #c41e3a",
    "high off": "bold #ff8a9a on #3a0d15",
    "medium": "bold #14110a on #ffd23f",
    "medium off": "bold #ffd23f on #3a3010",
    "low": "bold #06181b on #5fd7e6",
    "info": "#c9d3dc on #26323d",
    "fault": "bold #14110a on #ffd23f",
    "high text": "bold #ff8a9a",
    "medium text": "bold #ffd23f",
    "low text": "#5fd7e6",
    "info text": "#a9b6c2",
    "silence": "bold #ffffff on #c41e3a",
    "grey": "#6b7681",
}
# Density of the EEG, weak to strong: dark blue over green to yellow, each step brighter than the one before.
DENSITY = ("#0d1330", "#17306b", "#1d5a8a", "#1f8a8a", "#4bb36b", "#a5cf4f", "#f2e35a", "#fff7c2")
GREY_KEPT = ("silence", "key", "bar bad")
"""Styles that stay as they are while nothing is live."""


def look(style: str) -> str:
    """The colours of a style. A density is `dsa LOWER UPPER`, two steps in one cell."""
    if style.startswith("dsa "):
        _, lower, upper = style.split()
        return f"{DENSITY[int(lower)]} on {DENSITY[int(upper)]}"
    return STYLES.get(style, STYLES[""])
