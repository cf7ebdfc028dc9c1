// The list of messages, however long it is. What a frame costs is counted in steps of the page's script, not in time.

import { build } from "esbuild";
import { assert, quiet } from "./checks.mjs";
import { told } from "./told.mjs";
import { root, until } from "./world.mjs";

const COUNT = 100_000;

/** A browser that has so many messages of one conversation, and shows them. */
async function reading(world, count, before = async () => {}) {
  if (!world.relay) await world.startRelay();
  const browser = await world.browser();
  const page = await told(world, browser);
  await before(browser, page);
  await page.addInitScript((count) => {
    const message = (number) => ({
      id: `m${number}`, conversation: "kim", sender: number % 3 ? "Kim" : "Me", text: `Message ${number + 1} of ${count}. ${"Some words. ".repeat(number % 9)}`,
      sentMs: 1_700_000_000_000 + number * 60_000, editedMs: null, replyTo: null, attachments: [], place: String(number),
    });
    window.all = Array.from({ length: count }, (_, number) => message(number));
    window.come = () => {
      window.all.push({ ...message(window.all.length), text: "This just came." });
      window.tell({ line: { type: "changed", records: [] } });
    };
    Object.assign(window.calls, {
      standing: () => ({ isLocked: false, restriction: null }),
      conversations: () => [{ id: "kim", title: "Kim", latest: window.all.at(-1), readUpToMs: 9e15 }],
      // Older pages are larger than the page asks for: so all of them come sooner.
      messages: (_, place, limit) => (place === null ? window.all.slice(-limit) : window.all.slice(Math.max(0, Number(place) - 20 * limit), Number(place))).reverse(),
    });
  }, count);
  await page.reload();
  await page.locator(".list li button").first().click();
  await page.waitForSelector(".message");
  return { browser, page };
}

/** Scrolls to the first message, through all pages; or by a step in each of so many frames. */
async function toFirst(page, count) {
  await until("the first message", async () => {
    await page.evaluate("new Promise((done) => { document.querySelector('.messages').scrollTop = 0; requestAnimationFrame(done); })");
    return page.locator(`text=Message 1 of ${count}.`).count();
  });
}
const scroll = (page, step, frames) => page.evaluate(([step, frames]) => new Promise((done) => {
  const list = document.querySelector(".messages");
  let most = 0;
  const frame = () => {
    most = Math.max(most, document.querySelectorAll(".message").length);
    list.scrollTop += step;
    if (--frames > 0) requestAnimationFrame(frame);
    else done(most);
  };
  requestAnimationFrame(frame);
}), [step, frames]);

/** Where the first message that is wholly on the screen stands, and which one it is. */
const firstSeen = (page) => page.evaluate(() => {
  const top = document.querySelector(".messages").getBoundingClientRect().top;
  const seen = [...document.querySelectorAll(".message")].find((each) => each.getBoundingClientRect().top >= top);
  return { id: seen.dataset.id, at: seen.getBoundingClientRect().top - top };
});

