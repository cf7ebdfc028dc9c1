// Drives the page in a real Chromium, against the real relay and the Rust primary device (`pairlight link scan`).
// Usage: node tests/run.mjs [WORDS-OF-A-TEST...]; PAIRLIGHT_BIN names the program, PAIRLIGHT_SHOTS a folder for pictures.
// Exit code 3 and "skipped: why" when Chromium or the page is missing.

import { existsSync, mkdirSync } from "node:fs";
import { World, chromiumPath, pageFolder, root } from "./world.mjs";
import { tests as page } from "./tests.mjs";
import { tests as code } from "./code.mjs";
import { tests as scan } from "./scan.mjs";
import { tests as list } from "./list.mjs";
import { tests as app } from "./app.mjs";
import { tests as key } from "./key.mjs";
import { tests as texts } from "./texts.mjs";

const tests = { ...page, ...code, ...scan, ...list, ...app, ...key, ...texts };
const skip = (why) => {
  console.log(`skipped: the page in a browser: ${why}`);
  process.exit(3);
};
if (!chromiumPath) skip("there is no chromium");
if (!existsSync(`${pageFolder}/index.html`)) skip("the page is not built (make web)");

const shots = process.env.PAIRLIGHT_SHOTS ?? `${root}/target/web/shots`;
mkdirSync(shots, { recursive: true });
const wanted = process.argv.slice(2);
let [passed, failed] = [0, 0];
for (const [name, test] of Object.entries(tests)) {
  if (wanted.length > 0 && !wanted.some((word) => name.includes(word))) continue;
  const began = Date.now();
  const world = new World(shots);
  try {
    await test(world);
    passed++;
    console.log(`test ${name} ... ok (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed++;
    console.log(`test ${name} ... FAILED\n${error.stack}\n${world.story()}`);
    await world.lastShot(name);
  } finally {
    await world.end();
  }
}
console.log(`test result: ${failed ? "FAILED" : "ok"}. ${passed} passed; ${failed} failed; 0 ignored;`);
process.exit(failed ? 1 : 0);
