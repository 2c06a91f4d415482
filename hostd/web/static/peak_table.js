// One row of a table of peaks: present with its intervals, absent with the noise it was judged against, or open.

import { numbers } from "./frame.js";
import { unjudged } from "./state.js";
import { derivation, fixed, micro, muscle, signed, spread } from "./text.js";

export function peakRow(peak, average) {
  const row = document.createElement("tr");
  const cell = (said, small, name) => {
    const td = document.createElement("td");
    td.append(said);
    if (small) {
      td.append(" ", document.createElement("small"));
      td.lastChild.textContent = small;
    }
    if (name) td.className = name;
    row.append(td);
    return td;
  };
  const where = peak.derivation === peak.name ? "" : derivation(peak.derivation);
  cell(muscle(peak.name), where, "peak").title = peak.derivation;
  if (peak.present) {
    const shift_ms = peak.latency_ms != null && peak.baseline_latency_ms != null ? peak.latency_ms - peak.baseline_latency_ms : NaN;
    cell(fixed(peak.latency_ms, 2), spread(peak.latency_ms, numbers(peak.latency_ci_ms)));
    cell(micro(peak.amplitude_uv), spread(peak.amplitude_uv, numbers(peak.amplitude_ci_uv)));
    cell(signed(shift_ms, 2));
    cell(signed(peak.change_pct, 0));
    cell("present", "", "verdict");
    return row;
  }
  if (unjudged(peak)) {
    cell(`needs 16 sweeps`, "", "against").colSpan = 4;
    cell("open", "", "verdict");
    return row;
  }
  row.className = peak.baseline_amplitude_uv == null ? "unseen" : "absent";  // lost is red, not yet seen is not
  const noise = peak.noise_uv ?? (numbers(average?.noise_uv) ?? [])[average?.derivations.indexOf(peak.derivation) ?? -1];
  const was = peak.baseline_amplitude_uv == null ? "" : `, was ${micro(peak.baseline_amplitude_uv)} µV`;
  cell(`against noise ${micro(noise)} µV${was}`, "", "against").colSpan = 4;
  cell("absent", "", "verdict");
  return row;
}
