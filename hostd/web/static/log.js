// The rail: active alerts and daemon faults on top, then the log of events, stimulus faults and alerts.

import { fixed, NONE, title, wall } from "./text.js";

const SHOWN = 120;
const SIGN = { high: "!!!", medium: "!!", low: "!", info: "i" };

function make(tag, name, said) {
  const element = document.createElement(tag);
  if (name) element.className = name;
  if (said !== undefined) element.textContent = said;
  return element;
}

export function drawLog(state) {
  document.getElementById("log").replaceChildren(...state.log.slice(0, SHOWN).map(logRow));
  drawAlerts(state);
}

let drawn = "";

// Touches the page only when something changed: a rebuilt card would flash out of step and be read out again.
export function drawAlerts(state) {
  const faults = state.latest.status?.faults ?? [];
  const alerts = state.activeAlerts();
  const key = JSON.stringify([state.boot, faults, alerts.map((alert) => [alert.id, alert.seq])]);
  if (key === drawn) return;
  drawn = key;
  document.getElementById("alerts").replaceChildren(...alerts.map(alertCard), ...faults.map(faultCard));
}

function logRow({ topic, header }) {
  const row = make("li", topic);
  row.append(make("time", "", wall(header.utc_ns)));
  const text = make("span", "text");
  if (topic === "alert") {
    row.dataset.priority = header.priority ?? "";
    text.append(make("b", "", `${header.state ?? ""} `), header.text ?? header.kind ?? "alert");
  } else if (topic === "stim") {
    text.append(make("b", "", "stimulus not proven "), `${title(header.test ?? "")} ${header.site ?? ""}`);
  } else {
    text.append(header.text ?? header.kind ?? NONE);
    if (header.author) text.append(" ", make("small", "", header.author));
  }
  row.append(text);
  return row;
}

function alertCard(alert) {
  const card = make("article", "alert");
  card.dataset.priority = alert.priority ?? "info";
  card.dataset.state = alert.state ?? "";
  const head = make("header");
  head.append(make("span", "sign", SIGN[alert.priority] ?? "i"), make("b", "", alert.priority ?? "alert"));
  head.append(make("span", "", `${alert.state ?? ""} ${wall(alert.utc_ns)}`));
  card.append(head, make("p", "", alert.text ?? alert.kind ?? ""));
  const likelihood = alert.likelihood?.[alert.cause];
  const facts = make("dl");
  if (alert.test) fact(facts, "test", title(alert.test));
  if (alert.cause) fact(facts, "cause", likelihood == null ? alert.cause : `${alert.cause}, ${fixed(likelihood * 100, 0)} %`);
  for (const [key, value] of Object.entries(alert.evidence ?? {})) fact(facts, key.replace(/_/g, " "), plain(value));
  card.append(facts);
  return card;
}

function faultCard(fault) {
  const card = make("article", "alert");
  card.dataset.priority = "medium";
  const head = make("header");
  head.append(make("span", "sign", SIGN.medium), make("b", "", "fault"));
  card.append(head, make("p", "", typeof fault === "string" ? fault : fault?.text ?? plain(fault)));
  return card;
}

function fact(list, name, said) {
  list.append(make("dt", "", name), make("dd", "", said));
}

function plain(value) {
  if (value === null || value === undefined) return NONE;
  if (typeof value === "number") return String(Number(value.toPrecision(4))).replace("-", "\u2212");
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(plain).join(", ");
  if (typeof value === "object") return Object.entries(value).map(([k, v]) => `${k} ${plain(v)}`).join(", ");
  return String(value);
}
