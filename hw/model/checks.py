"""What the records of a scenario refuse: one line that says what is wrong and what would be right."""


def number(owner: str, name: str, value: object, low: float, high: float) -> None:
    """Raise ValueError unless `value` is a finite number within `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{owner}: {name} = {value!r} is not a number; write it as for example {name} = 1.0")
    if not low <= value <= high:  # nan neither
        raise ValueError(f"{owner}: {name} = {value} is impossible; give {low:g} to {high:g}")


def choice(owner: str, name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raise ValueError unless `value` is one of `allowed`."""
    if value not in allowed:
        raise ValueError(f"{owner}: {name} = {value!r} is unknown; use one of: {', '.join(allowed)}")
