"""`make bench`: every performance figure as a table and as bench.json; ratios from one interleaved run."""

import json
import os
import platform
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numba
import numpy
import scipy
from rich.console import Console
from rich.table import Table

from tests.bench import (
    chain,
    clock,
    displays,
    edge,
    kernels,
    latency,
    loop,
    mirror,
    pico,
    pico_codec,
    procedure,
    recovery,
    replay,
    rig,
    stimuli,
    subscribers,
)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; `bar` null where none is set."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    sense: str = ">="

    @property
    def ok(self) -> bool:
        """True when the bar is met or there is none."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.sense == ">=" else self.value <= self.bar


def rows(say: Console) -> list[Row]:
    """Measure everything, saying what is being measured."""
    say.print("dsp: decode, filter, average ...")
    c = chain.measure()
    say.print("hostd: replay ...")
    r = replay.measure()
    say.print("hostd: latency, 40 s in real time ...")
    late = latency.measure()
    say.print("hostd: a whole scoliosis correction, 40 s in real time ...")
    whole = procedure.measure()
    say.print("hostd: the clock of an edge elsewhere ...")
    t = clock.measure()
    say.print("firmware: sample loop and link ...")
    e = edge.measure()
    own = loop.measure()
    return [
        *_kernel_rows(say),
        Row("dsp.chain_vs_scipy", c["ratio"], "x", 1.0),
        Row("dsp.chain_channel_samples", c["ours_per_s"] / 1e6, "M/s"),
        Row("dsp.scipy_channel_samples", c["scipy_per_s"] / 1e6, "M/s"),
        Row("hostd.replay_speed", r["median"], "x real time", 20.0),
        Row("hostd.replay_speed_judged", r["median judged"], "x, plugs judged"),
        Row("hostd.replay_four_tests", r["four"], "x real time", 100.0),
        Row("hostd.replay_four_judged", r["four judged"], "x, plugs judged", 100.0),
        Row("hostd.latency_p50", late["p50"], "ms", 20.0, "<="),
        Row("hostd.latency_p99", late["p99"], "ms", 20.0, "<="),
        Row("hostd.latency_averages", late["n"], "messages"),
        Row("hostd.scoliosis_share", whole["share"], "% of a core", 25.0, "<="),
        Row("hostd.emg_audio_p99", whole["sound"], "ms behind the sample", 200.0, "<="),
        Row("hostd.mep_verdict_p99", whole["mep"], "ms after the train", 1000.0, "<="),
        Row("hostd.eeg_rate", whole["eeg"], "a second", 0.9),
        Row("hostd.scoliosis_average_p99", whole["average"], "ms"),
        Row("hostd.edge_clock_error", t["whole"], "us, p99, shortest delay of 300 us included", 1000.0, "<="),
        Row("hostd.edge_clock_beside_delay", t["beside"], "us, p99, without it", 100.0, "<="),
        Row("hostd.edge_clock_at_first", t["first"], "us, p99 of the first 5 s"),
        Row("firmware.simulated_speed", e["simulated"], "x real time"),
        Row("firmware.loop_own_cost", own["compiled_us"], "us per frame", 3.0, "<="),
        Row("firmware.loop_vs_python", own["ratio"], "x", 0.6, "<="),
        Row("firmware.python_loop_own_cost", own["python_us"], "us per frame"),
        Row("firmware.simulated_loop_per_frame", e["loop_us"], "us"),
        *_pico_rows(say),
        Row("hw.link_speed", e["link"], "x real time"),
        *_recovery_rows(say),
        *_mirror_rows(say),
        *_subscriber_rows(say),
        *_display_rows(say),
        *_stimulus_rows(say),
        *_rig_rows(say),
    ]


def _kernel_rows(say: Console) -> list[Row]:
    """The kernels one by one: MNE's averaging beside them where it is installed."""
    say.print("dsp: kernels ...")
    k = kernels.measure()
    rows = [
        Row("dsp.sos_f64_vs_scipy", k["sos_vs_scipy"], "x", 12.0),
        Row("dsp.sos_f64_of_fma_limit", k["sos_of_limit"], "of the core's limit", 0.75),
        Row("dsp.sos_f64_channel_samples", k["sos_per_s"] / 1e6, "M/s"),
        Row("dsp.fold_vs_add", k["fold_vs_floor"], "x", 2.0, "<="),
        Row("dsp.fold_vs_numpy", k["fold_vs_numpy"], "x", 3.5),
        Row("dsp.weighted_vs_plain", k["weighted_vs_plain"], "x", 1.2, "<="),
        Row("dsp.decode_vs_numpy", k["decode_vs_numpy"], "x", 20.0),
        Row("dsp.running_sums_vs_numpy", k["sums_vs_numpy"], "x"),
        Row("dsp.running_sums", k["sums_us"], "us per sweep of 4"),
        Row("dsp.cusum_vs_python", k["cusum_vs_python"], "x"),
        Row("dsp.cusum", k["cusum_ns"], "ns per sweep"),
        Row("dsp.sweep_noise_vs_python", k["noise_vs_python"], "x"),
        Row("dsp.sweep_noise", k["noise_ns"], "ns per sweep"),
        Row("dsp.startup", k["startup_s"], "s over numpy", 0.8, "<="),
        Row("dsp.filter_error", k["filter_error_uv"], "uV rms at 200 mV", 0.01, "<="),
    ]
    if "mne_vs_fold" in k:
        rows.append(Row("dsp.mne_average_vs_fold", k["mne_vs_fold"], "x per sweep"))
    return rows


