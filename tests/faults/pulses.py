"""Faults of single pulses in the sequencer: the stimulus campaign (`tests/stimuli`) as one of the list."""

from tests.faults.measured import Measured

RUNS = 50


def inject(seed: int) -> Measured:
    """Fifty runs of the sequencer with a pulse that is missing, late, repeated, stuck or nobody's."""
    from tests.stimuli import faults  # compiled when it is first asked for

    done = faults.run_all(seed * 1000, RUNS)
    return Measured(injected=done.n, pulses=done.n, uncommanded=len(done.wrong), wrong=list(done.wrong))
