// The page: it asks for what it shows, shows it, and knows whether the run can still be reached.
import { Controls } from "./controls.js";
import { decode } from "./decode.js";
import { count, duration, number } from "./format.js";
import { effect, glyph, Panes } from "./panes.js";

const PAUSE = 450;

/** Put a run on a page. The transport says how it is reached: see http.js. */
export function mount(root, transport, { pageWide = true } = {}) {
  return new View(root, transport, pageWide);
}

class View {
  constructor(root, transport, pageWide) {
    Object.assign(this, { root, transport, pageWide });
    this.part = (name) => root.querySelector(`[data-part="${name}"]`);
    this.state = null;
    this.lost = false;
    this.events = [];
    [this.asked, this.planned, this.eventsKnown, this.busy] = [null, "", -1, false];
    this.theme(remembered());
    this.panes = new Panes(root, this.part("panes"), {
      windowChanged: () => this.soon(40),
      hovered: (update) => this.markNear(update),
    });
    this.controls = new Controls(this.part, transport, {
      windowOf: () => [this.panes.from, this.panes.to],
      previewed: (preview) => {
        this.panes.preview = preview;
        this.panes.draw();
      },
      confirmStop: () => this.confirmStop(),
    });
    this.listen();
    this.stop = transport.subscribe((state) => this.receive(state), (connection) => this.connected(connection));
  }

  /** A message from the run. */
  receive(state) {
    const again = this.lost || this.state === null;
    this.lost = false;
    if (this.state && state.update !== null && this.state.update !== null && state.update < this.state.update) this.asked = null;
    this.state = state;
    if (again) [this.asked, this.planned, this.eventsKnown] = [null, "", -1];
    Object.assign(this.panes, { last: state.update, total: state.total, first: state.first ?? 0, ended: state.status === "finished" });
    this.show();
    this.panes.follow();
    this.soon(0);
  }

  /** The connection was made, or lost, or is refused for good. */
  connected({ lost, reason }) {
    this.lost = lost;
    this.reason = reason;
    this.show();
  }

  soon(delay) {
    clearTimeout(this.timer);
    const wait = Math.max(delay, (this.lastAsk ?? 0) + PAUSE - performance.now() - (delay > 0 ? PAUSE - 90 : 0));
    this.timer = setTimeout(() => this.ask(), Math.max(0, wait));
  }

  /** Ask for what is missing in the window: only what would change a pixel. */
  async ask() {
    if (this.busy || this.lost || this.state === null || document.hidden) return;
    const { from, to, pixels } = this.panes;
    this.busy = true;
    this.lastAsk = performance.now();
    try {
      if (this.state.events !== this.eventsKnown) await this.askEvents();
      const plan = `${from} ${to} ${pixels} ${this.eventsKnown}`;
      if (plan !== this.planned) {
        this.panes.plan = decode(await this.transport.plan(from, to, Math.min(1000, pixels)));
        this.planned = plan;
        this.panes.draw();
      }
      if (this.isStale(from, to, pixels)) {
        const series = decode(await this.transport.series(from, to, pixels));
        this.panes.series = series;
        this.asked = { from, to, pixels, last: series.last, metrics: JSON.stringify(this.state.metrics) };
        this.panes.draw();
      }
    } catch (error) {
      this.failure = error; // the stream tells whether the run can be reached; the next message asks again
      this.asked = null;
    } finally {
      this.busy = false;
    }
    if (from !== this.panes.from || to !== this.panes.to || pixels !== this.panes.pixels) this.soon(40);
  }

  isStale(from, to, pixels) {
    const { asked, state } = this;
    if (asked === null || asked.from !== from || asked.to !== to || asked.pixels !== pixels) return true;
    if (JSON.stringify(state.metrics) !== asked.metrics) return true;
    const step = state.status === "finished" ? 1 : Math.max(1, (to - from) / pixels);
    return state.update !== null && state.update - (asked.last ?? -Infinity) >= step && (asked.last ?? -1) <= to;
  }