def _recovery_rows(say: Console) -> list[Row]:
    """What follows the death of a host."""
    say.print("hostd: twenty hosts that are killed ...")
    r = recovery.measure()
    return [
        Row("hostd.recovery_p50", r["p50"], "s until the next host serves the case"),
        Row("hostd.recovery_worst", r["worst"], f"s, of {r['n']:.0f}", 2.0, "<="),
        Row("hostd.stop_after_death", r["stop"], "ms until the last pulse, worst", 200.0, "<="),
        Row("hostd.lost_by_death", r["lost"], "s of samples, worst", 2.0, "<="),
        Row("hostd.wrong_by_death", r["wrong"], "cases, pulses, samples, recordings", 0.0, "<="),
    ]


def _mirror_rows(say: Console) -> list[Row]:
    """What becomes of the displays of a box that is gone."""
    say.print("hostd: five boxes that are gone, and their mirrors ...")
    m = mirror.measure()
    return [
        Row("hostd.mirror_takeover_p50", m["p50"], "s until a display has joined there"),
        Row("hostd.mirror_takeover_worst", m["worst"], f"s, of {m['n']:.0f} displays", 5.0, "<="),
        Row("hostd.mirror_late_joiner", m["late"], "s until it knows the case, worst"),
        Row("hostd.mirror_home_again", m["back"], "s after the box is heard, worst"),
        Row("hostd.mirror_without_case", m["wrong"], "mirrors, of 5", 0.0, "<="),
        Row("hostd.mirror_delay_p50", m["delay_p50"], "ms later than from the box"),
        Row("hostd.mirror_delay_p99", m["delay_p99"], "ms later than from the box"),
    ]


def _subscriber_rows(say: Console) -> list[Row]:
    """What ten subscribers that are asleep cost ninety others."""
    say.print("hostd: a hundred subscribers, ten of them asleep ...")
    s = subscribers.measure()
    return [
        Row("hostd.asleep_p99_ratio", s["ratio"], "x, with against without", 1.2, "<="),
        Row("hostd.asleep_p99", s["p99"], "ms, of 90 that listen"),
        Row("hostd.asleep_lost", s["lost"], "messages, of 90 that listen", 0.0, "<="),
    ]


