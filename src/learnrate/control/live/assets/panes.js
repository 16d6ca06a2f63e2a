// The charts of a run, one below the other, with one window, one crosshair, and one way to move about.
import { Chart } from "./chart.js";
import { middles, nearest, smoothed } from "./decode.js";
import { number, roundedUp } from "./format.js";

const LEVELS = [0, 0.002, 0.006, 0.015, 0.035, 0.08];
const GLYPHS = { scale: "×", replace: "◆", cooldown: "↘", undo: "↶", skip: "∅", rollback: "⟲", stop: "■" };
const BAD = new Set(["stop", "rollback", "skip"]);
const CLOSEST = 8;

const WORDS = { cooldown: "cooldown", skip: "update left out", rollback: "rolled back", stop: "stopped", replace: "new schedule" };

export const glyph = (kind) => GLYPHS[kind] ?? "•";

/** What an event did, in a few words; its reason is beside it. */
export const effect = (event) => WORDS[event.kind] ?? (event.factor === 1 ? "as planned" : `×${number(event.factor)}`);

/** A part of the page that shows a chart, with its title, its legend and the switch of its scale. */
class Pane {
  constructor(holder, name, title, color, height, changed) {
    this.name = name;
    this.color = color;
    this.element = holder.appendChild(document.createElement("section"));
    this.element.className = "pane";
    this.element.setAttribute("aria-label", title);
    const header = this.element.appendChild(document.createElement("header"));
    header.appendChild(document.createElement("h2")).textContent = title;
    this.legend = header.appendChild(document.createElement("div"));
    this.legend.className = "legend";
    this.scale = header.appendChild(document.createElement("button"));
    this.scale.type = "button";
    this.scale.textContent = "log";
    this.scale.setAttribute("aria-pressed", "false");
    this.scale.setAttribute("aria-label", `Log scale of ${title.toLowerCase()}`);
    this.scale.addEventListener("click", () => {
      this.chart.log = !this.chart.log;
      this.scale.setAttribute("aria-pressed", String(this.chart.log));
      changed();
    });
    const canvases = this.element.appendChild(document.createElement("div"));
    canvases.className = "canvases";
    this.chart = new Chart(canvases, height);
    this.keys = "";
  }

  /** The names of the lines, and their values at an update. */
  describe(update) {
    const shown = this.chart.layers.filter((layer) => layer.label).sort((a, b) => (a.below ?? 0) - (b.below ?? 0));
    const keys = shown.map((layer) => layer.label + layer.color + (layer.area ?? "")).join("|");
    if (keys !== this.keys) {
      this.keys = keys;
      this.values = shown.map((layer) => {
        const item = document.createElement("span");
        const line = item.appendChild(document.createElement("i"));
        line.className = layer.kind === "band" ? "area" : layer.dash ? (layer.dash[0] < 4 ? "dotted" : "dashed") : "";
        line.style.color = layer.color;
        item.append(`${layer.label} `);
        const value = item.appendChild(document.createElement("b"));
        return { item, value };
      });
      this.legend.replaceChildren(...this.values.map((entry) => entry.item));
    }
    shown.forEach((layer, index) => {
      this.values[index].value.textContent = update === null ? "" : layer.shown(update).replace("–", "");
    });
  }
}

/** The value of a line at an update, between its points; NaN where it has none. */
function at({ x, y }, update) {
  if (!x.length || update < x[0] || update > x.at(-1)) return NaN;
  const near = nearest(x, update);
  const index = x[near] > update ? near - 1 : near;
  if (x[index] === update || index + 1 >= x.length) return y[index];
  return y[index] + ((update - x[index]) / (x[index + 1] - x[index])) * (y[index + 1] - y[index]);
}

export class Panes {
  constructor(root, holder, { windowChanged, hovered }) {
    Object.assign(this, { root, holder, windowChanged, hovered });
    this.panes = new Map();
    this.mode = "follow";
    [this.from, this.to, this.first, this.last, this.total, this.ended] = [0, 100, 0, null, null, false];
    [this.series, this.plan, this.preview, this.events] = [null, null, null, []];
    [this.cross, this.selection, this.level] = [null, null, 3];
    this.pane("lr", "Learning rate", "lr", 250).chart.glyphs = true;
    this.pane("loss", "Loss", "loss", 230);
    this.panes.get("lr").chart.fromZero = true;
    this.tip = holder.appendChild(document.createElement("div"));
    this.tip.className = "tip";
    this.tip.hidden = true;
    new ResizeObserver(() => this.resized()).observe(holder);
    this.listen();
  }

