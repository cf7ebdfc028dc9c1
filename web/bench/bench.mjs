// What the page costs: bytes, the time to a code that can be scanned, 100,000 messages, the scanner beside others.
// Usage: node bench/bench.mjs [MESSAGES]; scripts/bench-web.sh builds what it needs. Prints one line for each figure. MANIFEST names
// a set of pictures for the scanners, besides films.

import { readFileSync, readdirSync } from "node:fs";
import { build } from "esbuild";
import { World, pageFolder, root, until } from "../tests/world.mjs";
import { of, say, size } from "./figures.mjs";
import { scanners } from "./scan.mjs";

const COUNT = Number(process.argv[2] ?? 100_000);
const RUNS = 9;
/** Photos of a manifest that are looked at, spread over it. */
const PHOTOS = 150;
/** A frame that took longer than two of a screen of 60 Hz was seen to be late, ms. */
const LATE = 34;

/** The other library as an app ships it: its WebAssembly, and its JavaScript as one file. */
async function matrix() {
  const folder = `${root}/web/bench/node_modules/@matrix-org/matrix-sdk-crypto-wasm`;
  const { version } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"));
  const { outputFiles } = await build({
    entryPoints: [`${folder}/index.mjs`], bundle: true, format: "esm", target: "es2022", minify: true, legalComments: "none", write: false,
    logLevel: "error", conditions: ["browser", "import"],
  });
  const wasm = readdirSync(`${folder}/pkg`).filter((name) => name.endsWith(".wasm")).map((name) => readFileSync(`${folder}/pkg/${name}`));
  say(`matrix-sdk-crypto-wasm ${version}, no page`, size([...outputFiles.map(({ contents }) => contents), ...wasm]));
}

/** From the first byte that is asked for to a code on the screen, nothing cached. */
async function cold(world, slower) {
  const times = [];
  for (let run = 0; run < RUNS; run++) {
    const browser = await world.browser();
    const page = await browser.newPage();
    const cdp = await browser.newCDPSession(page);
    await cdp.send("Emulation.setCPUThrottlingRate", { rate: slower });
    await page.goto(world.url, { waitUntil: "commit" });
    const drawn = await page.evaluate(() => new Promise((done) => {
      const look = () => document.querySelector(".code:not(.gone) canvas")
        ? requestAnimationFrame(() => done(performance.now())) : setTimeout(look, 5);
      look();
    }));
    times.push(drawn);
    await browser.close();
  }
  return times;
}

/** From the moment when a phone is given the code to the screen that says so; the claim, over the relay, included. */
async function claims(world, phone) {
  const times = [];
  const page = await world.open(await world.browser());
  await world.code(page);
  for (let run = 0; run < RUNS; run++) {
    const text = await world.text(page);
    await page.evaluate(() => {
      window.claimed = 0;
      const look = new MutationObserver(() => { if (document.body.dataset.screen === "claimed") window.claimed ||= Date.now(); });
      look.observe(document.body, { attributes: true });
    });
    const began = Date.now();
    phone.type(`decline ${text}`);
    await page.waitForSelector("body[data-reason=Declined]");
    times.push((await page.evaluate("window.claimed")) - began);
    await page.click("button:has-text('Show a new code')");
    await world.code(page);
  }
  await page.close();
  return times;
}

/** Scrolls what a selector names by a step in each of so many frames, and back from its ends; gives the time between frames, ms. */
const scroll = (page, step, frames, selector = ".messages") => page.evaluate(([step, frames, selector]) => new Promise((done) => {
  const list = document.querySelector(selector);
  const times = [];
  let [before, way] = [performance.now(), step];
  const frame = (now) => {
    times.push(now - before);
    before = now;
    const top = list.scrollTop;
    if (way !== 0 && (top + way < 0 || top + way > list.scrollHeight - list.clientHeight)) way = -way;
    list.scrollTop += way;
    if (times.length < frames) requestAnimationFrame(frame);
    else done(times);
  };
  requestAnimationFrame(frame);
}), [step, frames, selector]);

const late = (times) => `${of(times)}; ${times.filter((time) => time > LATE).length} of ${times.length} late`;

/**
 * The list beside what the machine can do at the same time, in turns: no work at all in a frame, and a list of the same rows that are
 * all there and that no script looks after.
 */
async function inTurns(page, what, step) {
  const ways = { [what]: [step, ".messages"], "  beside it a bare list of the same rows": [step, ".bare"], "  and frames in which nothing is done": [0, ".messages"] };
  const times = Object.fromEntries(Object.keys(ways).map((way) => [way, []]));
  for (let turn = 0; turn < 3; turn++) {
    for (const [way, [step, selector]] of Object.entries(ways)) {
      await page.evaluate((isBare) => {
        const list = document.querySelector(".messages:not(.bare)");
        document.querySelector(".bare")?.remove();
        list.hidden = isBare;
        if (!isBare) return;
        const bare = list.cloneNode(false);
        bare.classList.add("bare");
        bare.hidden = false;
        for (let copies = 0; copies < 5; copies++) bare.append(...[...list.querySelectorAll(".message")].map((row) => row.cloneNode(true)));
        list.before(bare);
      }, selector === ".bare");
      times[way].push(...(await scroll(page, step, 200, selector)));
    }
  }
  for (const [way, all] of Object.entries(times)) say(way, late(all));
}

const world = new World(`${root}/target/web/shots`);
try {
  const files = readdirSync(pageFolder).filter((name) => !name.startsWith("scanner-")).map((name) => readFileSync(`${pageFolder}/${name}`));
  say("the page, all that it loads", size(files));
  await matrix();

  await world.startRelay();
  for (const slower of [1, 4]) {
    say(`cold load to a code, ${slower}x CPU slowdown`, of(await cold(world, slower)));
  }

  const phone = await world.startPhone();
  say("a phone has the code to \"Phone connected\"", of(await claims(world, phone)));
  phone.type(`seed ${COUNT}`);
  await phone.says(/seeded/, 600_000);
  const page = await world.open(await world.browser());
  let began = Date.now();
  await world.join(page, phone);
  await page.waitForSelector(".list li button");
  say("linked to the first conversation on the screen", `${Date.now() - began} ms, the digits typed in between`);
  await until("the whole history", async () => (await page.textContent("[data-part=history]")) === "", 1_200_000);
  say(`history of ${COUNT.toLocaleString("en")} messages into the browser`, `${((Date.now() - began) / 1000).toFixed(1)} s`);
  await page.locator(".list li button").first().click();
  await page.waitForSelector(".message");
  say("frames while 600 pixels a frame are scrolled", late(await scroll(page, -600, 600)));
  began = Date.now();
  await until("the first message", async () => {
    for (let at = 0; at < 10; at++) await page.evaluate("new Promise((done) => { document.querySelector('.messages').scrollTop = 0; setTimeout(done, 5); })");
    return page.locator(`text=Message 1 of ${COUNT}.`).count();
  }, 1_200_000);
  say("to the very first message, page by page", `${((Date.now() - began) / 1000).toFixed(1)} s`);
  await inTurns(page, "the same, 900 pixels, all in the list", 900);
  say("elements in the document", String(await page.evaluate("document.querySelectorAll('*').length")));
  began = Date.now();
  await page.reload();
  await page.waitForSelector(".list li button", { timeout: 600_000 });
  say("reload to the first conversation", `${Date.now() - began} ms`);
  await page.close();
  await scanners(world, process.env.MANIFEST, PHOTOS);
} finally {
  await world.end();
}
