// A PNG file, written row by row: a canvas would lose colours under low alpha, and limit the size.

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}; // by the number of channels
const PAETH = 4;
const CRC = Uint32Array.from({length: 256}, (_, n) => {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >>> 1 ^ 0xEDB88320 : crc >>> 1;
  return crc;
});

/** Length, kind, data and checksum of a chunk. */
function chunk(kind, data) {
  const bytes = new Uint8Array(data.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(data, 8);
  let crc = 0xFFFFFFFF;
  for (let i = 4; i < data.length + 8; i++) crc = CRC[(crc ^ bytes[i]) & 255] ^ crc >>> 8;
  view.setUint32(data.length + 8, ~crc >>> 0);
  return bytes;
}

/** Each byte less the prediction from its left, upper and upper left neighbours, by PNG's filter of A. W. Paeth. */
function filtered(row, above, channels) {
  const bytes = new Uint8Array(row.length + 1);
  bytes[0] = PAETH;
  for (let i = 0; i < row.length; i++) {
    const inside = i >= channels;
    const [left, upper, corner] = [inside ? row[i - channels] : 0, above[i], inside ? above[i - channels] : 0];
    const [toLeft, toUpper, toCorner] =
      [Math.abs(upper - corner), Math.abs(left - corner), Math.abs(left + upper - 2 * corner)];
    bytes[i + 1] = row[i] - (
      toLeft <= toUpper && toLeft <= toCorner ? left : toUpper <= toCorner ? upper : corner);
  }
  return bytes;
}

export class PNG {
  constructor(width, height, channels) {
    const header = new DataView(new ArrayBuffer(13));
    header.setUint32(0, width);
    header.setUint32(4, height);
    header.setUint8(8, 8); // bits
    header.setUint8(9, COLOUR_TYPES[channels]);
    this.channels = channels;
    this.above = new Uint8Array(width * channels);
    this.parts = [Uint8Array.from(SIGNATURE), chunk('IHDR', new Uint8Array(header.buffer))];
    const {readable, writable} = new CompressionStream('deflate');
    this.writer = writable.getWriter();
    this.collected = this.collect(readable.getReader());
  }

  async collect(reader) {
    for (;;) {
      const {done, value} = await reader.read();
      if (done) break;
      this.parts.push(chunk('IDAT', value));
    }
  }

  /** Append rows of RGBA pixels. */
  async write(rows) {
    const [width, channels] = [this.above.length / this.channels, this.channels];
    const offsets = {1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels];
    for (let start = 0; start < rows.length; start += 4 * width) {
      const row = new Uint8Array(width * channels);
      for (let x = 0, i = 0; x < width; x++) for (const offset of offsets) row[i++] = rows[start + 4 * x + offset];
      await this.writer.write(filtered(row, this.above, channels));
      this.above = row;
    }
  }

  /** The whole file. */
  async finish() {
    await this.writer.close();
    await this.collected;
    return new Blob([...this.parts, chunk('IEND', new Uint8Array())], {type: 'image/png'});
  }
}