  pane(name, title, color, height) {
    if (!this.panes.has(name)) {
      const pane = new Pane(this.holder, name, title, color, height, () => this.draw());
      this.panes.set(name, pane);
      pane.chart.measure();
    }
    return this.panes.get(name);
  }

  colors() {
    const style = getComputedStyle(this.root);
    const names = ["ground", "ink", "quiet", "rule", "edge", "lr", "loss", "gradient", "metric", "preview", "plan", "bad", "band"];
    this.palette = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }

  resized() {
    this.colors();
    for (const pane of this.panes.values()) pane.chart.measure();
    this.windowChanged();
    this.draw();
  }

  /** Number of pixels of the window. */
  get pixels() { return Math.max(50, Math.round(this.panes.get("lr").chart.inner)); }

  /** Show a part of the run by a rule, which holds while the run goes on. */
  setMode(mode) {
    this.mode = mode;
    this.follow();
  }

  /** Move the window with the run. */
  follow() {
    const last = this.last ?? this.first ?? 0;
    const first = this.first ?? 0;
    let [from, to] = [first, this.total ?? roundedUp(last * 1.05 + 10)];
    if (this.mode === "follow") {
      const reach = first + roundedUp((last - first) * 1.25 + 20);
      const over = this.ended || (this.total !== null && last >= this.total);
      to = over ? Math.max(last, first + 10) : this.total === null ? reach : Math.min(reach, Math.max(this.total, first + 10));
    } else if (this.mode === "tail") {
      to = last;
      from = Math.max(first, Math.floor(last - Math.max(20, (last - first) / 10)));
    } else if (this.mode === null) {
      return;
    }
    this.setWindow(from, Math.max(to, from + CLOSEST, this.mode === "all" ? last : 0), this.mode);
  }

  setWindow(from, to, mode = null) {
    const limit = Math.max((this.total ?? 0) * 1.5, (this.last ?? 0) * 2, 200);
    if (to - from < CLOSEST) [from, to] = [(from + to) / 2 - CLOSEST / 2, (from + to) / 2 + CLOSEST / 2];
    if (from < 0) [from, to] = [0, to - from];
    if (to > limit) [from, to] = [Math.max(0, from - (to - limit)), limit];
    const same = this.from === from && this.to === to && this.mode === mode;
    [this.from, this.to, this.mode] = [from, to, mode];
    if (!same) {
      this.windowChanged();
      this.draw();
    }
  }

  zoom(factor, around = null) {
    const middle = around ?? this.cross ?? (this.from + this.to) / 2;
    this.setWindow(middle - (middle - this.from) * factor, middle + (this.to - middle) * factor);
  }

  move(share) {
    const by = (this.to - this.from) * share;
    if (this.from + by < 0 && share < 0) this.setWindow(0, this.to - this.from);
    else this.setWindow(this.from + by, this.to + by);
  }

  draw() {
    if (this.drawing) return;
    this.drawing = requestAnimationFrame(() => {
      this.drawing = null;
      this.paint();
    });
  }

  paint() {
    if (!this.palette) this.colors();
    this.compose();
    const marks = this.marks();
    for (const pane of this.panes.values()) pane.chart.draw(this.from, this.to, this.palette, marks);
    this.point();
  }

  marks() {
    const inside = this.events.filter((event) => event.update >= this.from && event.update <= this.to);
    const last = new Map(inside.map((event) => [Math.round(this.panes.get("lr").chart.x(event.update)), event]));
    return [...last.values()].map((event) => ({ update: event.update, glyph: glyph(event.kind), bad: BAD.has(event.kind), event }));
  }

