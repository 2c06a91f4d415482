"""A moment of a case as people read it: minutes and seconds of its samples since the first. Pure."""


def case_clock(seconds: float) -> str:
    """ "04:02", from an hour on "1:04:02"."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
