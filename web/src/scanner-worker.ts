// The scanner's side: frames become brightness, brightness becomes a report.

import init, { FrameReader } from "../dist/wasm/pairlight_web_scanner.js";
import type { FaultKind, ScannerOptions } from "./types.js";

type Options = Omit<ScannerOptions, "worker">;
type Picture = VideoFrame | ImageBitmap | ImageData;
type Call = { open: Options } | { rearm: true } | { picture: Picture; takenMs: number };

/** Formats of a `VideoFrame` whose first plane is the brightness, a byte for each pixel. */
const PLANAR = new Set(["I420", "I420A", "I422", "I444", "NV12"]);

let reader: FrameReader;
/** Kept between frames: after the first one of a size nothing is allocated any more. */
let bytes = new Uint8Array(0);
let canvas: OffscreenCanvas | undefined;

async function open({ thorough, offersOnly, wasm, wasmIntegrity }: Options): Promise<void> {
  await init({ module_or_path: fetch(wasm as string, wasmIntegrity ? { integrity: wasmIntegrity } : {}) });
  reader = new FrameReader(thorough ?? false, offersOnly ?? false);
}

/** What `drawImage` takes, as red, green, blue and opacity. */
function drawn(picture: VideoFrame | ImageBitmap, width: number, height: number): ImageData {
  if (canvas?.width !== width || canvas.height !== height) canvas = new OffscreenCanvas(width, height);
  const ink = canvas.getContext("2d", { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D;
  ink.clearRect(0, 0, width, height);
  ink.drawImage(picture, 0, 0);
  return ink.getImageData(0, 0, width, height);
}

const colours = ({ data, width, height }: ImageData, now: number): string =>
  reader.colours(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), width, height, width * 4, false, now);

/** A camera's own brightness where the browser gives it, without a way over colours and a canvas. */
async function film(frame: VideoFrame, now: number): Promise<string> {
  const { width, height } = frame.visibleRect ?? { width: frame.codedWidth, height: frame.codedHeight };
  const format = frame.format ?? "";
  const isBlueFirst = format === "BGRA" || format === "BGRX";
  if (!PLANAR.has(format) && !isBlueFirst && format !== "RGBA") return colours(drawn(frame, width, height), now);
  const size = frame.allocationSize();
  if (bytes.length < size) bytes = new Uint8Array(size);
  const [plane] = await frame.copyTo(bytes);
  if (!plane) throw new Error("the frame has no plane");
  const rows = bytes.subarray(plane.offset, size);
  if (PLANAR.has(format)) return reader.plane(rows.subarray(0, plane.stride * (height - 1) + width), width, height, plane.stride, now);
  return reader.colours(rows, width, height, plane.stride, isBlueFirst, now);
}

async function report(picture: Picture, now: number): Promise<unknown> {
  try {
    const text = picture instanceof ImageData ? colours(picture, now)
      : picture instanceof ImageBitmap ? colours(drawn(picture, picture.width, picture.height), now)
        : await film(picture, now);
    const said = JSON.parse(text);
    for (const code of said.codes) code.bytes = Uint8Array.from(code.bytes.match(/../g) ?? [], (pair: string) => Number.parseInt(pair, 16));
    return { ...said, takenMs: now };
  } finally {
    if (!(picture instanceof ImageData)) picture.close();
  }
}

async function answer(call: Call): Promise<unknown> {
  if ("open" in call) return open(call.open).then(() => ({ opened: true }));
  if ("rearm" in call) return reader.rearm();
  return { report: await report(call.picture, call.takenMs) };
}

self.onmessage = async (message: MessageEvent<Call>) => {
  try {
    const said = await answer(message.data);
    if (said) postMessage(said);
  } catch (error) {
    const { name, message: words } = error instanceof Error ? error : new Error(String(error));
    // A program that ended in its middle is in no state to go on.
    const isEnd = error instanceof WebAssembly.RuntimeError;
    const kind: FaultKind = name === "Misuse" ? "Misuse" : "Failed";
    postMessage({ fault: { name: kind, message: words, isEnd } });
  }
};
