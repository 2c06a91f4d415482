"""Attribution: each cause is told by the pattern that it leaves, and none where the sites bear none."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.attribution import CAUSES, CERTAIN, Site, Suspect, attribute

LIMBS = [("arm", "left"), ("arm", "right"), ("leg", "left"), ("leg", "right")]


def sensory(error: float = 0.15, **ratios: float) -> list[Site]:
    """Four limbs' cortical responses; `left_leg=0.3` has fallen to that."""
    return [
        Site(f"{side}_{limb} cortex", "sensory", limb, side, ratios.get(f"{side}_{limb}", 1.0), error)
        for limb, side in LIMBS
    ]


def motor(error: float = 0.25, **ratios: float) -> list[Site]:
    return [
        Site(f"{side}_{limb} muscle", "motor", limb, side, ratios.get(f"{side}_{limb}", 1.0), error, True)
        for limb, side in LIMBS
    ]


def controls(**ratios: float) -> list[Site]:
    return [
        Site(
            f"{side}_{limb} nerve",
            "sensory",
            limb,
            side,
            ratios.get(f"{side}_{limb}", 1.0),
            0.1,
            control=True,
        )
        for limb, side in LIMBS
    ]


@pytest.mark.parametrize(
    ("fallen", "where"),
    [
        ({"left_leg": 0.25}, "left leg"),
        ({"left_leg": 0.2, "right_leg": 0.4}, "both legs"),
        ({"left_leg": 0.2, "left_arm": 0.3}, "left side"),
        ({"left_arm": 0.2, "right_arm": 0.5}, "both arms"),
    ],
)
def test_what_falls_at_one_place_is_focal(fallen: dict[str, float], where: str) -> None:
    found = attribute([*sensory(**fallen), *controls(), *motor(**fallen)])
    assert (found.cause, found.where) == ("focal", where)
    assert found.likelihood["focal"] > 0.9


def test_one_tract_alone_is_named() -> None:
    found = attribute([*sensory(left_leg=0.2, right_leg=0.3), *controls(), *motor()])
    assert (found.cause, found.where) == ("focal", "both legs, sensory")
    found = attribute([*sensory(), *controls(), *motor(left_leg=0.2, right_leg=0.3)])
    assert (found.cause, found.where) == ("focal", "both legs, motor")


@pytest.mark.parametrize("left", [0.7, 0.5, 0.3])
def test_what_falls_everywhere_alike_is_systemic(left: float) -> None:
    every = {f"{side}_{limb}": left for limb, side in LIMBS}
    found = attribute([*sensory(0.1, **every), *controls(), *motor(**{k: v**2 for k, v in every.items()})])
    assert found.cause == "systemic"


def test_a_limb_that_falls_with_its_nerve_is_peripheral() -> None:
    low = {"left_arm": 0.2}
    found = attribute([*sensory(**low), *controls(**low), *motor(**low)])
    assert (found.cause, found.where) == ("peripheral", "left arm")
    assert attribute([*sensory(**low), *controls(), *motor(**low)]).cause == "focal", "the nerve stands"


def test_a_stimulus_that_is_gone_is_technical_and_without_a_suspicion_it_is_not() -> None:
    low = {"left_arm": 0.02}
    sites = [*sensory(**low), *controls(**low), *motor()]
    reached = frozenset({"left_arm cortex", "left_arm nerve"})
    assert attribute(sites, [Suspect("stimulus of left_arm", reached, 6.0)]).cause == "technical"
    assert attribute(sites).cause == "peripheral"


def test_a_cause_is_of_what_is_asked_about_and_a_fault_elsewhere_excuses_only_what_it_reaches() -> None:
    sites = [*sensory(left_arm=0.02, right_leg=0.2), *controls(left_arm=0.02), *motor(right_leg=0.2)]
    reached = frozenset({"left_arm cortex", "left_arm nerve"})
    lead = [Suspect("stimulus of left_arm", reached, 6.0)]
    leg = attribute(sites, lead, about=("right_leg muscle",))
    assert (leg.cause, leg.where) == ("focal", "right leg") and leg.likelihood["technical"] == 0.0
    arm = attribute(sites, lead, about=("left_arm cortex",))
    assert (arm.cause, arm.where) == ("technical", "stimulus of left_arm")
    three = sensory(left_arm=0.1, left_leg=0.25, right_leg=0.3)
    legs = attribute(three, lead, about=("left_leg cortex", "right_leg cortex"))
    assert (legs.cause, legs.where) == ("focal", "both legs"), "three of four limbs, but one has its reason"
    assert attribute(three).cause != "focal"
    stands = [*sensory(left_arm=0.02), *controls(left_arm=0.02), *motor()]
    nothing = attribute(stands, lead, about=("right_leg muscle",))
    assert nothing.cause == "unknown", "another limb's trouble is no cause of what stands"
    assert attribute(sites, lead, about=()).cause == "unknown", "nothing is known of what is asked about"


