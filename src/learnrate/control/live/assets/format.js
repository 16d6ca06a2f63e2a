// Numbers, times and ticks as text.

/** A number with at most this many significant digits, in the shorter of the two usual forms. */
export function number(value, digits = 4) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split("e");
    return `${mantissa.includes(".") ? mantissa.replace(/\.?0+$/, "") : mantissa}e${exponent.replace("+", "")}`;
  }
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

/** A count with thousands separated. */
export function count(value) {
  return value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en-US");
}

/** A count on an axis that reaches to a largest one: 20k, 1.5M. */
export function shortCount(value, largest) {
  if (value === 0) return "0";
  const [unit, name] = largest >= 1e9 ? [1e9, "G"] : largest >= 1e6 ? [1e6, "M"] : largest >= 1e4 ? [1e3, "k"] : [1, ""];
  return name ? `${Number((value / unit).toPrecision(10))}${name}` : count(value);
}

/** Seconds as "3 h 20 min". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

/** Round values between two others, about as many as asked for. */
export function ticks(low, high, wanted) {
  const raw = (high - low) / Math.max(1, wanted);
  if (!(raw > 0) || !Number.isFinite(raw)) return [low];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) * power;
  const first = Math.ceil(low / step - 1e-9);
  const result = [];
  for (let index = first; index * step <= high + step * 1e-9 && result.length < 50; index += 1) result.push(index * step);
  return result.map((value) => Number(value.toPrecision(12)));
}

/** Powers of ten between two values, with 2 and 5 times them if there are few. */
export function logTicks(low, high, wanted) {
  const decades = Math.log10(high / low);
  const factors = decades < 0.8 ? null : decades < 3 ? [1, 2, 5] : [1];
  if (factors === null) return ticks(low, high, wanted).filter((value) => value > 0);
  const every = Math.max(1, Math.ceil(decades / Math.max(2, wanted)));
  const result = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    if (factors.length === 1 && power % every !== 0) continue;
    for (const factor of factors) result.push(Number((factor * 10 ** power).toPrecision(12)));
  }
  return result.filter((value) => value >= low * 0.999 && value <= high * 1.001);
}

/** The smallest of 1, 2, 5, 10, 20, ... that is at least a number. */
export function roundedUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, value)));
  return [1, 2, 5, 10].find((factor) => factor * power >= value) * power;
}
