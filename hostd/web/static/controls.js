// The buttons of one test, only those that this browser's rights allow. Nothing stimulates in one act: a test is
// armed first, which runs out by itself, and is started or fired after that.

const FOR = [
  { command: "stim.arm", said: "Arm", title: "Allow this test to be started or fired within 30 s" },
  { command: "test.start", said: "Start", needs: "armed", title: "Start repeated stimulation" },
  { command: "stim.fire", said: "Fire", needs: "armed", title: "One stimulus now" },
  { command: "test.stop", said: "Stop", title: "Stop this test" },
  { command: "baseline.set", said: "Baseline", title: "Compare with what is there now" },
];

export class Controls {
  // `asks`: {may: Set of commands, ask(command, args)}.
  constructor(root, test, asks, bare = false) {
    this.test = test;
    this.bare = bare; // of a test that nothing is compared with
    this.asks = asks;
    this.root = root;
    this.buttons = FOR.map((one) => {
      const button = document.createElement("button");
      button.type = "button";
      button.title = one.title;
      button.dataset.command = one.command;
      button.textContent = one.said;
      button.addEventListener("click", () => this.act(one, button));
      return button;
    });
    root.append(...this.buttons);
  }

  async act(one, button) {
    button.disabled = true;
    await this.asks.ask(one.command, { test: this.test });
    button.disabled = false;
  }

  show(state) {
    const status = state.latest.status;
    const testing = status?.tests?.[this.test];
    const armed_s = status?.stimulation?.armed_s?.[this.test] ?? 0;
    const rate = status?.stimulation?.tests?.[this.test]?.rate_hz;
    const single = rate === null;
    for (const [k, one] of FOR.entries()) {
      const button = this.buttons[k];
      const fits = one.command === "stim.fire" ? single
        : one.command === "test.start" ? testing !== "running"
          : one.command === "test.stop" ? testing === "running" : !this.bare;
      button.hidden = !this.asks.may.has(one.command) || !status || !fits;
      if (one.needs === "armed") button.disabled = !(armed_s > 0);
      if (one.command === "stim.arm") {
        const said = armed_s > 0 ? `Armed ${Math.ceil(armed_s)} s` : "Arm";
        if (button.textContent !== said) button.textContent = said;
        button.classList.toggle("armed", armed_s > 0);
        button.hidden = button.hidden || (testing === "running" && !single);
      }
    }
  }
}