def test_confounders_move_what_the_sites_leave_open() -> None:
    # Legs alone were looked at: both down may be the cord, or the patient.
    legs = [s for s in sensory(0.2, left_leg=0.45, right_leg=0.45) if s.limb == "leg"]
    bare = attribute(legs).likelihood
    told = attribute(legs, log_odds={"systemic": 3.0})
    assert bare["systemic"] < 0.6 < told.likelihood["systemic"]
    assert told.cause == "systemic"
    clear = [*sensory(0.1, left_leg=0.2, right_leg=0.2), *controls()]
    assert attribute(clear, log_odds={"systemic": 3.0}).cause == "focal", "no drug spares the arms"


def test_what_is_absent_was_no_larger_than_its_limit() -> None:
    gone = [Site("left_leg muscle", "motor", "leg", "left", 0.1, 0.2, True, at_most=True)]
    stands = [site for site in motor() if site.name != "left_leg muscle"]
    assert attribute([*gone, *stands]).cause == "focal"
    loud = [Site("left_leg muscle", "motor", "leg", "left", 5.0, 0.2, True, at_most=True)]
    assert attribute([*loud, *stands]).cause == "unknown", "beside such a limit nothing is known to be gone"


def test_nothing_is_told_of_nothing() -> None:
    assert attribute([]).cause == "unknown"
    assert attribute([*sensory(), *controls(), *motor()]).cause == "unknown"
    assert attribute(sensory(5.0, left_leg=0.5)).likelihood["focal"] < CERTAIN, "a reading without a bearing"


@given(
    st.lists(
        st.tuples(st.sampled_from(LIMBS), st.floats(-3, 5), st.floats(0.01, 10), st.booleans()), max_size=9
    ),
    st.floats(-5, 5),
)
@settings(max_examples=60, deadline=None)
def test_likelihoods_are_shares_whatever_the_sites_say(
    rows: list[tuple[tuple[str, str], float, float, bool]], odds: float
) -> None:
    sites = [
        Site(f"{k}", "sensory", limb, side, ratio, error, control=control)  # type: ignore[arg-type]
        for k, ((limb, side), ratio, error, control) in enumerate(rows)
    ]
    found = attribute(sites, [Suspect("x", frozenset({"0"}), odds)], {"systemic": odds})
    assert set(found.likelihood) == set(CAUSES)
    assert math.isclose(sum(found.likelihood.values()), 1.0) and min(found.likelihood.values()) >= 0.0
    assert found.cause == "unknown" or found.likelihood[found.cause] >= CERTAIN


@pytest.mark.parametrize("bad", [{"ratio": math.nan}, {"error": 0.0}, {"error": math.inf}])
def test_what_is_no_reading_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="left leg"):
        Site("left leg", "sensory", "leg", "left", **({"ratio": 1.0, "error": 0.1} | bad))
    with pytest.raises(ValueError, match="logarithm"):
        Site("m", "motor", "leg", "left", -0.1, 0.1, in_logs=True)


def test_likelihoods_are_calibrated_on_their_own_hypotheses() -> None:
    """Of cases drawn as the hypotheses say, those told with 90 % are right nine times of ten or more."""
    rng = np.random.default_rng(5)
    right = total = 0
    for _ in range(120):
        kind = rng.choice(["focal", "systemic"])
        if kind == "focal":
            limb, side = LIMBS[rng.integers(4)]
            low = {f"{side}_{limb}": float(rng.uniform(0.05, 0.6))}
        else:
            fall = float(rng.uniform(0.1, 0.7))
            low = {f"{s}_{b}": fall * float(np.exp(rng.normal(0, 0.2))) for b, s in LIMBS}
        sites = [
            Site(s.name, s.tract, s.limb, s.side, s.ratio + 0.15 * float(rng.normal()), 0.15)
            for s in sensory(**low)
        ]
        found = attribute([*sites, *controls()])
        if found.likelihood[found.cause] > 0.9 and found.cause != "unknown":
            total += 1
            right += found.cause == kind
    assert total > 60 and right / total >= 0.9
