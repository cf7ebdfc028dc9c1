// What every test of the page may ask for.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export function assert(truth, words) {
  if (!truth) throw new Error(words);
}

export function quiet(page, allowed = []) {
  const trouble = page.trouble.filter((line) => !allowed.some((pattern) => pattern.test(line)));
  assert(trouble.length === 0, `the page had trouble: ${trouble.join("; ")}`);
}

/** No serious finding of axe on this screen. */
export async function accessible(page, screen) {
  // Run in the driver's own world: the page's policy lets no foreign script in.
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })");
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert(serious.length === 0, `axe on ${screen}: ${told.join("; ")}`);
}
