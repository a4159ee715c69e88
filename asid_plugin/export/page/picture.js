// The pixels of a picture's file, as the browser decodes it: upright, in sRGB, 8 bits.

/** Most pixels, and most pixels along a side, of the enlarged picture: about the limit of canvases in browsers. */
const [MOST_PIXELS, MOST_SIDE] = [2 ** 26, 2 ** 14];
const PIECE = 2048; // side of a texture that every graphics card supports

/** The largest size of a picture, in words. */
export function limit(scale) {
  const megapixels = (MOST_PIXELS / scale ** 2 / 1e6).toPrecision(3);
  const side = Math.floor(MOST_SIDE / scale);
  return `Pictures of up to ${megapixels} megapixels and ${side} pixels a side are accepted.`;
}

/** A picture that cannot be enlarged; the message is a sentence. */
export class Refused extends Error {}

/** Read a file: its pixels (RGBA, not multiplied by alpha), width, height, and whether it is grey or has alpha. */
export async function readPicture(file, scale) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {imageOrientation: 'from-image', premultiplyAlpha: 'none'});
  } catch {
    throw new Refused(`${file.name} is damaged, too large, or not a picture that this browser can read.`);
  }
  const {width, height} = bitmap;
  const [longest, area] = [scale * Math.max(width, height), scale * scale * width * height];
  if (area > MOST_PIXELS || longest > MOST_SIDE) {
    throw new Refused(`${file.name}: ${width}x${height} is too large. ${limit(scale)}`);
  }
  let pixels = drawn(bitmap);
  const alpha = hasAlpha(pixels);
  if (alpha) pixels = await unmultiplied(bitmap) ?? pixels;
  bitmap.close();
  return {pixels, width, height, alpha, grey: isGrey(pixels)};
}

/** Pixels from a canvas, which every browser has; where alpha is low, colours lose precision. */
function drawn(bitmap) {
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d', {willReadFrequently: true});
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

/** Pixels from textures, which preserve colours under any alpha; null without WebGL. */
async function unmultiplied(bitmap) {
  const gl = new OffscreenCanvas(1, 1).getContext('webgl2');
  if (!gl) return null;
  const {width, height} = bitmap;
  const pixels = new Uint8ClampedArray(4 * width * height);
  gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.pixelStorei(gl.PACK_ROW_LENGTH, width);
  for (let top = 0; top < height; top += PIECE) {
    for (let left = 0; left < width; left += PIECE) {
      const size = [Math.min(PIECE, width - left), Math.min(PIECE, height - top)];
      const piece = await createImageBitmap(bitmap, left, top, ...size, {premultiplyAlpha: 'none'});
      const [target, form] = [gl.TEXTURE_2D, [gl.RGBA, gl.UNSIGNED_BYTE]];
      gl.texImage2D(target, 0, gl.RGBA, ...form, piece);
      gl.framebufferTexture2D(gl.FRAMEBUFFER, gl.COLOR_ATTACHMENT0, target, gl.getParameter(gl.TEXTURE_BINDING_2D), 0);
      gl.readPixels(0, 0, ...size, ...form, pixels, 4 * (top * width + left));
      piece.close();
    }
  }
  const failed = gl.getError() !== gl.NO_ERROR;
  gl.getExtension('WEBGL_lose_context')?.loseContext();
  return failed ? null : pixels;
}

function hasAlpha(pixels) {
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i] !== 255) return true;
  return false;
}

function isGrey(pixels) {
  for (let i = 0; i < pixels.length; i += 4) {
    if (pixels[i] !== pixels[i + 1] || pixels[i] !== pixels[i + 2]) return false;
  }
  return true;
}
