// The elements of one test's panel, empty.

import { title } from "./text.js";

export function buildPanel(test, number) {
  const root = document.createElement("section");
  root.className = "panel";
  root.tabIndex = 0;
  root.dataset.test = test;
  root.setAttribute("aria-label", title(test));
  root.innerHTML = `
    <header>
      <h2><kbd></kbd><span class="name"></span> <span class="site"></span></h2>
      <span class="proof" data-ok=""></span><span class="pill"></span><span class="controls"></span>
    </header>
    <progress class="progress" max="1" value="0"></progress>
    <p class="facts"><span><b class="sweeps"></b><span class="target"></span> sweeps</span>
      <span><b class="rejected"></b> rejected</span><span><b class="effective"></b> effective</span>
      <span class="verdict-in"></span><span class="band"></span><span class="notice"></span><span class="age"></span></p>
    <div class="body">
      <div class="waves"><canvas role="img"></canvas></div>
      <div class="fall"><canvas role="img" aria-label="The last averages, one below the other"></canvas></div>
      <div class="table"><table>
        <thead><tr><th scope="col">Peak</th><th scope="col"><span class="long">Latency </span>ms</th><th scope="col"><span class="long">Amplitude </span>µV</th>
          <th scope="col" title="latency against the baseline">Δ ms</th><th scope="col" title="amplitude against the baseline">Δ %</th>
          <th scope="col">State</th></tr></thead>
        <tbody class="peaks"></tbody>
      </table></div>
      <div class="trend" role="img" aria-label="Trends of the leading peak"></div>
    </div>`;
  root.querySelector(".name").textContent = title(test);
  root.querySelector("h2 kbd").textContent = String(number);
  root.querySelector("h2").title = `${test}: press ${number} to enlarge`;
  root.querySelector(".progress").setAttribute("aria-label", `Sweeps of ${title(test)}`);
  return root;
}
