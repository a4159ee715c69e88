// Colours under full transparency.

// Steps to visited neighbours, with their lengths: a chamfer distance with a mask of 5 x 5 pixels. The backward pass uses
// the same steps, rotated by 180 degrees.
const STEPS = [
  [-1, -2, 2.1969], [1, -2, 2.1969], [-2, -1, 2.1969], [-1, -1, 1.4], [0, -1, 1], [1, -1, 1.4], [2, -1, 2.1969],
  [-1, 0, 1],
].map(([x, y, length]) => [x, y, Math.round(length * 65536)]);

/** Give each pixel that nobody sees the colour of the nearest one that is seen, as asid_plugin/images/alpha.py does. */
export function fillHidden({pixels, width, height}) {
  const area = width * height;
  const distance = new Uint32Array(area);
  const nearest = new Uint32Array(area);
  let hidden = 0;
  for (let i = 0; i < area; i++) {
    const isHidden = pixels[4 * i + 3] === 0;
    distance[i] = isHidden ? 2 ** 31 - 1 : 0;
    nearest[i] = i;
    hidden += isHidden;
  }
  if (hidden === 0 || hidden === area) return;

  for (const turn of [1, -1]) {
    for (let n = 0; n < area; n++) {
      const i = turn > 0 ? n : area - 1 - n;
      if (distance[i] === 0) continue;
      const [x, y] = [i % width, Math.floor(i / width)];
      for (const [right, below, length] of STEPS) {
        const [toX, toY] = [x + turn * right, y + turn * below];
        if (toX < 0 || toX >= width || toY < 0 || toY >= height) continue;
        const to = toY * width + toX;
        if (distance[to] + length < distance[i]) {
          distance[i] = distance[to] + length;
          nearest[i] = nearest[to];
        }
      }
    }
  }
  for (let i = 0; i < area; i++) {
    if (pixels[4 * i + 3] === 0) for (let c = 0; c < 3; c++) pixels[4 * i + c] = pixels[4 * nearest[i] + c];
  }
}