def _display_rows(say: Console) -> list[Row]:
    """The web display in headless Chromium; only its weight where there is none."""
    say.print("hostd: the web display, ten thousand updates ...")
    d = displays.measure()
    if d is None:
        say.print("  left out: no Chromium")
        return [Row("web.page_weight", displays.weight_kb(), "kB", 500.0, "<=")]
    return [
        Row("web.pixels_p50", d["pixels_p50"], "ms, bus message to last sample drawn"),
        Row("web.pixels_p95", d["pixels_p95"], "ms, bus message to last sample drawn", 150.0, "<="),
        Row("web.frames", d["frames"], "a second, 32 live channels", 30.0),
        Row("web.frames_vs_idle", d["frames_vs_idle"], "of an empty page's", 0.5),
        Row("web.redraw_max", d["redraw_ms_max"], "ms, averages and texts"),
        Row("web.page_weight", d["weight_kb"], "kB", 500.0, "<="),
        Row("web.heap_growth", d["heap"], "x, after 10,000 updates over 1,000", 1.2, "<="),
        Row("web.tenth_browser_lost", d["tenth_lost"], f"messages of {displays.EVENTS}", 0.0, "<="),
    ]


def _stimulus_rows(say: Console) -> list[Row]:
    """What stimulation costs, and what it leaves of the mains."""
    say.print("firmware, hostd, dsp: stimulation ...")
    s = stimuli.measure()
    return [
        Row("firmware.sequencer_step_idle", s["idle_ns"], "ns per sample"),
        Row("firmware.sequencer_step_8_plans", s["busy_ns"], "ns per sample"),
        Row("hostd.audit_entry", s["audit_us"], "us"),
        Row("dsp.mains_left_4k", s["mains_4k"], "% at N = 64", 3.0, "<="),
        Row("dsp.mains_left_16k", s["mains_16k"], "% at N = 64", 3.0, "<="),
    ]


def _pico_rows(say: Console) -> list[Row]:
    """The coprocessor's programs, emulated."""
    say.print("firmware: the coprocessor in emulation ...")
    measured, codec = pico.measure(), pico_codec.measure()
    return [
        Row("firmware.pico_read_share", measured["share"], "% of a period at 16 kSPS", 60.0, "<="),
        Row("firmware.pico_stim_lag", measured["lag"], "samples", 1.0, "<="),
        Row("firmware.pico_stim_jitter", measured["jitter"], "PIO cycles", 1.0, "<="),
        Row("firmware.pico_codec_here", codec["times"], "x of 8 channels at 16 kSPS, unix port", 1.0),
        Row("firmware.pico_codec_cycles", codec["cycles"], "cycles of an RP2040 a sample, counted"),
        Row("firmware.pico_codec_share", codec["share"], "% of its 125 MHz at 16 kSPS", 60.0, "<="),
    ]


def _rig_rows(say: Console) -> list[Row]:
    """The rig's figures; none, with the reason, where no rig can run."""
    say.print("firmware: a million frames on the rig ...")
    measured = rig.measure()
    if isinstance(measured, str):
        say.print(f"  left out: {measured}")
        return []
    return [
        Row("firmware.rig_frames", measured["frames_per_s"], "frames/s", 15_000.0),
        Row("firmware.rig_lost", measured["lost"], "frames", 0.0, "<="),
    ]


def machine() -> dict[str, object]:
    """What it was measured on."""
    return {
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "numba": numba.__version__,
    }


def main() -> int:
    """Print the table, write bench.json; 1 when a bar is missed."""
    console = Console(stderr=True)
    measured = rows(console)
    table = Table("figure", "value", "unit", "bar", "ok", title=str(machine()))
    for row in measured:
        bar = "" if row.bar is None else f"{row.sense} {row.bar:g}"
        table.add_row(row.name, f"{row.value:.3g}", row.unit, bar, "yes" if row.ok else "NO")
    Console(width=100).print(table)
    listed = [asdict(row) | {"ok": row.ok} for row in measured]
    Path("bench.json").write_text(json.dumps({"machine": machine(), "rows": listed}, indent=1) + "\n")
    return 0 if all(row.ok for row in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
