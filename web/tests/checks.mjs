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

/** Every setting of the screen in which the page must work. */
export const settings = {
  light: {},
  dark: { colorScheme: "dark" },
  forced: { forcedColors: "active", colorScheme: "dark" },
  "right-to-left": { locale: "ar" },
  "ratio-2": { deviceScaleFactor: 2 },
  "ratio-3": { deviceScaleFactor: 3 },
  "ratio-1.25": { deviceScaleFactor: 1.25 },
  // 200 % zoom of a window of 1280 pixels.
  zoomed: { viewport: { width: 640, height: 400 }, deviceScaleFactor: 2 },
  phone: { viewport: { width: 360, height: 740 }, deviceScaleFactor: 3, isMobile: true, hasTouch: true },
};
