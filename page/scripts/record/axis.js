/** The axis of a small figure: from a value to its place. */

/** @typedef {{ from: number, to: number, ticks: number[] }} Axis */

const STEPS = [1, 2, 5, 10];
const MOST_TICKS = 3; // approximately

/**
 * Return an axis that has all values, from one round number to another.
 *
 * @param {number[]} values at least one, finite
 * @returns {Axis}
 */
export function axisOf(values) {
  const [least, most] = [Math.min(...values), Math.max(...values)];
  const span = most - least || Math.abs(most) || 1;
  const power = 10 ** Math.floor(Math.log10(span / MOST_TICKS));
  const step = power * (STEPS.find((factor) => span / (power * factor) <= MOST_TICKS) ?? 10);
  const [from, to] = [Math.floor(least / step + 1e-9), Math.ceil(most / step - 1e-9)];
  const last = Math.max(to, from + 1);
  const ticks = Array.from({ length: last - from + 1 }, (_, index) => cleaned((from + index) * step));
  return { from: cleaned(from * step), to: cleaned(last * step), ticks };
}

/**
 * Return where a value is: "0%" at the start of the axis, "100%" at its end. Values beyond the ends are at the ends.
 *
 * @param {number} value
 * @param {Axis} axis
 */
export function place(value, { from, to }) {
  const share = (value - from) / (to - from);
  return `${cleaned(100 * Math.min(Math.max(share, 0), 1))}%`;
}

/** Return a number without the noise of its last digits. @param {number} value */
function cleaned(value) {
  return Number(value.toPrecision(8));
}
