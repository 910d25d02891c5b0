/** What both charts draw, and how their updates are measured. */

const CANDLES = 2_000;
const UPDATES = 60;

/** Return candles and the band around them, times in seconds since 1970. */
export function candles() {
  return Array.from({ length: CANDLES }, (_, index) => candle(index));
}

/** @param {number} index */
export function candle(index) {
  const open = 60_000 + 900 * Math.sin(index / 97) + 60 * Math.sin(index / 5);
  const close = 60_000 + 900 * Math.sin((index + 1) / 97) + 60 * Math.sin((index + 1) / 5);
  const high = Math.max(open, close) + 20;
  const low = Math.min(open, close) - 20;
  return { time: 1_700_000_000 + 60 * index, open, high, low, close, bottom: low - 100, top: high + 100 };
}

/**
 * Measure updates, each from its start to the end of the frame that shows it. Each one changes the newest candle; every
 * tenth adds one.
 *
 * @param {(point: ReturnType<typeof candle>) => unknown} update
 * @returns {Promise<number[]>} milliseconds
 */
export async function measure(update) {
  const taken = [];
  let index = CANDLES - 1;
  for (let round = 0; round < UPDATES; round += 1) {
    await frame();
    const began = performance.now();
    index += round % 10 === 9 ? 1 : 0;
    const point = candle(index);
    await update({ ...point, close: point.close + (round % 3) - 1 });
    await frame();
    taken.push(performance.now() - began);
  }
  return taken;
}

/** Wait until the next frame has been drawn. */
export function frame() {
  return new Promise((resolve) => {
    requestAnimationFrame(() => {
      const channel = new MessageChannel();
      channel.port1.onmessage = resolve;
      channel.port2.postMessage(null);
    });
  });
}
