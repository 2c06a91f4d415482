"""How soon a host that was killed is followed by one that serves its case, and its stimulation ends.

Real processes in real time: an edge, a keeper, the host that it forked, killed (SIGKILL) at random moments
while two tests stimulate. From the kill to the first message of the next host; the last pulse by the samples.
"""

from tests.faults.measured import Measured, percentile
from tests.faults.processes import host_killed, run

BOXES, KILLS = 10, 2


def measure() -> dict[str, float]:
    """Of `n` deaths: recovery in s, `p50` and `worst`; the last pulse in ms (`stop`); `lost` s of samples."""
    whole = Measured()
    for seed in range(BOXES):
        whole.add(run(seed, host_killed, KILLS))
    recovery_s = whole.recovery_s
    return {
        "n": float(len(recovery_s)),
        "p50": percentile(recovery_s, 0.5),
        "worst": max(recovery_s),
        "stop": max(whole.stops_ms),
        "lost": whole.lost_s,
        "wrong": float(len(whole.wrong) + whole.uncommanded + whole.uncounted + whole.unopened),
    }
