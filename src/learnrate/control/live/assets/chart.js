// One chart on a canvas: axes, layers, and on a second canvas what follows the pointer.
import { logTicks, number, shortCount, ticks } from "./format.js";

const LEFT = 62;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 24;

/** A chart. Layers: {kind: "line" | "band" | "dots" | "faults", x, y | low, high, color, width, dash, alpha}. */
export class Chart {
  constructor(holder, height) {
    this.holder = holder;
    this.base = holder.appendChild(document.createElement("canvas"));
    this.over = holder.appendChild(document.createElement("canvas"));
    this.base.setAttribute("aria-hidden", "true");
    this.over.setAttribute("aria-hidden", "true");
    this.log = false;
    this.fromZero = false;
    this.layers = [];
    holder.style.height = `${height}px`;
  }

  /** Fit the canvases to the screen; the device may have several dots a pixel. */
  measure() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.holder.clientWidth;
    this.height = this.holder.clientHeight;
    for (const canvas of [this.base, this.over]) {
      const wide = Math.round(this.width * ratio);
      const high = Math.round(this.height * ratio);
      if (canvas.width !== wide || canvas.height !== high) {
        canvas.width = wide;
        canvas.height = high;
      }
      canvas.getContext("2d").setTransform(ratio, 0, 0, ratio, 0, 0);
    }
  }

  get left() { return LEFT; }

  get inner() { return Math.max(1, this.width - LEFT - RIGHT); }

  x(update) { return LEFT + ((update - this.from) / (this.to - this.from)) * this.inner; }

  updateAt(x) { return this.from + ((x - LEFT) / this.inner) * (this.to - this.from); }

  y(value) {
    const [low, high] = this.range;
    const share = this.log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low);
    return this.height - BOTTOM - share * (this.height - TOP - BOTTOM);
  }

  /** The lowest and the highest value of the part that is shown. */
  fit() {
    let low = Infinity;
    let high = -Infinity;
    for (const layer of this.layers) {
      if (layer.kind === "faults" || layer.free) continue;
      const lows = layer.low ?? layer.y;
      const highs = layer.high ?? layer.y;
      for (let index = 0; index < layer.x.length; index += 1) {
        if (layer.x[index] < this.from || layer.x[index] > this.to) continue;
        if (lows[index] < low && (!this.log || lows[index] > 0)) low = lows[index];
        if (highs[index] > high && (!this.log || highs[index] > 0)) high = highs[index];
      }
    }
    if (!(low <= high)) [low, high] = this.log ? [0.1, 1] : [0, 1];
    if (this.log) {
      if (high / low > 1e12) low = high / 1e12;
      const room = Math.max((high / low) ** 0.06, 1.02);
      this.range = [low / room, high * room];
      return;
    }
    const room = (high - low || Math.abs(high) || 1) * 0.07;
    this.range = this.fromZero && low >= 0 ? [0, high + room] : [low - room, high + room];
  }

  draw(from, to, colors, marks) {
    [this.from, this.to, this.colors] = [from, to, colors];
    this.fit();
    const context = this.base.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    this.axes(context);
    context.save();
    context.beginPath();
    context.rect(LEFT - 1, 0, this.inner + 2, this.height - BOTTOM + 1);
    context.clip();
    for (const mark of marks) {
      this.line(context, [mark.update, mark.update], null, { color: colors.edge, width: 1, dash: [2, 3] });
    }
    for (const layer of this.layers) {
      if (layer.kind === "band") this.band(context, layer);
      else if (layer.kind === "faults") this.faults(context, layer);
      else if (layer.kind === "dots") this.dots(context, layer);
      else this.line(context, layer.x, layer.y, layer);
    }
    context.restore();
    if (this.glyphs) this.marks(context, marks);
  }

  axes(context) {
    context.font = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif';
    context.lineWidth = 1;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const [low, high] = this.range;
    const wanted = Math.max(2, Math.round(this.height / 42));
    for (const value of this.log ? logTicks(low, high, wanted) : ticks(low, high, wanted)) {
      const y = Math.round(this.y(value)) + 0.5;
      context.strokeStyle = this.colors.rule;
      context.beginPath();
      context.moveTo(LEFT, y);
      context.lineTo(this.width - RIGHT, y);
      context.stroke();
      context.fillStyle = this.colors.quiet;
      context.fillText(number(value), LEFT - 9, y);
    }
    context.textBaseline = "top";
    context.textAlign = "center";
    for (const update of ticks(this.from, this.to, Math.max(2, this.inner / 110))) {
      const x = this.x(update);
      if (!Number.isInteger(update) || x < LEFT - 1) continue;
      context.fillStyle = this.colors.quiet;
      const label = shortCount(update, this.to);
      const half = context.measureText(label).width / 2;
      context.fillText(label, Math.min(x, this.width - half - 1), this.height - BOTTOM + 8);
      context.strokeStyle = this.colors.edge;
      context.beginPath();
      context.moveTo(Math.round(x) + 0.5, this.height - BOTTOM);
      context.lineTo(Math.round(x) + 0.5, this.height - BOTTOM + 4);
      context.stroke();
    }
    context.strokeStyle = this.colors.edge;
    context.beginPath();
    context.moveTo(LEFT, this.height - BOTTOM + 0.5);
    context.lineTo(this.width - RIGHT, this.height - BOTTOM + 0.5);
    context.stroke();
  }

  line(context, xs, ys, layer) {
    context.strokeStyle = layer.color;
    context.globalAlpha = layer.alpha ?? 1;
    context.lineWidth = layer.width ?? 2;
    context.lineJoin = "round";
    context.setLineDash(layer.dash ?? []);
    context.beginPath();
    let open = false;
    for (let index = 0; index < xs.length; index += 1) {
      const y = ys === null ? (index ? this.height - BOTTOM : TOP - 4) : this.visible(ys[index]);
      if (y === null) {
        open = false;
        continue;
      }
      const x = this.x(xs[index]);
      if (open) context.lineTo(x, y);
      else context.moveTo(x, y);
      open = true;
    }
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  /** The height of a value; null for a gap. */
  visible(value) {
    if (value !== value || (this.log && value <= 0)) return null;
    return Math.max(-1e4, Math.min(1e4, this.y(value)));
  }

  band(context, layer) {
    context.fillStyle = layer.color;
    context.globalAlpha = layer.alpha ?? 0.2;
    const floor = this.log ? this.range[0] : -Infinity;
    let start = 0;
    const { x, low, high } = layer;
    while (start < x.length) {
      while (start < x.length && !(high[start] > floor)) start += 1;
      let end = start;
      while (end < x.length && high[end] > floor) end += 1;
      context.beginPath();
      for (let index = start; index < end; index += 1) context.lineTo(this.x(x[index]), this.visible(high[index]) - 0.5);
      for (let index = end - 1; index >= start; index -= 1) {
        context.lineTo(this.x(x[index]), this.visible(Math.max(low[index], floor)) + 0.5);
      }
      context.fill();
      start = end;
    }
    context.globalAlpha = 1;
  }

  dots(context, layer) {
    context.fillStyle = layer.color;
    for (let index = 0; index < layer.x.length; index += 1) {
      const y = this.visible(layer.y[index]);
      if (y === null) continue;
      context.beginPath();
      context.arc(this.x(layer.x[index]), y, 3, 0, 7);
      context.fill();
    }
  }

  /** Values that were not finite, as marks at the upper edge. */
  faults(context, layer) {
    context.fillStyle = layer.color;
    for (const update of layer.x) {
      const x = this.x(update);
      context.beginPath();
      context.moveTo(x - 4, TOP - 8);
      context.lineTo(x + 4, TOP - 8);
      context.lineTo(x, TOP);
      context.fill();
    }
  }

  marks(context, marks) {
    context.font = '13px system-ui, sans-serif';
    context.textAlign = "center";
    context.textBaseline = "middle";
    let last = -Infinity;
    for (const mark of marks) {
      const x = this.x(mark.update);
      if (x < LEFT || x > this.width - RIGHT || x - last < 11) continue;
      context.fillStyle = this.colors.ground;
      context.beginPath();
      context.arc(x, TOP, 9, 0, 7);
      context.fill();
      context.fillStyle = mark.bad ? this.colors.bad : this.colors.lr;
      context.fillText(mark.glyph, x, TOP + 0.5);
      last = x;
    }
  }

  /** The crosshair, the values at it, or the part that is being selected. */
  hover(update, dots, selection) {
    const context = this.over.getContext("2d");
    context.clearRect(0, 0, this.width, this.height);
    if (selection) {
      const [left, right] = selection.map((edge) => Math.max(LEFT, Math.min(this.width - RIGHT, this.x(edge)))).sort((a, b) => a - b);
      context.fillStyle = this.colors.lr;
      context.globalAlpha = 0.12;
      context.fillRect(left, TOP - 4, right - left, this.height - BOTTOM - TOP + 4);
      context.globalAlpha = 1;
    }
    if (update === null || update < this.from || update > this.to) return;
    const x = Math.round(this.x(update)) + 0.5;
    context.strokeStyle = this.colors.quiet;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, TOP - 4);
    context.lineTo(x, this.height - BOTTOM);
    context.stroke();
    for (const dot of dots) {
      const y = this.visible(dot.value);
      if (y === null) continue;
      context.fillStyle = this.colors.ground;
      context.beginPath();
      context.arc(x, y, 5.5, 0, 7);
      context.fill();
      context.fillStyle = dot.color;
      context.beginPath();
      context.arc(x, y, 4, 0, 7);
      context.fill();
    }
    context.font = '600 12px system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", Arial, sans-serif';
    const label = Math.round(update).toLocaleString("en-US");
    const half = context.measureText(label).width / 2 + 7;
    const middle = Math.max(LEFT + half - 8, Math.min(this.width - half, x));
    context.fillStyle = this.colors.ink;
    context.beginPath();
    context.roundRect(middle - half, this.height - BOTTOM + 4, 2 * half, 19, 5);
    context.fill();
    context.fillStyle = this.colors.ground;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.fillText(label, middle, this.height - BOTTOM + 14);
  }
}