  async askEvents() {
    const known = this.eventsKnown > this.state.events ? 0 : Math.max(0, this.eventsKnown);
    const answer = await this.transport.events(known);
    this.events = [...(known ? this.events : []), ...answer.events].slice(-2000);
    this.eventsKnown = answer.count;
    this.readToken = answer.read_token;
    this.panes.events = this.events;
    this.part("text").textContent = answer.present.join("\n");
    this.listEvents();
    this.show();
    this.panes.draw();
  }

  listEvents() {
    const items = [...this.events].reverse().slice(0, 200).map((event) => {
      const item = document.createElement("li");
      item.dataset.kind = event.kind;
      item.dataset.update = event.update;
      const mark = item.appendChild(document.createElement("span"));
      mark.className = "glyph";
      mark.setAttribute("aria-hidden", "true");
      mark.textContent = glyph(event.kind);
      item.appendChild(document.createElement("b")).textContent = event.reason || event.kind;
      const who = [effect(event), `update ${count(event.update)}`, event.who, event.time ? new Date(event.time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }) : ""];
      item.appendChild(document.createElement("small")).textContent = who.filter(Boolean).join(" · ");
      return item;
    });
    this.part("events").replaceChildren(...items);
    this.part("event-count").textContent = this.eventsKnown > 0 ? count(this.eventsKnown) : "";
    this.part("no-events").hidden = this.eventsKnown > 0;
  }

  markNear() {
    const near = this.panes?.near;
    for (const item of this.part("events").children) item.classList.toggle("near", Boolean(near) && Number(item.dataset.update) === near.update);
  }

  show() {
    const { part, state } = this;
    const status = this.lost ? "lost" : state === null ? "connecting" : state.status;
    const words = { connecting: "Connecting", running: "Running", finished: "Finished", lost: this.reason ?? "Connection lost, trying again" };
    const early = state?.total != null && state.update !== null && state.update + 1 < state.total;
    if (early) words.finished = "Ended early";
    if (state?.refusal) words.running = "Stopping";
    if (this.lost && state?.status === "finished") words.lost = `${words.finished}; the program has ended`;
    part("status").dataset.status = status;
    part("status").lastElementChild.textContent = words[status];
    if (state === null) return;
    this.controls.allow({ ...state, lost: this.lost });
    part("title").textContent = state.title;
    if (this.pageWide) document.title = `${state.update === null ? "" : `${count(state.update)} · `}${state.title}`;
    part("update").textContent = count(state.update);
    part("total").textContent = state.total === null ? "" : `of ${count(state.total)}`;
    const share = state.total === null || state.update === null ? 0 : Math.min(100, ((state.update + 1) / state.total) * 100);
    part("progress").firstElementChild.style.width = `${share}%`;
    part("progress").setAttribute("aria-valuenow", share.toFixed(0));
    part("progress").hidden = state.total === null;
    part("lr").textContent = number(state.lr);
    part("loss").textContent = number(state.loss);
    part("rate").textContent = state.rate === null ? "–" : state.rate >= 100 ? count(state.rate) : number(state.rate, 3);
    const ended = state.status === "finished";
    part("left-title").textContent = ended ? "Ended at update" : "Time left";
    part("left").textContent = ended ? count(state.update) : duration(state.left);
    const metric = Object.entries(state.metrics)[0];
    part("loss-note").textContent = metric ? `${metric[0]} ${number(metric[1])}` : "of the last update";
    // Events without an effect on the LR, such as Stop, have the factor of the one before.
    const last = this.events.findLast((event, index, all) => !index || event.factor !== all[index - 1].factor || event.kind === "replace");
    part("lr-note").textContent = last && last.factor !== 1 ? `×${number(last.factor)} since update ${count(last.update)}` : "as planned";
    if (ended) part("left-note").textContent = state.update === null ? "before the first one" : early ? `of ${count(state.total)} planned` : state.total === null ? "the schedule has no end" : "as planned";
    else part("left-note").textContent = state.left === null ? (state.total === null ? "the schedule has no end" : "\u00a0") : `until ${new Date(Date.now() + 1000 * state.left).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" })}`;
    part("watchers").textContent = state.watchers > 1 ? `${state.watchers} watching` : "";
    part("share").hidden = !(this.readToken && state.can_change && this.transport.canShare);
    part("window").textContent = this.panes ? `updates ${count(this.panes.from)} – ${count(this.panes.to)}` : "";
    for (const button of this.root.querySelectorAll("[data-mode]")) button.setAttribute("aria-pressed", String(button.dataset.mode === this.panes?.mode));
  }

  listen() {
    const { part, panes } = this;
    const draw = panes.windowChanged;
    panes.windowChanged = () => {
      draw();
      this.show();
    };
    for (const button of this.root.querySelectorAll("[data-mode]")) button.addEventListener("click", () => panes.setMode(button.dataset.mode));
    part("smoothing").addEventListener("input", (event) => {
      panes.level = Number(event.target.value);
      panes.draw();
    });
    part("theme").addEventListener("click", () => this.theme(this.isDark() ? "light" : "dark"));
    part("help-open").addEventListener("click", () => part("help").showModal());
    part("share").addEventListener("click", () => this.share());
    part("events").addEventListener("click", (event) => {
      const item = event.target.closest("li");
      if (!item) return;
      const half = Math.max(20, (panes.to - panes.from) / 6);
      panes.setWindow(Math.max(0, item.dataset.update - half), Number(item.dataset.update) + half);
    });
    for (const dialog of this.root.querySelectorAll("dialog")) dialog.addEventListener("click", (event) => event.target === dialog && dialog.close("cancel"));
    window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.theme(remembered()));
    document.addEventListener("visibilitychange", () => document.hidden || this.soon(0));
    (this.pageWide ? document : this.root).addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.key === "Escape") this.controls.drop();
    const typing = event.target.closest?.("input[type=text], textarea, select, dialog");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || (event.target.type === "range" && event.key.startsWith("Arrow"))) return;
    const { panes, part } = this;
    const far = event.shiftKey ? 10 : 1;
    const toggle = (name) => panes.panes.get(name).scale.click();
    const actions = {
      "?": () => part("help").showModal(), t: () => part("theme").click(), l: () => toggle("loss"), r: () => toggle("lr"),
      0: () => panes.setMode("follow"), f: () => panes.setMode("follow"), a: () => panes.setMode("all"),
      "+": () => panes.zoom(0.7), "=": () => panes.zoom(0.7), "-": () => panes.zoom(1 / 0.7),
      "[": () => panes.move(-0.2), "]": () => panes.move(0.2), s: () => part("schedule").focus(),
      ArrowLeft: () => panes.step(-6 * far), ArrowRight: () => panes.step(6 * far),
    };
    if (!(event.key in actions)) return;
    event.preventDefault();
    event.stopPropagation(); // a notebook has keys of its own
    actions[event.key]();
    if (event.key.startsWith("Arrow")) part("spoken").textContent = panes.spoken();
  }

  isDark() {
    return (this.root.dataset.theme ?? (window.matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  }

  theme(name) {
    if (name === "light" || name === "dark") {
      this.root.dataset.theme = name;
      remember(name);
    }
    this.part("theme").textContent = this.isDark() ? "Light" : "Dark";
    if (this.panes) {
      this.panes.colors();
      for (const pane of this.panes.panes.values()) pane.keys = "";
      this.panes.draw();
    }
  }

  async share() {
    const link = this.transport.readLink(this.readToken);
    try {
      await navigator.clipboard.writeText(link);
      this.part("share").textContent = "Copied";
    } catch {
      window.prompt("The link for reading only", link);
    }
    setTimeout(() => (this.part("share").textContent = "Copy read-only link"), 1600);
  }

  confirmStop() {
    const dialog = this.part("confirm");
    dialog.returnValue = "cancel";
    dialog.showModal();
    return new Promise((resolve) => dialog.addEventListener("close", () => resolve(dialog.returnValue === "stop"), { once: true }));
  }
}

function remembered() {
  try {
    return localStorage.getItem("learnrate-theme");
  } catch {
    return null; // storage is switched off in this browser
  }
}

function remember(name) {
  try {
    localStorage.setItem("learnrate-theme", name);
  } catch {
    // storage is switched off in this browser; the theme lasts as long as the page
  }
}