export const tests = {
  async heights_are_those_of_a_plain_list_whatever_is_done_to_them() {
    const { outputFiles } = await build({ entryPoints: [`${root}/web/page/heights.ts`], bundle: true, format: "esm", write: false });
    const { Heights } = await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`);
    // A generator with a known period (Park and Miller 1988): the same numbers each time.
    let state = 1;
    const random = (below) => (state = (state * 48_271) % 2_147_483_647) % below;
    for (let round = 0; round < 12; round++) {
      const heights = new Heights();
      let plain = [];
      const sum = (to) => plain.slice(0, to).reduce((total, height) => total + height, 0);
      for (let turn = 0; turn < 60; turn++) {
        const more = Array.from({ length: random(120) }, () => 1 + random(100));
        const at = random(plain.length + 1);
        [
          () => { heights.prepend(more); plain = [...more, ...plain]; },
          () => { heights.append(more); plain.push(...more); },
          () => { heights.cut(at); plain = plain.slice(0, at); },
          () => { if (at < plain.length) { heights.set(at, 7); plain[at] = 7; } },
        ][random(4)]();
        assert(heights.length === plain.length && heights.total === sum(plain.length), `${heights.length} items of ${heights.total}`);
        for (let look = 0; look < 8; look++) {
          const height = random(sum(plain.length) + 50) - 20;
          let must = 0;
          while (must < plain.length - 1 && sum(must + 1) <= height) must++;
          assert(heights.at(height) === must && heights.before(must) === sum(must), `at ${height} lies ${heights.at(height)}, not ${must}`);
        }
      }
    }
  },

  async a_frame_of_a_hundred_thousand_messages_costs_no_more_steps_than_one_of_a_thousand(world) {
    const most = {};
    for (const count of [1_000, COUNT]) {
      let cdp;
      const { browser, page } = await reading(world, count, async (browser, page) => {
        cdp = await browser.newCDPSession(page);
        await cdp.send("Profiler.enable");
        await cdp.send("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
      });
      await toFirst(page, count);
      assert((await page.evaluate("document.querySelector('.messages').scrollHeight")) > count * 30, "not all of them are in the list");
      /** How often the part of the page's own script ran that ran most often, since it was asked before. */
      const steps = async () => {
        const { result } = await cdp.send("Profiler.takePreciseCoverage");
        const own = result.filter(({ url }) => /\/page-[0-9a-f]+\.js$/.test(url));
        assert(own.length === 1, `${own.length} scripts of the page were counted`);
        return Math.max(...own[0].functions.flatMap(({ ranges }) => ranges.map(({ count }) => count)));
      };
      await steps();
      const shown = await scroll(page, 500, 60);
      const scrolled = await steps();
      assert(shown < 100, `${shown} messages were in the document at once`);
      // A message that comes, and whatever else has the list drawn anew.
      await page.evaluate("window.come()");
      await page.evaluate("document.querySelector('.messages').scrollTop = 1e9");
      await page.waitForSelector(".message:has-text('This just came.')");
      const came = await steps();
      await page.evaluate("window.tell({ line: { type: 'file', hash: '00' } })");
      await scroll(page, -1, 5);
      most[count] = { "a frame": scrolled / 60, "a new message": came, "a file": await steps() };
      quiet(page);
      await browser.close();
    }
    for (const [what, few] of Object.entries(most[1_000])) {
      const many = most[COUNT][what];
      console.log(`  steps of ${what}: ${few.toFixed(0)} with 1,000 messages, ${many.toFixed(0)} with ${COUNT.toLocaleString("en")}`);
      // The logarithm of 100 times as many is 7 more; a walk over them all would be thousands.
      assert(few > 1 && many < 3 * few + 200, `${what} takes ${few} steps with 1,000 messages, ${many} with ${COUNT}`);
    }
  },

  async what_is_on_the_screen_stays_where_it_is_while_older_messages_come_and_newer_ones(world) {
    const { page } = await reading(world, 5_000);
    const list = page.locator(".messages");
    // The newest is on the screen, and stays there while another comes and when there is less room.
    const atEnd = () => list.evaluate((list) => list.scrollHeight - list.scrollTop - list.clientHeight < 2);
    await until("the end", atEnd);
    await page.evaluate("window.come()");
    await page.waitForSelector(".message:has-text('This just came.')");
    await until("the end after a message", atEnd);
    await page.fill("textarea", "One line\nand another\nand a third\nand a fourth");
    await until("the end above a longer draft", atEnd);
    await page.setViewportSize({ width: 700, height: 800 });
    await until("the end of a narrower list", atEnd);
    await page.setViewportSize({ width: 1280, height: 800 });
    await page.fill("textarea", "");
    // Step by step back, through what was never measured and what comes meanwhile: each step is as long as it is.
    const settled = () => page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 50))))");
    const place = (id) => page.evaluate((id) => {
      const seen = document.querySelector(`[data-id=${id}]`);
      return seen ? seen.getBoundingClientRect().top - document.querySelector(".messages").getBoundingClientRect().top : null;
    }, id);
    await list.evaluate((list) => { list.scrollTop = 2_400; });
    await settled();
    const high = () => list.evaluate((list) => list.scrollHeight);
    const was = await high();
    for (let step = 0; step < 24; step++) {
      const seen = await firstSeen(page);
      await list.evaluate((list) => { list.scrollTop -= 300; });
      await settled();
      const now = await place(seen.id);
      assert(now !== null && Math.abs(now - seen.at - 300) <= 1, `step ${step}: a message went from ${seen.at} to ${now}, not 300 down`);
    }
    assert((await high()) > was + 100_000, "no older messages came");
    // A message that comes below changes nothing above, and takes no focus from what says the same as before.
    const seen = await firstSeen(page);
    await page.evaluate("window.element = document.querySelector('.message'); window.come()");
    await page.evaluate("new Promise((done) => setTimeout(done, 600))");
    assert(Math.abs((await place(seen.id)) - seen.at) <= 1, "a new message moved what is read");
    assert(await page.evaluate("window.element.isConnected"), "a message was drawn anew that did not change");
    quiet(page);
  },
};
