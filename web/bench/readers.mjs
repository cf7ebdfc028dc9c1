// Runs in the browser: our scanner and two others over the same frames, one after the other. Bundled by scan.mjs.

import jsQR from "jsqr";
import init, { FrameReader } from "../dist/wasm/pairlight_web_scanner.js";
import { prepareZXingModule, readBarcodes } from "zxing-wasm/reader";

await init({ module_or_path: "/ours.wasm" });
await prepareZXingModule({ overrides: { locateFile: () => "/zxing.wasm" }, fireImmediately: true });

const text = (report) => JSON.parse(report).codes.map((code) => code.text);
const ZXING = { formats: ["QRCode"], maxNumberOfSymbols: 1 };

/** What each of them reads in a picture: `{ luma, data, width, height }`, `data` in red, green, blue and opacity. */
function readers(thorough) {
  const [plane, colours] = [new FrameReader(thorough, false), new FrameReader(thorough, false)];
  return {
    "ours, brightness": ({ luma, width, height }) => text(plane.plane(luma, width, height, width, Date.now())),
    "ours, colours": ({ data, width, height }) => text(colours.colours(new Uint8Array(data.buffer), width, height, width * 4, false, Date.now())),
    jsqr: ({ data, width, height }) => {
      const code = jsQR(data, width, height);
      return code ? [code.data] : [];
    },
    "zxing-wasm": async (picture) => (await readBarcodes(picture, ZXING)).filter((code) => code.isValid).map((code) => code.text),
  };
}

/** Each reader over all pictures: which it read, and how long each took, ms. A reader begins every film anew. */
async function run(pictures, thorough) {
  const told = {};
  for (const [name, read] of Object.entries(readers(thorough))) {
    const [times, hits] = [[], []];
    for (const picture of pictures) {
      const began = performance.now();
      const found = await read(picture);
      times.push(performance.now() - began);
      hits.push(found.some((each) => picture.expected.includes(each)));
    }
    told[name] = { times, hits };
  }
  return told;
}

const grey = (luma) => {
  const data = new Uint8ClampedArray(luma.length * 4);
  for (let at = 0; at < luma.length; at++) data.set([luma[at], luma[at], luma[at], 255], at * 4);
  return data;
};

/** The frames of a YUV4MPEG2 film in 4:2:0, without their colours. */
window.film = async (path, expected) => {
  const bytes = new Uint8Array(await (await fetch(path)).arrayBuffer());
  const head = bytes.indexOf(10) + 1;
  const [, width, height] = new TextDecoder().decode(bytes.subarray(0, head)).match(/W(\d+) H(\d+)/).map(Number);
  const [mark, size] = ["FRAME\n".length, (width * height * 3) / 2];
  const pictures = [];
  for (let at = head; at + mark + size <= bytes.length; at += mark + size) {
    const luma = bytes.slice(at + mark, at + mark + width * height);
    pictures.push({ luma, data: grey(luma), width, height, expected: [expected] });
  }
  return run(pictures, false);
};

/** One picture as the browser decodes it. */
window.photo = async (path, expected) => {
  const bitmap = await createImageBitmap(await (await fetch(path)).blob());
  const { width, height } = bitmap;
  const ink = new OffscreenCanvas(width, height).getContext("2d");
  ink.drawImage(bitmap, 0, 0);
  const { data } = ink.getImageData(0, 0, width, height);
  const luma = new Uint8Array(width * height);
  // The weights of ITU-R BT.601, as the others take them.
  for (let at = 0; at < luma.length; at++) luma[at] = (data[at * 4] * 299 + data[at * 4 + 1] * 587 + data[at * 4 + 2] * 114 + 500) / 1000;
  return run([{ luma, data, width, height, expected }], true);
};
window.isReady = true;
