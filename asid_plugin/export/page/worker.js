// Reads, enlarges and writes one picture in the background, so that the page stays responsive.
//
// It gets {file, settings, device}. Its messages to the page are of one `kind` each: `size` of the picture; `before` and
// `after`, rows of its bicubic interpolation and of its enlargement by ASID; `tile` after each tile; `done` with the
// PNG; `refused` with a sentence; `failed` with an error of the runtime.

import {COLOUR, OPACITY, enlargeCubic} from './cubic.js';
import {fillHidden} from './hidden.js';
import {loadNetwork} from './network.js';
import {PNG} from './png.js';
import {Refused, readPicture} from './picture.js';
import {enlargedRows, tileSize} from './tiles.js';

const GREY = [.299, .587, .114];
const STRIP = 128; // rows

/** Write planes (3, rows, width) in [0, 1] into rows of RGBA. */
function quantise(planes, rows, grey) {
  const area = planes.length / 3;
  const byte = (value) => Math.round(255 * Math.min(Math.max(value, 0), 1));
  for (let i = 0; i < area; i++) {
    const colour = [planes[i], planes[area + i], planes[2 * area + i]];
    if (!colour.every(Number.isFinite)) throw new Error('its output is not finite');
    const shown = grey ? Array(3).fill(GREY.reduce((sum, part, c) => sum + part * colour[c], 0)) : colour;
    for (let c = 0; c < 3; c++) rows[4 * i + c] = byte(shown[c]);
  }
}

/** Opaque rows `top` to `bottom` of the enlarged picture, with its alpha if it has any. */
function emptyRows(picture, scale, top, bottom) {
  const rows = new Uint8ClampedArray(4 * (bottom - top) * scale * picture.width).fill(255);
  if (picture.alpha) enlargeCubic(picture, scale, OPACITY, [3], top, bottom, rows);
  return rows;
}

function tellRows(kind, top, rows) {
  postMessage({kind, top, rows}, [rows.buffer]);
}

function interpolate(picture, scale) {
  const height = scale * picture.height;
  for (let top = 0; top < height; top += STRIP) {
    const bottom = Math.min(top + STRIP, height);
    const rows = emptyRows(picture, scale, top, bottom);
    enlargeCubic(picture, scale, COLOUR, [0, 1, 2], top, bottom, rows);
    tellRows('before', top, rows);
  }
}

async function enlarge({file, settings, device}) {
  const {scale} = settings;
  const picture = await readPicture(file, scale);
  const {width, height, alpha, grey} = picture;
  postMessage({kind: 'size', width, height});
  if (alpha) fillHidden(picture);
  interpolate(picture, scale);
  const {network, threads} = await loadNetwork(settings.model, device, tileSize(picture, settings));
  const png = new PNG(scale * width, scale * height, (grey ? 1 : 3) + alpha);
  const progress = (done, tiles, time) => postMessage({kind: 'tile', done, tiles, time});
  let top = 0;
  for await (const planes of enlargedRows(picture, network, settings, progress)) {
    const bottom = top + planes.length / (3 * scale * width);
    const rows = emptyRows(picture, scale, top, bottom);
    quantise(planes, rows, grey);
    await png.write(rows);
    tellRows('after', top, rows);
    top = bottom;
  }
  postMessage({kind: 'done', png: await png.finish(), threads});
}

addEventListener('message', async ({data}) => {
  try {
    await enlarge(data);
  } catch (error) {
    postMessage({kind: error instanceof Refused ? 'refused' : 'failed', message: String(error.message ?? error)});
  }
});
