// Alerts and the log: the banner on top with the worst one, a card each in the rail, and everything that happened.

import { button, by, make } from "./dom.js";
import { causeOf, evidenceOf, plain, sinceOf } from "./evidence.js";
import { NONE, title, wall } from "./text.js";

const SHOWN = 120;
const SIGN = { high: "!!!", medium: "!!", low: "!", info: "i" };

export class Alerts {
  // `asks`: {may, ask(command, args), author}.
  constructor(asks) {
    this.asks = asks;
    this.drawn = "";
    this.logDrawn = "";
    this.ticked = new Map();
    this.open = null; // id of the alert whose evidence is shown
    by("evidence").addEventListener("close", () => { this.open = null; });
  }

  // Touches the page only when something changed: a rebuilt card would flash out of step and be read out again.
  draw(state) {
    this.state = state;
    const faults = [...new Set(state.latest.status?.faults ?? [])];
    const alerts = state.activeAlerts();
    const signals = state.latest.alarms;
    const may = [...this.asks.may].length;
    const key = JSON.stringify([state.boot, faults, may, signals?.flashing, signals?.alarm, alerts.map((alert) => [alert.id, alert.seq])]);
    if (key !== this.drawn) {
      this.drawn = key;
      document.body.dataset.flash = signals?.alarm === "on" || !signals ? "on" : "off";
      const worst = alerts.length && alerts[0].priority !== "info" ? alerts[0] : null;
      by("banner").replaceChildren(...(worst ? [this.banner(worst, alerts.length)] : []));
      by("alerts").replaceChildren(...alerts.filter((one) => one !== worst).map((one) => this.card(one)), ...faults.map(faultCard));
    }
    this.drawEvidence(state);
    const first = state.log[0];
    const logKey = `${state.boot} ${first?.topic} ${first?.header.seq} ${state.log.length}`;
    if (logKey === this.logDrawn) return;
    this.logDrawn = logKey;
    by("log").replaceChildren(...state.log.slice(0, SHOWN).map(logRow));
  }

  banner(alert, count) {
    const root = make("div", "alert strip");
    mark(root, alert);
    root.append(head(alert));
    const [first, ...more] = String(alert.text ?? alert.kind ?? "").split("; ");
    const facts = [causeOf(alert), sinceOf(alert), count > 1 ? `${count} alerts` : ""].filter(Boolean).join(" · ");
    const words = make("div", "words");
    words.append(make("p", "", first), make("p", "facts", facts), make("p", "facts", more.join("; ")));
    const buttons = make("div", "buttons");
    buttons.append(...this.buttons(alert));
    root.append(words, buttons);
    return root;
  }

  buttons(alert) {
    const { may } = this.asks;
    const ask = (command, args) => this.asks.ask(command, args);
    const shown = [button("Evidence (E)", () => this.show(alert.id))];
    if (may.has("alert.acknowledge") && alert.state !== "acknowledged") {
      shown.unshift(button("Acknowledge (A)", () => ask("alert.acknowledge", { id: alert.id }), "Seen: stops flash and sound", "main"));
    }
    if (may.has("alert.note") && alert.kind === "change") {
      shown.push(button("Surgeon told", () => ask("alert.note", { id: alert.id, step: "told" })));
      shown.push(button("Acted", () => ask("alert.note", { id: alert.id, step: "acted" })));
    }
    return shown;
  }

  card(alert) {
    const card = make("article", "alert");
    mark(card, alert);
    card.append(head(alert, sinceOf(alert)), make("p", "", alert.text ?? alert.kind ?? ""));
    const facts = make("dl");
    if (alert.test) facts.append(make("dt", "", "test"), make("dd", "", title(alert.test)));
    if (alert.cause) facts.append(make("dt", "", "cause"), make("dd", "", causeOf(alert)));
    const who = alert.evidence?.acknowledged_by;
    if (who) facts.append(make("dt", "", "seen by"), make("dd", "", plain(who)));
    const buttons = make("div", "buttons");
    buttons.append(...this.buttons(alert));
    card.append(facts, buttons);
    return card;
  }

  // The first alert that is open, for keys.
  get worst() {
    return this.state?.activeAlerts()[0] ?? null;
  }

  acknowledgeWorst() {
    const alert = this.state?.activeAlerts().find((one) => one.state !== "acknowledged");
    if (alert && this.asks.may.has("alert.acknowledge")) this.asks.ask("alert.acknowledge", { id: alert.id });
  }

  show(id) {
    this.open = id;
    this.shown = "";
    this.drawEvidence(this.state);
    if (this.open && !by("evidence").open) by("evidence").showModal();
  }

  drawEvidence(state) {
    const alert = this.open === null ? null : state.alerts.get(this.open);
    if (!alert) return;
    const key = `${alert.id} ${alert.seq} ${state.ledger.get(alert.id)?.seq} ${this.ticked.get(alert.id)?.size}`;
    if (key === this.shown) return;
    this.shown = key;
    const ticked = this.ticked.get(alert.id) ?? new Set();
    by("evidence-head").replaceChildren(head(alert, `${causeOf(alert)}, ${sinceOf(alert)}`), make("p", "", alert.text ?? ""));
    mark(by("evidence-head"), alert);
    by("evidence-body").replaceChildren(evidenceOf(alert, state, ticked, (of, text, on) => this.tick(of, text, on)));
  }

  // A ticked item is noted in the case: who reads the record later sees what was checked, and when.
  tick(alert, text, on) {
    const ticked = this.ticked.get(alert.id) ?? new Set();
    if (on) ticked.add(text);
    else ticked.delete(text);
    this.ticked.set(alert.id, ticked);
    this.asks.ask("mark", { text: `${on ? "checked" : "not checked"}: ${text}`, kind: "checklist" });
  }
}

function mark(element, alert) {
  element.dataset.priority = alert.priority ?? "info";
  element.dataset.state = alert.state ?? "";
}

function head(alert, more = "") {
  const holder = make("header");
  holder.append(make("span", "sign", SIGN[alert.priority] ?? "i"), make("b", "", alert.priority ?? "alert"), make("span", "", more));
  return holder;
}

function logRow({ topic, header }) {
  const row = make("li", topic);
  row.append(make("time", "", wall(header.utc_ns)));
  const text = make("span", "text");
  if (topic === "alert") {
    row.dataset.priority = header.priority ?? "";
    text.append(make("b", "", `${header.state ?? ""} `), String(header.text ?? header.kind ?? "alert").split("; ")[0]);
  } else if (topic === "stim") {
    text.append(make("b", "", "stimulus not proven "), `${title(header.test ?? "")} ${header.site ?? ""}`);
  } else {
    text.append(String(header.text ?? header.kind ?? NONE));
    if (header.author) text.append(" ", make("small", "", String(header.author)));
  }
  row.append(text);
  return row;
}

function faultCard(fault) {
  const card = make("article", "alert");
  card.dataset.priority = "medium";
  const top = make("header");
  top.append(make("span", "sign", SIGN.medium), make("b", "", "fault"));
  card.append(top, make("p", "", typeof fault === "string" ? fault : fault?.text ?? plain(fault)));
  return card;
}
