"""The limits of stimulation as tables, from `hw.limits` and nowhere else."""

from hw import limits

UNITS = {
    "current_ma": "mA",
    "width_us": "us",
    "charge_uc": "uC",
    "energy_mj": "mJ",
    "density_uc_cm2": "uC/cm2",
    "train_density_uc_cm2": "uC/cm2, single stimuli on demand",
    "rate_hz": "stimuli a second",
    "pulses": "pulses of one stimulus",
    "interval_ms": "ms between pulses, at least",
    "rest_s": "s from the end of a train, at least",
    "minute_pulses": "pulses of a line in a minute",
    "case_pulses": "pulses of a line in a case",
    "case_charge_mc": "mC of a line in a case",
    "case_energy_j": "J of a line in a case",
}
TIMES = (
    ("MIN_HOLD_SAMPLES", "samples that a pulse is held, at least"),
    ("MAX_HOLD_S", "s that a pulse is held, at most"),
    ("MIN_SPACING_S", "s between pulses of any two plans, at least"),
    ("RETURN_WITHIN_SAMPLES", "samples within which an edge must come back"),
    ("HEARTBEAT_EVERY_S", "s between words of the host"),
    ("HEARTBEAT_TIMEOUT_S", "s of silence of the host that end stimulation"),
    ("ARM_S", "s that a test stays armed unused"),
    ("SHOT_WAIT_S", "s that a single stimulus waits for others, at most"),
    ("ELECTRODE_CHECK_S", "s that a measurement of electrodes counts"),
    ("MOST_GUARD_S", "s of lockout behind a stimulus, at most"),
    ("LOAD_OHM", "ohm that energy is reckoned into"),
)


def by_kind() -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Columns and rows: a figure each row, a kind of stimulation each column."""
    rows = [
        (f"{figure} ({UNITS[figure]})", *(_figure(figure, getattr(c, figure)) for c in limits.CEILINGS))
        for figure in limits.FIGURES
    ]
    return ("limit", *limits.KINDS), tuple(rows)


def times() -> tuple[tuple[str, str], ...]:
    """What does not hang on the kind."""
    return tuple((words, f"{getattr(limits, name):g}") for name, words in TIMES)


def _figure(name: str, value: float) -> str:
    """0 in a density stands for no limit of its own, in other figures of charge for no current at all."""
    return "none of its own" if "density" in name and value == 0 else f"{value:g}"
