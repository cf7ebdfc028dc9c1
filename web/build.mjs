// Builds the page (dist/page: static files whose names carry their hash) and the package (dist/package) from what
// scripts/make-web.sh left in dist/wasm. Says how large they are. `node build.mjs FOLDER` puts both into another folder than dist.

import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = new URL(".", import.meta.url).pathname;
const at = (path) => here + path;
const out = process.argv[2] ?? at("dist");

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const hash = (bytes) => sha256(bytes).slice(0, 16);
const integrity = (bytes) => `sha384-${createHash("sha384").update(bytes).digest("base64")}`;

/** `apart` maps modules that are files of their own to their names. */
async function bundle(entry, define = {}, apart = {}) {
  const setup = (build) => build.onResolve({ filter: /./ }, ({ path }) => (Object.hasOwn(apart, path) ? { path: `./${apart[path]}`, external: true } : undefined));
  const { outputFiles } = await build({
    entryPoints: [at(entry)], bundle: true, format: "esm", target: "es2022", minify: true, legalComments: "none", write: false, define,
    logLevel: "warning", plugins: [{ name: "apart", setup }],
  });
  return Buffer.from(outputFiles[0].contents);
}

const files = new Map();
function put(stem, ending, bytes) {
  const name = `${stem}-${hash(bytes)}.${ending}`;
  files.set(name, bytes);
  return name;
}

const wasm = readFileSync(at("dist/wasm/pairlight_web_bg.wasm"));
const worker = await bundle("src/worker.ts");
const names = { wasm: put("pairlight", "wasm", wasm), worker: put("worker", "js", worker) };
// Fetched by whoever opens the camera.
const scanner = { wasm: readFileSync(at("dist/wasm/pairlight_web_scanner_bg.wasm")), worker: await bundle("src/scanner-worker.ts") };
const scannerNames = { wasm: put("scanner", "wasm", scanner.wasm), worker: put("scanner", "js", scanner.worker) };
const programs = await bundle("page/programs.ts", {
  WORKER: JSON.stringify(names.worker), WASM: JSON.stringify(names.wasm), WASM_INTEGRITY: JSON.stringify(integrity(wasm)),
  SCANNER_WORKER: JSON.stringify(scannerNames.worker), SCANNER_WASM: JSON.stringify(scannerNames.wasm),
  SCANNER_WASM_INTEGRITY: JSON.stringify(integrity(scanner.wasm)),
});
const first = put("programs", "js", programs);
const script = await bundle("page/main.ts", {}, { "./programs.js": first });
const style = await bundle("page/page.css");
const [main, css] = [put("page", "js", script), put("page", "css", style)];
const head = [
  // For a server that sends no header of its own; the relay sends a stricter one (frame-ancestors cannot stand here).
  `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self' https: wss: http://127.0.0.1:* ws://127.0.0.1:*; worker-src 'self'; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types pairlight">`,
  // Starts the worker, before there is anything to see.
  `<script type="module" async src="${first}" integrity="${integrity(programs)}"></script>`,
  `<link rel="stylesheet" href="${css}" integrity="${integrity(style)}">`,
  // All at once: the worker and its program are wanted before the page's script has run.
  `<link rel="preload" href="${names.wasm}" as="fetch" type="application/wasm" crossorigin integrity="${integrity(wasm)}">`,
  `<link rel="modulepreload" href="${names.worker}" integrity="${integrity(worker)}">`,
  `<script type="module" src="${main}" integrity="${integrity(script)}"></script>`,
];
const html = readFileSync(at("page/index.html"), "utf8").replace("<!-- build: head -->", head.join("\n"));
files.set("index.html", Buffer.from(html));

// What `sha256sum --check` reads. Its own hash is that of the whole page: scripts/check-page.sh compares it with what a relay serves.
const SUMS = "sha256sums.txt";
files.set(SUMS, Buffer.from([...files.keys()].sort().map((name) => `${sha256(files.get(name))}  ${name}\n`).join("")));

rmSync(`${out}/page`, { recursive: true, force: true });
mkdirSync(`${out}/page`, { recursive: true });
for (const [name, bytes] of files) writeFileSync(`${out}/page/${name}`, bytes);

mkdirSync(`${out}/package`, { recursive: true });
writeFileSync(`${out}/package/index.js`, await bundle("src/index.ts"));
writeFileSync(`${out}/package/worker.js`, worker);
writeFileSync(`${out}/package/scanner-worker.js`, scanner.worker);
for (const program of ["pairlight_web_bg.wasm", "pairlight_web_scanner_bg.wasm"]) cpSync(at(`dist/wasm/${program}`), `${out}/package/${program}`);

console.log(`${"file".padEnd(34)}${"bytes".padStart(10)}${"gzip".padStart(10)}${"brotli".padStart(10)}`);
const line = (name, sizes) => console.log(name.padEnd(34) + sizes.map((size) => String(size).padStart(10)).join(""));
const sizes = (bytes) => [bytes.length, gzipSync(bytes, { level: 9 }).length, brotliCompressSync(bytes).length];
const sum = (lists) => lists.reduce((total, list) => total.map((size, at) => size + list[at]), [0, 0, 0]);
const lines = [...files].map(([name, bytes]) => [name, sizes(bytes)]);
for (const [name, list] of lines) line(name, list);
// The list of hashes is read by whoever checks the page, never by the page.
const isScanner = ([name]) => Object.values(scannerNames).includes(name);
line("all that the page loads", sum(lines.filter((each) => !isScanner(each) && each[0] !== SUMS).map(([, list]) => list)));
line("and with the camera open, more", sum(lines.filter(isScanner).map(([, list]) => list)));
console.log(`sha256 of the bundle: ${sha256(files.get(SUMS))}`);
