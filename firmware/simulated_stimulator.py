"""The simulated box's stimulator: what it is set to by the plans, and its monitor outputs on two channels.

Owns the wires between `hw.model.stimulator` and the box: a plan sets current and width of its lines as a
digital input of a stimulator would, a rising line fires, the monitors are channels beside the patient's. What
is broken, and when, is the scenario's.
"""

from collections.abc import Sequence

from hw.chips import VREF_V
from hw.link import Configure, StimPlan
from hw.model.contact_leads import ContactLeads
from hw.model.patient import Patient
from hw.model.scenario import Scenario
from hw.model.sinc3 import Filtered
from hw.model.stimulator import Delivery, MonitorChannels, Stimulator


class SimulatedStimulator:
    """The stimulator of one box whose monitors are at `places` among its channels."""

    def __init__(self, wanted: Configure, scenario: Scenario) -> None:
        self._stimulator = Stimulator()
        self._rate_hz = wanted.rate_hz
        self._scenario = scenario
        self._set: set[int] = set()
        self._sites = wanted.lines
        self.site = ""
        """Where the line that rose last is plugged in."""
        self.fired: Delivery | None = None
        """What the line that rose last delivers; None where nobody said."""
        ma_per_mv, v_per_mv = wanted.monitor_scales or (1.0, 4.0)
        self._monitors = MonitorChannels(
            wanted.rate_hz, ma_per_mv=ma_per_mv, v_per_mv=v_per_mv, clip_mv=1e3 * VREF_V / wanted.gain
        )
        named = dict(zip(wanted.monitors, range(2), strict=False))
        self.places = {k: named[name] for k, name in enumerate(wanted.channels) if name in named}

    def plan(self, plan: StimPlan) -> None:
        """Lines of `plan` deliver its current from now on."""
        for line in filter(None, (plan.line, plan.alternate)):
            if plan.current_ua and plan.width_us:
                self._stimulator.set_current(line, plan.current_ua / 1e3, float(plan.width_us))
                self._set.add(line)
            else:
                self._set.discard(line)

    def fire(self, at_samples: float, line: int) -> None:
        """The trigger of `line` rises `at_samples` after conversion 0."""
        self.fired = None
        reached = self._scenario.line_at(at_samples / self._rate_hz, line)
        self.site = self._sites[reached - 1] if reached <= len(self._sites) else ""
        if line not in self._set:
            return
        condition = self._scenario.stimulator_at(at_samples / self._rate_hz, line)
        self._stimulator.break_down(condition.condition, condition.lost)
        self.fired = pulse = self._stimulator.fire(line)
        self._monitors.pulse(at_samples, line, pulse.current_ma, pulse.volts, pulse.width_us)

    def read(self, index: int) -> tuple[float, float]:
        """Volts of current and voltage monitor at a conversion."""
        return self._monitors.read(index)


class WiredBody:
    """The patient's electrodes on the board's first channels, seen through the filter, and the stimulator's
    monitors at their places; further channels are open. `leads`: how the electrodes lie."""

    def __init__(
        self, patient: Patient, stimulator: SimulatedStimulator, channels: int, leads: ContactLeads
    ) -> None:
        self._filtered, self._leads = Filtered(patient), leads
        self._patient = patient
        self._stimulator = stimulator
        self._places = sorted(stimulator.places.items())
        self._open = [0.0] * (channels - len(patient.electrodes) - len(self._places))

    def read(self, sample: int) -> Sequence[float]:
        """Volts per channel; electrodes lie as they do by now."""
        self._leads.until(sample)
        volts = self._filtered.read(sample)
        if self._places:
            monitors = self._stimulator.read(sample)
            for place, which in self._places:
                volts.insert(place, monitors[which])
        return volts + self._open if self._open else volts

    def stimulate(self, at: float, site: str) -> None:
        """The patient answers to what is delivered, where it is delivered: `site` is the line's own."""
        fired, site = self._stimulator.fired, self._stimulator.site
        if not site:
            return
        if fired is None:
            self._patient.stimulate(at, site)
        else:
            self._patient.stimulate(at, site, fired.current_ma, fired.width_us)