  compose() {
    const colors = this.palette;
    const rows = this.series?.blocks.get("rows");
    const x = rows ? middles(rows) : [];
    const lr = rows ? this.measured(rows, x, "lr", colors.lr, false) : [];
    const present = this.plan?.blocks.get("present");
    if (present) {
      if (!this.ended) lr.push({ kind: "line", ...this.later(present), color: colors.lr, width: 1.75, dash: [6, 5], alpha: 0.85, label: "ahead" });
      const original = this.plan.blocks.get("original");
      if (this.events.length || this.ended) {
        lr.unshift({ kind: "line", x: original.update, y: original.lr, color: colors.plan, width: 1.5, dash: [2, 4], label: "planned at the start", below: true });
      }
    }
    if (rows) {
      this.panes.get("loss").chart.layers = this.measured(rows, x, "loss", colors.loss, true);
      if (rows["gradient_norm.mean"].some((value) => value === value)) {
        this.pane("gradient_norm", "Gradient norm", "gradient", 150).chart.layers = this.measured(rows, x, "gradient_norm", colors.gradient, true);
      }
      for (const [name, block] of this.series.blocks) if (name.startsWith("metric ")) this.composeMetric(name, block);
    }
    if (this.preview) {
      lr.push({ kind: "line", ...this.later(this.preview), color: colors.preview, width: 2, dash: [6, 4], label: "preview" });
    }
    for (const layer of lr) if (layer.label && !layer.shown) layer.shown = (update) => number(at(layer, update), 5);
    this.panes.get("lr").chart.layers = lr;
  }

  /** The part of a schedule that is still to come. */
  later({ update, lr }) {
    const start = this.last === null ? 0 : Math.max(0, update.findIndex((updateNumber) => updateNumber >= this.last));
    if (this.last !== null && !(update.at(-1) >= this.last)) return { x: [], y: [] };
    return { x: update.slice(start), y: lr.slice(start) };
  }

  composeMetric(name, block) {
    const title = name.slice(7);
    const color = this.palette.metric;
    const x = middles(block);
    const layers = [{ kind: "line", x, y: block["value.mean"], color, width: 1.75, label: "evaluation" }];
    layers[0].shown = (update) => number(block["value.last"][nearest(x, update)]);
    if (block.points < 60) layers.push({ kind: "dots", x, y: block["value.mean"], color });
    this.pane(name, title, "metric", 150).chart.layers = layers;
  }

  /** What was measured at each update: its extremes, and the mean of the updates that share a pixel, smoothed if asked for. */
  measured(rows, x, name, color, smooth) {
    const [low, high, mean] = [rows[`${name}.low`], rows[`${name}.high`], rows[`${name}.mean`]];
    const width = smooth ? LEVELS[this.level] * this.pixels * (x.length / this.pixels) * ((this.to - this.from) / Math.max(1, Math.min(this.to, x.at(-1) ?? 0) - Math.max(this.from, x[0] ?? 0))) : 0;
    const layers = [];
    const alpha = Number(this.palette.band);
    const wide = rows.points > 1 && rows.last[0] > rows.first[0];
    const plain = !(width > 0.3);
    if (wide) layers.push({ kind: "band", x, low, high, color, alpha: plain ? alpha * 1.6 : alpha * 1.2, label: smooth ? "lowest to highest" : undefined, shown: (update) => {
      const index = nearest(x, update);
      return index < 0 ? "" : `${number(low[index])} … ${number(high[index])}`;
    } });
    if (!wide && !plain) {
      layers.push({ kind: "line", x, y: mean, color, width: 1, alpha: 0.38, label: "raw", shown: (update) => number(mean[nearest(x, update)], 5) });
    }
    const y = plain ? mean : smoothed(mean, width);
    const line = { kind: "line", x, y, color, width: 2, label: plain ? (smooth ? "raw" : "used") : "smoothed" };
    // A mean of LRs is none that was used: at a change it lies between the one before and the one after.
    line.exact = plain && !(smooth && wide) ? rows[`${name}.last`] : y;
    line.shown = (update) => {
      const index = nearest(x, update);
      return index < 0 || update > x[index] + (rows.last[index] - rows.first[index]) + 1 ? "" : number(line.exact[index], 5);
    };
    line.dot = true;
    layers.push(line);
    const broken = rows[`${name}.broken`];
    if (broken) {
      const faults = [...x].filter((_, index) => broken[index] > 0);
      if (faults.length) layers.push({ kind: "faults", x: faults, color: this.palette.bad, label: "not finite", shown: () => "" });
    }
    return layers;
  }

  /** Show the crosshair and the values at it. */
  point() {
    for (const pane of this.panes.values()) {
      pane.describe(this.cross);
      if (!pane.chart.range) continue;
      const dots = this.cross === null ? [] : pane.chart.layers.filter((layer) => layer.dot).map((layer) => ({ value: this.dot(layer), color: layer.color }));
      pane.chart.hover(this.cross, dots, this.selection);
    }
    this.hovered(this.cross);
    this.showTip();
  }

