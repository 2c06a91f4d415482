"""One story played: the patient, the pipeline, and what each detector told."""

from dataclasses import dataclass

from hostd.outgoing import Outgoing
from hostd.score.bedside import Bedside
from hostd.score.referee import Verdict, judge, of_fixed_rules, of_product
from hostd.score.stories import SECONDS, Story, score_case, story
from hw.model.patient import Patient

BLOCK = 1024
HEARD = ("alert", "response", "measure")


@dataclass(frozen=True, slots=True)
class Played:
    """A story and the verdicts on both detectors."""

    story: Story
    product: Verdict
    fixed: Verdict


def heard(told: Story, vitals: bool = True, seconds: float = SECONDS) -> list[Outgoing]:
    """What the detectors read of a story; without `vitals` nobody posts any."""
    case = score_case()
    patient = Patient(case.channels, case.rate_hz, told.seed, scenario=told.scenario)
    marks = told.marks if vitals else ()
    bedside = Bedside(case, patient, told.seed, True, told.shots, BLOCK, marks, True)
    return [m for m in bedside.messages(seconds) if m.topic.partition(".")[0] in HEARD and _counts(m)]


def _counts(message: Outgoing) -> bool:
    """Averages that are under way are no one's verdict."""
    return not message.topic.startswith("measure") or message.fields["final"]


def play(number: int, seed: int = 1, vitals: bool = True) -> Played:
    """Story `number` of a seed, and both verdicts."""
    told, case = story(number, seed), score_case()
    messages = heard(told, vitals)
    product = judge(told, of_product(case, messages))
    return Played(told, product, judge(told, of_fixed_rules(case, messages)))
