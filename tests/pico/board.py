"""`python -m tests.pico.board [PROCEDURE [SCENARIO.toml]]`: the firmware on a modelled board, in real time.

With a patient, on a serial port whose name is printed: for trying a host without a board,
`evokd run --procedure PROCEDURE --source serial:NAME`. One converter, eight channels.
"""

import sys
import threading
import time
from pathlib import Path

from firmware.compose import read_scenario
from firmware.simulated_stimulator import SimulatedStimulator, WiredBody
from hostd import casefile
from hostd.daemon import configure_message
from hostd.errors import EvokdError
from hw.board import LINES_PER_CHIP
from hw.chips import ADS1299
from hw.link import Configure
from hw.model.ads1299_options import ChipOptions, Surroundings
from hw.model.board import BoardModel, BoardSetup
from hw.model.contact_leads import ContactLeads
from hw.model.patient import Patient
from hw.model.scenario import NO_CHANGE, Scenario
from hw.model.sinc3 import Filtered
from tests.support.edges import files
from tests.support.pico_edge import PicoProcess
from tests.support.pico_model import PicoModel

PACE_S = 0.002


def patient_board(wanted: Configure, scenario: Scenario) -> BoardModel:
    """A board whose electrodes are on the model patient, wired as `wanted` names them."""
    options = ChipOptions(noise=True, seed=1)
    sites = wanted.lines + ("",) * (LINES_PER_CHIP - len(wanted.lines))
    board = BoardModel(BoardSetup(sites=sites, around=Surroundings(ground="bias"), options=options))
    stimulator = SimulatedStimulator(wanted, scenario)
    electrodes = {name: k for k, name in enumerate(wanted.channels)}
    leads = ContactLeads(board, electrodes, wanted.rate_hz, scenario.electrode, scenario.plugs)
    delay = Filtered.delay_samples
    patient = Patient(wanted.channels, wanted.rate_hz, 1, delay_samples=delay, scenario=scenario)
    board.body = WiredBody(patient, stimulator, ADS1299.channels, leads)
    board.pulsed = stimulator.fire
    return board


def main() -> int:
    try:
        wanted = configure_message(casefile.procedure(sys.argv[1] if len(sys.argv) > 1 else "median_ssep"))
        scenario = read_scenario(Path(sys.argv[2])) if len(sys.argv) > 2 else NO_CHANGE
    except (EvokdError, ValueError, OSError) as error:
        print(f"tests.pico.board: {error}", file=sys.stderr)
        return 2
    model = PicoModel(model=patient_board(wanted, scenario))
    board = PicoProcess(model, files())
    model.ticks_ms = lambda: time.monotonic_ns() // 1_000_000
    print(board.path, flush=True)
    done, granted, begun = threading.Event(), 0.0, 0.0
    try:
        while not done.wait(PACE_S) and board.process.poll() is None:
            if not model.reading:
                granted = begun = 0.0
                continue
            begun = begun or time.monotonic()
            due = (time.monotonic() - begun) * model.board.rate_hz
            model.grant(due - granted)
            granted = due
    except KeyboardInterrupt:
        return 0
    finally:
        board.end()
        sys.stderr.write(board.crash)
    return 1


if __name__ == "__main__":
    sys.exit(main())
