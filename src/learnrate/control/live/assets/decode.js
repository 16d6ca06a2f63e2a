// Series as they come from the server, and what is computed from them.

/** Read an answer: a JSON head, then columns of numbers. */
export function decode(buffer) {
  const size = new DataView(buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, size)));
  let at = 4 + size;
  const blocks = new Map();
  for (const block of head.blocks) {
    const columns = { points: block.points };
    for (const name of block.whole) {
      columns[name] = new Float64Array(buffer.slice(at, at + 8 * block.points));
      at += 8 * block.points;
    }
    for (const name of block.values) {
      columns[name] = new Float32Array(buffer.slice(at, at + 4 * block.points));
      at += 4 * block.points;
    }
    blocks.set(block.name, columns);
  }
  return { ...head, blocks };
}

/** The middles of buckets. */
export function middles(block) {
  return Float64Array.from(block.first, (first, index) => (first + block.last[index]) / 2);
}

/** A weighted mean around each value, with the weights of a normal distribution; gaps are passed over. */
export function smoothed(values, width) {
  if (!(width > 0.3)) return values;
  const reach = Math.ceil(2.5 * width);
  const weights = Float64Array.from({ length: reach + 1 }, (_, k) => Math.exp((-k * k) / (2 * width * width)));
  const result = new Float64Array(values.length).fill(NaN);
  for (let index = 0; index < values.length; index += 1) {
    let total = 0;
    let weight = 0;
    for (let k = Math.max(-reach, -index); k <= reach && index + k < values.length; k += 1) {
      const value = values[index + k];
      if (value === value) {
        total += weights[Math.abs(k)] * value;
        weight += weights[Math.abs(k)];
      }
    }
    if (weight > 0) result[index] = total / weight;
  }
  return result;
}

/** The index of the value that is nearest to a target in a rising list; -1 if it is empty. */
export function nearest(values, target) {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < target) low = middle + 1;
    else high = middle;
  }
  if (low > 0 && Math.abs(values[low - 1] - target) <= Math.abs(values[low] - target)) low -= 1;
  return values.length ? low : -1;
}