  dot(layer) {
    const index = nearest(layer.x, this.cross);
    return index < 0 || Math.abs(layer.x[index] - this.cross) > Math.max(1, (this.to - this.from) / 100) ? NaN : layer.exact[index];
  }

  /** The reason of the event that the crosshair is at. */
  showTip() {
    const chart = this.panes.get("lr").chart;
    const near = this.cross === null ? [] : this.events.filter((event) => Math.abs(chart.x(event.update) - chart.x(this.cross)) < 7);
    this.near = near.at(-1) ?? null;
    this.tip.hidden = this.near === null || this.selection !== null;
    if (this.tip.hidden) return;
    const header = this.panes.get("lr").element.firstChild.offsetHeight + 26;
    this.tip.textContent = `Update ${this.near.update.toLocaleString("en-US")}, ${this.near.who}, ${effect(this.near)}: ${this.near.reason || this.near.kind}${near.length > 1 ? ` (and ${near.length - 1} more)` : ""}`;
    const x = chart.x(this.near.update);
    this.tip.style.top = `${header}px`;
    this.tip.style.left = x > chart.width / 2 ? "auto" : `${x + 12}px`;
    this.tip.style.right = x > chart.width / 2 ? `${chart.width - x + 12}px` : "auto";
  }

  listen() {
    const chart = this.panes.get("lr").chart;
    const updateOf = (event) => chart.updateAt(event.clientX - chart.holder.getBoundingClientRect().left);
    let start = null;
    this.holder.style.position = "relative";
    this.holder.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || !event.target.closest(".canvases")) return;
      start = { update: updateOf(event), x: event.clientX, from: this.from, to: this.to, pan: event.shiftKey };
      event.target.setPointerCapture?.(event.pointerId);
    });
    this.holder.addEventListener("pointermove", (event) => {
      if (!start && !event.target.closest(".canvases")) return this.leave();
      this.cross = Math.round(Math.max(this.from, Math.min(this.to, updateOf(event))));
      if (start?.pan) {
        const by = ((start.x - event.clientX) / chart.inner) * (start.to - start.from);
        this.setWindow(Math.max(0, start.from + by), Math.max(0, start.from + by) + start.to - start.from);
      } else if (start && Math.abs(event.clientX - start.x) > 5) {
        this.selection = [start.update, updateOf(event)];
      }
      this.point();
      return undefined;
    });
    const end = (event) => {
      const chosen = start && this.selection;
      [start, this.selection] = [null, null];
      if (chosen && event.type === "pointerup") this.setWindow(Math.max(0, Math.min(...chosen)), Math.max(...chosen));
      this.point();
    };
    this.holder.addEventListener("pointerup", end);
    this.holder.addEventListener("pointercancel", end);
    this.holder.addEventListener("pointerleave", () => start || this.leave());
    this.holder.addEventListener("dblclick", (event) => event.target.closest(".canvases") && this.setMode("follow"));
    this.holder.addEventListener("wheel", (event) => {
      if (!event.target.closest(".canvases") || event.ctrlKey) return;
      event.preventDefault();
      const turn = event.deltaY || event.deltaX;
      if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) this.move(Math.sign(turn) * 0.08);
      else this.zoom(Math.exp(Math.max(-60, Math.min(60, turn)) * 0.004), updateOf(event));
    }, { passive: false });
  }

  leave() {
    if (this.cross === null) return;
    this.cross = null;
    this.point();
  }

  /** Move the crosshair by pixels, from the keyboard. */
  step(pixels) {
    const by = Math.max(1, Math.round((Math.abs(pixels) / this.pixels) * (this.to - this.from))) * Math.sign(pixels);
    this.cross = Math.round(Math.max(this.from, Math.min(this.to, (this.cross ?? this.last ?? this.from) + by)));
    this.point();
  }

  /** The values at the crosshair in words. */
  spoken() {
    if (this.cross === null) return "";
    const parts = [...this.panes.values()].map((pane) => `${pane.element.getAttribute("aria-label")} ${pane.legend.textContent}`);
    return `Update ${this.cross.toLocaleString("en-US")}: ${parts.join("; ")}${this.near ? `. ${this.tip.textContent}` : ""}`;
  }
}
