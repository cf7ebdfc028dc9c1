// Two readers of other people, over pictures of the page: what we show must be read by whatever a phone has.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { inflateSync } from "node:zlib";
import jsQR from "jsqr";
import { prepareZXingModule, readBarcodes } from "zxing-wasm/reader";

/** The pixels of a PNG as Chromium writes it (8 bits, RGB or RGBA, not interlaced): `{ data, width, height }`. */
export function pixels(path) {
  const file = readFileSync(path);
  const parts = [];
  let head;
  for (let at = 8; at < file.length;) {
    const [length, kind] = [file.readUInt32BE(at), file.toString("latin1", at + 4, at + 8)];
    const content = file.subarray(at + 8, at + 8 + length);
    if (kind === "IHDR") head = content;
    if (kind === "IDAT") parts.push(content);
    at += 12 + length;
  }
  const [width, height, depth, colours, interlaced] = [head.readUInt32BE(0), head.readUInt32BE(4), head[8], head[9], head[12]];
  if (depth !== 8 || ![2, 6].includes(colours) || interlaced) throw new Error(`${path} is no PNG of Chromium's`);
  const step = colours === 2 ? 3 : 4;
  const stride = width * step;
  const rows = inflateSync(Buffer.concat(parts));
  const data = new Uint8ClampedArray(width * height * 4).fill(255);
  let [above, row] = [new Uint8Array(stride), new Uint8Array(stride)];
  for (let y = 0; y < height; y++) {
    const from = y * (stride + 1);
    for (let x = 0; x < stride; x++) {
      const [left, up, corner] = [x < step ? 0 : row[x - step], above[x], x < step ? 0 : above[x - step]];
      row[x] = rows[from + 1 + x] + [0, left, up, (left + up) >> 1, paeth(left, up, corner)][rows[from]];
    }
    for (let x = 0; x < width; x++) data.set(row.subarray(x * step, x * step + step), (y * width + x) * 4);
    [above, row] = [row, above];
  }
  return { data, width, height };
}

/** PNG (ISO/IEC 15948), 9.4: whichever of the three is nearest to left + up - corner. */
function paeth(left, up, corner) {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

let ready;

/** What each of them reads in a picture, by its name. */
export async function peers(path) {
  const wasm = createRequire(import.meta.url).resolve("zxing-wasm/reader/zxing_reader.wasm");
  ready ??= prepareZXingModule({ overrides: { wasmBinary: readFileSync(wasm).buffer }, fireImmediately: true });
  await ready;
  const picture = pixels(path);
  const [found] = await readBarcodes(picture, { formats: ["QRCode"] });
  return { jsqr: jsQR(picture.data, picture.width, picture.height)?.data, "zxing-wasm": found?.text };
}
