// Where the page's other programs are. They are started from these addresses alone, and are what the build says they are. This is a
// file of its own that runs before the page's: the device's worker starts at once, while all else is still being read.

import { prepare } from "../src/prepare.js";
import type { OpenOptions, ScannerOptions } from "../src/types.js";

// Written by the build.
declare const WORKER: string;
declare const WASM: string;
declare const WASM_INTEGRITY: string;
declare const SCANNER_WORKER: string;
declare const SCANNER_WASM: string;
declare const SCANNER_WASM_INTEGRITY: string;

const at = (name: string) => new URL(name, document.baseURI).href;
const own = [at(WORKER), at(SCANNER_WORKER)];

function createScriptURL(url: string): string {
  if (!own.includes(url)) throw new TypeError("not a program of this page");
  return url;
}

/** Trusted Types: a policy is made once. */
const policies = (window as unknown as { trustedTypes?: { createPolicy(name: string, rules: object): { createScriptURL(url: string): string } } }).trustedTypes;
const policy = policies?.createPolicy("pairlight", { createScriptURL }) ?? { createScriptURL };

const start = (name: string, file: string) => new Worker(policy.createScriptURL(at(file)), { type: "module", name });

const core = { wasm: at(WASM), wasmIntegrity: WASM_INTEGRITY };
let prepared: Worker | undefined = prepare(start("pairlight", WORKER), core);
// Nobody listens yet: whoever opens the device starts another one, and hears why that fails.
prepared.onerror = () => { prepared = undefined; };

/** What opens the device: the worker that was prepared, or another one. */
export function deviceProgram(): Pick<OpenOptions, "worker" | "wasm" | "wasmIntegrity"> {
  const worker = prepared ?? start("pairlight", WORKER);
  prepared = undefined;
  return { worker, ...core };
}

/** What opens a scanner. */
export const scannerProgram = (): ScannerOptions =>
  ({ worker: () => start("pairlight-scanner", SCANNER_WORKER), wasm: at(SCANNER_WASM), wasmIntegrity: SCANNER_WASM_INTEGRITY });
