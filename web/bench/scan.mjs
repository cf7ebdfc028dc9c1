// Our scanner beside jsqr and zxing-wasm in Chromium, in one run over the same frames: films of the simulated camera, and
// photos of a manifest if there is one.
// Usage: node bench/scan.mjs [MANIFEST [MOST]]; scripts/bench-web.sh builds what it needs.

import { once } from "node:events";
import { readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { World, root } from "../tests/world.mjs";
import { quantile, say, size } from "./figures.mjs";

const CONDITIONS = ["nominal", "far", "small", "tilted", "rotated", "defocused", "motion", "dark", "overexposed", "glare", "moire", "banding", "inverted", "mirrored", "compressed", "worst"];
const FRAMES = 15;
/** As long as the content of a linking code. */
const TEXT = "PAIRLIGHT:/0132450987654321098765432109876543210987654321098765432109876543210987654321098765432109876543210987654321098765432";
const SHIPPED = `${root}/web/dist/wasm/pairlight_web_scanner_bg.wasm`;
const ZXING = `${root}/web/node_modules/zxing-wasm/dist/reader/zxing_reader.wasm`;

async function bundled(contents, resolveDir = `${root}/web/bench`) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir }, bundle: true, format: "esm", target: "es2022", minify: true, legalComments: "none", write: false, logLevel: "error",
  });
  return Buffer.from(outputFiles[0].contents);
}

async function sizes() {
  const own = await bundled('import "../src/scanner-worker.ts"');
  say("our scanner, with its worker", size([own, readFileSync(SHIPPED)]));
  const zxing = await bundled('export { readBarcodes } from "zxing-wasm/reader"');
  say("zxing-wasm, its reader alone", size([zxing, readFileSync(ZXING)]));
  say("jsqr", size([await bundled('export { default } from "jsqr"')]));
}

/** Files of this machine, and the readers. */
async function serve(script) {
  const types = { js: "text/javascript", wasm: "application/wasm", html: "text/html" };
  const known = { "/": ["html", '<!doctype html><script type="module" src="/readers.js"></script>'], "/readers.js": ["js", script], "/ours.wasm": ["wasm", readFileSync(SHIPPED)], "/zxing.wasm": ["wasm", readFileSync(ZXING)] };
  const server = createServer((request, response) => {
    const path = decodeURIComponent(request.url);
    const [type, content] = known[path] ?? ["", path.startsWith("/file/") ? readFileSync(path.slice(5)) : ""];
    response.writeHead(content ? 200 : 404, { "content-type": types[type] ?? "application/octet-stream" }).end(content);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  return { server, url: `http://127.0.0.1:${server.address().port}` };
}

/** Adds what a reader did with one film or photo. */
function add(sums, told) {
  for (const [name, { times, hits }] of Object.entries(told)) {
    sums[name] ??= { times: [], hits: [] };
    sums[name].times.push(...times);
    sums[name].hits.push(...hits);
  }
}

function table(what, sums) {
  const own = quantile(sums["ours, colours"].times, 0.5);
  for (const [name, { times, hits }] of Object.entries(sums)) {
    const median = quantile(times, 0.5);
    say(`${what}: ${name}`, `${hits.filter(Boolean).length} of ${hits.length} read; p50 ${median.toFixed(1)}, p95 ${quantile(times, 0.95).toFixed(1)}, worst ${Math.max(...times).toFixed(0)} ms; ours with colours takes ${(own / median).toFixed(2)} of it`);
  }
}

export async function scanners(world, manifest, most) {
  await sizes();
  const { server, url } = await serve(await bundled(readFileSync(`${root}/web/bench/readers.mjs`, "utf8")));
  try {
    const page = await (await world.browser()).newPage();
    page.on("pageerror", (error) => console.error(error.message));
    await page.goto(url);
    await page.waitForFunction("window.isReady");
    // Warm: programs are compiled in two steps, and the first frames are not the ones that are measured.
    await page.evaluate(([path, text]) => window.film(path, text), [`/file${world.film("warm", TEXT, { frames: 10 })}`, TEXT]);
    const [films, details] = [{}, []];
    for (const condition of CONDITIONS) {
      const told = await page.evaluate(([path, text]) => window.film(path, text), [`/file${world.film(condition, TEXT, { condition, frames: FRAMES, fps: 30 })}`, TEXT]);
      add(films, told);
      details.push(`${condition} ${Object.values(told).map(({ hits }) => hits.filter(Boolean).length).join("/")}`);
    }
    table("frames of films", films);
    say(`of ${FRAMES} each, in the same order`, details.join(", "));
    if (!manifest) return;
    const photos = {};
    const lines = readFileSync(manifest, "utf8").trim().split("\n").map((line) => JSON.parse(line)).filter(({ image, expected }) => expected.length > 0 && /\.(png|jpe?g)$/i.test(image));
    const step = Math.max(1, Math.ceil(lines.length / most));
    for (const { image, expected } of lines.filter((_, at) => at % step === 0)) {
      add(photos, await page.evaluate(([path, expected]) => window.photo(path, expected), [`/file${join(dirname(manifest), image)}`, expected]));
    }
    table("photos", photos);
  } finally {
    server.close();
  }
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [, , manifest, most] = process.argv;
  const world = new World(`${root}/target/web/shots`);
  try {
    if (manifest) statSync(manifest);
    await scanners(world, manifest, Number(most ?? Number.POSITIVE_INFINITY));
  } finally {
    await world.end();
  }
}
