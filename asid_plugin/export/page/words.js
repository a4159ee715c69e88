// Numbers in words.

/** A number of things: '1 tile', '2 tiles'. */
export const counted = (number, thing) => `${number} ${thing}${number === 1 ? '' : 's'}`;

/** A duration in words. */
export function duration(seconds) {
  const step = seconds < 10 ? 1 : 5;
  if (seconds < 90) return counted(Math.max(1, step * Math.round(seconds / step)), 'second');
  if (seconds < 90 * 60) return counted(Math.round(seconds / 60), 'minute');
  return `${(seconds / 3600).toFixed(1)} hours`;
}

export function median(numbers) {
  return [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
