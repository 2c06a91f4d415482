// What this browser may do, as the box grants it, and asking for it: who signs in, and with which key.
// A key is read from its file, handed to the gateway, and kept nowhere: the next page has to be shown it again.

import { by } from "./dom.js";
import { put } from "./panel.js";

const SAID_MS = 6000;

export class Rights {
  constructor(link, onChange) {
    this.link = link;
    this.onChange = onChange;
    this.may = new Set();
    this.name = "";
    this.role = "";
    this.timer = 0;
    by("sign-in").addEventListener("submit", (event) => this.submit(event));
  }

  // Frame `rights`.
  take(header) {
    if (header.error) {
      this.may = new Set();
      this.role = "";
      put(by("sign-in-error"), header.error);
    } else {
      this.may = new Set(header.may ?? []);
      this.role = header.role ?? "";
      put(by("sign-in-error"), "");
      if (by("sign-in-dialog").open && this.sent) by("sign-in-dialog").close();
    }
    this.sent = false;
    const key = header.key?.name ? `, key ${header.key.name}` : "";
    put(by("role"), header.error ? "not signed in" : `${this.role}${key}`);
    by("role").title = header.error ?? "";
    put(by("sign-in-place"), header.here ? "This browser is on the box." : header.secure
      ? "This browser is elsewhere: a key allows everything but currents and alarm signals."
      : "This browser is elsewhere and not on https: it can look, mark and stop.");
    if (header.admitted === false && !by("sign-in-dialog").open) {
      put(by("sign-in-error"), "This box is shown to other machines only with a key of its own.");
      by("sign-in-dialog").showModal();
    }
    this.onChange();
  }

  async submit(event) {
    event.preventDefault();
    const file = by("sign-in-key").files[0];
    this.name = by("sign-in-name").value.trim();
    const key = file ? await file.text() : "";
    by("sign-in-key").value = "";
    this.sent = this.link.say({ sign_in: { name: this.name, key: key.slice(0, 4096) } });
    if (!this.sent) put(by("sign-in-error"), "there is no connection to the gateway");
  }

  // One request; what the box answers is said at the foot of the page.
  async ask(command, args) {
    try {
      const result = await this.link.ask(command, args);
      this.tell(`${command}: done`, false);
      return result;
    } catch (error) {
      this.tell(`${command}: ${error.message}`, true);
      return null;
    }
  }

  tell(text, bad) {
    const said = by("said");
    put(said, text);
    said.className = bad ? "bad" : "";
    clearTimeout(this.timer);
    this.timer = setTimeout(() => put(said, ""), SAID_MS);
  }
}
