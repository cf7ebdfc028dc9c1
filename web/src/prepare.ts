// What can begin before there is anything to open. Apart from the rest, so that a page can do it in its first few bytes.

import type { OpenOptions } from "./types.js";

/**
 * Starts the worker and lets it load the core, while the page is still being built. Give the worker to `PairlightDevice.open`, with the
 * same `wasm` and `wasmIntegrity`.
 */
export function prepare(worker: Worker, options: Pick<OpenOptions, "wasm" | "wasmIntegrity">): Worker {
  worker.postMessage({ id: 0, method: "prepare", given: [options] });
  return worker;
}
