// Enlarging by overlapping tiles, like asid_plugin/inference/tiling.py with whole windows and blended tiles.

/** Side and first pixels of the tiles along one side of a picture, the last one flush with the border. */
export function spans(length, {tile, overlap, window, least}) {
  if (length <= least) return {side: length, starts: [0]};
  const whole = (pixels) => Math.floor(pixels / window) * window;
  const side = Math.max(Math.min(whole(tile), whole(length)), least);
  const step = side - Math.floor(overlap * side / tile);
  const starts = [];
  for (let start = 0; start < length - side; start += step) starts.push(start);
  return {side, starts: [...starts, length - side]};
}

/** Weights that rise over `overlap` pixels from both ends of a side. */
export function ramp(length, overlap) {
  return Float32Array.from({length}, (_, i) => Math.min(i + 1, length - i, overlap + 1));
}

/** The source of each of `length` pixels, mirrored from `side` pixels with the border twice: 0 1 2 2 1 0 0. */
export function mirrored(side, length) {
  return Array.from({length}, (_, i) => Math.min(i % (2 * side), 2 * side - 1 - i % (2 * side)));
}

/** The common size of all tiles for the network, at least the least side. */
export function tileSize({width, height}, layout) {
  const [across, down] = [width, height].map((length) => Math.max(spans(length, layout).side, layout.least));
  return {width: across, height: down};
}

/** Planes (3, height, width) of a tile in [0, 1], mirrored at the bottom and right up to the least side. */
function cutOut(picture, left, top, columns, rows) {
  const {pixels, width} = picture;
  const planes = new Float32Array(3 * rows.length * columns.length);
  let i = 0;
  for (let channel = 0; channel < 3; channel++) {
    for (const y of rows) {
      const line = 4 * ((top + y) * width + left) + channel;
      for (const x of columns) planes[i++] = pixels[line + 4 * x] / 255;
    }
  }
  return planes;
}

/** Sums and weights of some rows of the enlarged picture. */
class Band {
  constructor(width, height) {
    Object.assign(this, {width, height, area: width * height});
    this.total = new Float32Array(3 * this.area);
    this.count = new Float32Array(this.area);
  }

  /** Add a tile's output, (3, …, stride), of which width x height pixels count, by the weights of its two sides. */
  add(output, stride, plane, left, across, down) {
    for (let y = 0; y < down.length; y++) {
      let at = y * this.width + left;
      let from = y * stride;
      for (let x = 0; x < across.length; x++, at++, from++) {
        const weight = down[y] * across[x];
        this.count[at] += weight;
        for (let channel = 0; channel < 3; channel++) {
          this.total[channel * this.area + at] += weight * output[channel * plane + from];
        }
      }
    }
  }

  /** Take the first rows out: their colours, (3, rows, width). What is below them moves up. */
  take(rows) {
    const taken = rows * this.width;
    const planes = new Float32Array(3 * taken);
    for (let channel = 0; channel < 3; channel++) {
      const plane = this.total.subarray(channel * this.area, (channel + 1) * this.area);
      for (let i = 0; i < taken; i++) planes[channel * taken + i] = plane[i] / this.count[i];
      plane.copyWithin(0, taken).fill(0, this.area - taken);
    }
    this.count.copyWithin(0, taken).fill(0, this.area - taken);
    return planes;
  }
}

/**
 * Enlarge a picture, and hand out rows as soon as no further tile reaches them.
 *
 * `picture` has pixels (RGBA), width and height; `network` maps planes of `tileSize` to the enlarged ones; `layout` is
 * that of settings.json; `progress` is called after each tile with the tiles done, their number, and the milliseconds
 * that the network took.
 */
export async function* enlargedRows(picture, network, layout, progress) {
  const {scale, overlap} = layout;
  const size = tileSize(picture, layout);
  const across = spans(picture.width, layout);
  const down = spans(picture.height, layout);
  const [columns, rows] = [mirrored(across.side, size.width), mirrored(down.side, size.height)];
  const [weightsAcross, weightsDown] = [across, down].map(
    ({side, starts}) => ramp(scale * side, starts.length > 1 ? scale * overlap : 0));
  const [stride, plane] = [scale * size.width, scale * scale * size.width * size.height];
  const band = new Band(scale * picture.width, scale * down.side);
  const tiles = across.starts.length * down.starts.length;
  let done = 0;
  for (const [index, top] of down.starts.entries()) {
    for (const left of across.starts) {
      const planes = cutOut(picture, left, top, columns, rows);
      const start = performance.now();
      const output = await network(planes);
      progress(++done, tiles, performance.now() - start);
      band.add(output, stride, plane, scale * left, weightsAcross, weightsDown);
    }
    const end = down.starts[index + 1] ?? picture.height;
    yield band.take(scale * (end - top));
  }
}
