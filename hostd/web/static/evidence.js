// The evidence of an alert in words and bars: what fell, what stands, the stimulus, what explains, which fixed
// rules are met, the steps taken, and the checklist to tick. What is missing is left out, never guessed.

import { make } from "./dom.js";
import { clock, derivation, fixed, NONE, title, wall } from "./text.js";

const STEPS = ["event", "detected", "confirmed", "acknowledged", "told", "acted", "recovered"];
const KNOWN = new Set(["rule", "index", "since_index", "responses", "sites", "where", "stimulus", "confounders", "suspects",
  "legacy", "checklist", "watched", "first_cause", "first_index", "acknowledged_by", "cleared_by", "ended_index"]);

export function evidenceOf(alert, state, ticked, onTick) {
  const evidence = alert.evidence ?? {};
  const root = make("div", "evidence");
  checklist(root, alert, list(evidence.checklist), ticked, onTick);
  steps(root, state.ledger.get(alert.id), state);
  section(root, "Fell", list(evidence.responses).map(fallen));
  section(root, "Control", list(evidence.sites).filter((one) => one.control).map(site));
  section(root, "Everything else", list(evidence.sites).filter((one) => !one.control).map(site));
  section(root, "Stimulus", [stimulus(evidence.stimulus)].filter(Boolean));
  section(root, "What else moved", list(evidence.confounders).map((one) => make("li", "", one?.text ?? "")));
  section(root, "Technical", list(evidence.suspects).map((one) => make("li", "", String(one))));
  section(root, "Fixed rules met", list(evidence.legacy).map((one) =>
    make("li", "", [one?.peak, one?.name, one?.verdict].filter(Boolean).join(", "))));
  causes(root, alert);
  section(root, "Other", Object.entries(evidence).filter(([key]) => !KNOWN.has(key)).map(([key, value]) =>
    make("li", "", `${key.replace(/_/g, " ")}: ${plain(value)}`)));
  return root;
}

function list(value) {
  return Array.isArray(value) ? value : [];
}

function section(root, head, rows) {
  if (!rows.length) return;
  const holder = make("section");
  const items = make("ul");
  items.append(...rows);
  holder.append(make("h3", "", head), items);
  root.append(holder);
}

function percent(ratio) {
  return typeof ratio === "number" ? `${Math.round(Math.max(ratio, 0) * 100)} %` : NONE;
}

// A bar from nothing to what it was before; the line at its end is before.
function share(name, ratio, more) {
  const row = make("li", "share");
  const bar = make("i");
  bar.style.width = `${Math.min(100, Math.max(0, (ratio ?? 0) * 80))}%`;
  const holder = make("span", "of");
  holder.append(bar);
  row.append(make("b", "", name), holder, make("span", "", more));
  return row;
}

function fallen(one) {
  if (typeof one?.ratio !== "number") return make("li", "", `${derivation(String(one?.name))}: changed`);
  const ci = list(one.ratio_ci);
  const range = ci.length === 2 ? `${percent(ci[0])} to ${percent(ci[1])}, ` : "";
  const row = share(derivation(String(one.name)), one.ratio, percent(one.ratio));
  row.append(make("small", "", `${range}${one.sweeps} sweeps, ${one.replicates} after the suspicion`));
  return row;
}

function site(one) {
  const row = share(derivation(String(one?.name)), one?.absent ? 0 : one?.ratio, one?.absent ? "absent" : percent(one?.ratio));
  if (one?.absent || one?.ratio < 0.5) row.classList.add("down");
  return row;
}

function stimulus(proof) {
  if (!proof || typeof proof !== "object") return null;
  const artifact = typeof proof.artifact_ratio === "number" ? `, artifact ${percent(proof.artifact_ratio)} of the usual` : "";
  return make("li", "", `${proof.delivery ?? "not known"}${artifact}${proof.stimuli ? `, ${proof.stimuli} stimuli` : ""}`);
}

function causes(root, alert) {
  const rows = Object.entries(alert.likelihood ?? {}).filter(([, value]) => value > 0.005).sort((a, b) => b[1] - a[1]);
  section(root, "Likely cause", rows.map(([cause, value]) => share(cause, value / 0.8, `${fixed(value * 100, 0)} %`)));
}

function steps(root, ledger, state) {
  if (!ledger) return;
  const rows = STEPS.filter((step) => ledger.steps?.[step] != null).map((step) => {
    const after = ledger.seconds?.[step];
    const when = clock(state.indexSeconds(ledger.steps[step]));
    return make("li", "", `${title(step)} at ${when}${after > 0 ? `, ${fixed(after, 1)} s after the event` : ""}`);
  });
  for (const note of list(ledger.notes)) rows.push(make("li", "", `${note.step ?? ""}: ${note.text ?? ""} ${note.author ?? ""}`.trim()));
  section(root, "Steps taken", rows);
}

function checklist(root, alert, items, ticked, onTick) {
  section(root, "Checklist", items.map((text) => {
    const row = make("li", "check"), label = make("label"), box = make("input");
    box.type = "checkbox";
    box.checked = ticked.has(text);
    box.addEventListener("change", () => onTick(alert, text, box.checked));
    label.append(box, make("span", "", text));
    row.append(label);
    return row;
  }));
}

export function plain(value) {
  if (value === null || value === undefined) return NONE;
  if (typeof value === "number") return String(Number(value.toPrecision(4))).replace("-", "−");
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(plain).join(", ");
  if (typeof value === "object") return Object.entries(value).map(([k, v]) => `${k} ${plain(v)}`).join(", ");
  return String(value);
}

export function causeOf(alert) {
  if (!alert.cause) return "";
  const likelihood = alert.likelihood?.[alert.cause];
  if (alert.cause === "unknown") return "cause not known";
  return `likely ${alert.cause}${typeof likelihood === "number" ? `, ${fixed(likelihood * 100, 0)} %` : ""}`;
}

export function sinceOf(alert) {
  return `${alert.state ?? ""} ${wall(alert.utc_ns)}`.trim();
}
