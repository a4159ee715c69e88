// Bicubic interpolation, replicated at the borders.

/** Sharpness of the cubic: MATLAB's for colours, OpenCV's for opacity, as asid_plugin does both. */
export const [COLOUR, OPACITY] = [-.5, -.75];

/** First pixel, from the one below, and weights of its four neighbours, for each place of a whole scale. */
function phases(scale, sharpness) {
  const near = (x) => (sharpness + 2) * x ** 3 - (sharpness + 3) * x ** 2 + 1;
  const far = (x) => sharpness * (x ** 3 - 5 * x ** 2 + 8 * x - 4);
  return Array.from({length: scale}, (_, place) => {
    const centre = (place + .5) / scale - .5;
    const below = Math.floor(centre);
    const t = centre - below;
    return {first: below - 1, weights: [far(1 + t), near(t), near(1 - t), far(2 - t)]};
  });
}

const clamp = (value, most) => Math.min(Math.max(value, 0), most);

/** Write some channels of rows `top` to `bottom` of the enlarged picture into `rows`, RGBA. */
export function enlargeCubic({pixels, width, height}, scale, sharpness, channels, top, bottom, rows) {
  const places = phases(scale, sharpness);
  const line = new Float32Array(width);
  for (const channel of channels) {
    for (let y = top; y < bottom; y++) {
      const {first, weights} = places[y % scale];
      line.fill(0);
      weights.forEach((weight, tap) => {
        const from = 4 * width * clamp((y - y % scale) / scale + first + tap, height - 1) + channel;
        for (let x = 0; x < width; x++) line[x] += weight * pixels[from + 4 * x];
      });
      let at = 4 * (y - top) * scale * width + channel;
      for (let x = 0; x < width; x++) {
        for (const {first: start, weights: [a, b, c, d]} of places) {
          const left = x + start;
          const value = left >= 0 && left + 3 < width
            ? a * line[left] + b * line[left + 1] + c * line[left + 2] + d * line[left + 3]
            : [a, b, c, d].reduce((sum, weight, tap) => sum + weight * line[clamp(left + tap, width - 1)], 0);
          rows[at] = clamp(Math.round(value), 255);
          at += 4;
        }
      }
    }
  }
}
