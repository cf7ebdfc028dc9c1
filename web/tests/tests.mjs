// What the page must do, as a person and a phone see it. Names are sentences; each begins with an empty browser.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { until } from "./world.mjs";

const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

function assert(truth, words) {
  if (!truth) throw new Error(words);
}

function quiet(page, allowed = []) {
  const trouble = page.trouble.filter((line) => !allowed.some((pattern) => pattern.test(line)));
  assert(trouble.length === 0, `the page had trouble: ${trouble.join("; ")}`);
}

/** No serious finding of axe on this screen. */
async function accessible(page, screen) {
  // Run in the driver's own world: the page's policy lets no foreign script in.
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate("axe.run(document, { resultTypes: ['violations'] })");
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert(serious.length === 0, `axe on ${screen}: ${told.join("; ")}`);
}

const rows = (page) => page.locator(".list li button").count();

async function talk(page, title) {
  await page.locator(".list li button", { hasText: title }).first().click();
  await page.waitForSelector(".message");
}

/** The transfer of the history is over. */
async function whole(page) {
  await until("the whole history", async () => (await rows(page)) > 0 && (await page.textContent("[data-part=history]")) === "");
}

export const tests = {
  async a_browser_is_linked_by_a_picture_of_its_screen_and_talks(world) {
    await world.startRelay();
    const browser = await world.browser();
    const page = await world.open(browser);
    await world.code(page);
    await world.shot(page, "code");
    await accessible(page, "code");
    // An account is made by the first link; what it wrote before the second link comes to the second as history.
    const image = await world.shot(page, "code-to-scan");
    const phone = world.scan({ image }, { yes: false });
    await phone.says(/Link this device/);
    await world.screen(page, "claimed");
    await world.shot(page, "claimed");
    await accessible(page, "claimed");
    phone.type("y");
    await world.screen(page, "digits");
    await page.fill("#digits", "00000");
    await world.shot(page, "digits");
    await accessible(page, "digits");
    await world.digits(page, phone);
    await world.screen(page, "chats");
    assert((await phone.done) === 0, "the phone ended with an error");

    world.phone(["messages", "seed", "300"]);
    const online = world.run(["messages", "follow", ...world.profile("phone")]);
    await until("conversations", async () => (await rows(page)) > 0);
    await page.locator(".list li button").first().click();
    await page.waitForSelector(".message");
    await page.fill("textarea", "Hello from the browser");
    await page.keyboard.press("Enter");
    await online.says(/Hello from the browser/);
    await page.waitForSelector(".message.own");
    await world.shot(page, "chats");
    await accessible(page, "chats");

    await page.fill("input[type=search]", "hello FROM");
    await until("what was searched for", async () => (await rows(page)) === 1);
    await page.fill("input[type=search]", "");

    await page.click("text=Log out");
    await page.click("dialog >> text=Log out >> nth=1");
    await world.screen(page, "problem");
    await world.shot(page, "logged-out");
    await accessible(page, "logged out");
    const left = await page.evaluate(async () => {
      const open = indexedDB.open("pairlight");
      const db = await new Promise((done) => { open.onsuccess = () => done(open.result); });
      const count = db.transaction("rows").objectStore("rows").getAll();
      const all = await new Promise((done) => { count.onsuccess = () => done(count.result); });
      db.close();
      return all.length;
    });
    // Only the new, empty store's own three rows.
    assert(left <= 3, `${left} rows were left after the log out`);
    quiet(page);
  },

  async the_history_comes_whole_over_a_reload_in_its_middle_and_messages_come_live(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    phone.type("seed 4000");
    await phone.says(/seeded/);
    const browser = await world.browser();
    let page = await world.open(browser);
    await world.join(page, phone);
    await until("the beginning of the history", async () => (await rows(page)) > 0);
    await world.shot(page, "history");
    await page.reload();
    await world.screen(page, "chats");
    await whole(page);
    await talk(page, "Kim");
    await page.waitForSelector("text=Message 4000 of 4000");
    phone.type("send This just came");
    await page.waitForSelector("text=This just came");
    // Back to the very first, through pages that are read on the way.
    await until("the first message", async () => {
      await page.evaluate("document.querySelector('.messages').scrollTop = 0");
      return page.locator("text=Message 1 of 4000").count();
    });
    const shown = await page.locator(".message").count();
    assert(shown < 200, `${shown} messages are in the document at once`);
    // A closed and opened tab has everything, also without the phone.
    await phone.end();
    await page.close();
    page = await world.open(browser);
    await world.screen(page, "chats");
    await talk(page, "Kim");
    await page.waitForSelector("text=This just came");
    quiet(page);
  },

  async what_is_written_while_the_relay_is_away_goes_out_when_it_is_back(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    phone.type("seed 3");
    const browser = await world.browser();
    const page = await world.open(browser);
    await world.join(page, phone);
    await whole(page);
    await talk(page, "Kim");
    await world.relay.end("SIGKILL");
    await page.waitForSelector("[data-part=line]:has-text('Offline')");
    await page.fill("textarea", "Written offline");
    await page.keyboard.press("Enter");
    await page.waitForSelector(".message.own:has-text('Written offline')");
    await world.shot(page, "offline");
    await world.startRelay();
    await phone.says(/message Written offline/);
    await page.waitForSelector("[data-part=line]:has-text('Online')");
    quiet(page, [/console: .*(WebSocket|Failed to load)/]);
  },

  async one_tab_has_the_device_and_another_may_take_it(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    phone.type("seed 3");
    const browser = await world.browser();
    const page = await world.open(browser);
    await world.join(page, phone);
    await whole(page);
    const second = await world.open(browser);
    await world.screen(second, "problem");
    await second.waitForSelector("text=open in another tab");
    await world.shot(second, "two-tabs");
    await accessible(second, "two tabs");
    await second.click("text=Use it here");
    await world.screen(second, "chats");
    await page.waitForSelector("text=Another tab has taken over");
    await talk(second, "Kim");
    phone.type("send For whoever has the device");
    await second.waitForSelector("text=For whoever has the device");
    quiet(page);
    quiet(second);
  },

  async three_wrong_codes_and_a_refusal_have_screens_of_their_own(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    const browser = await world.browser();
    const page = await world.open(browser);
    phone.type(`link ${await world.text(page)}`);
    const [, a, b] = await phone.says(/digits (\d{3}) (\d{3})/);
    const wrong = a + b === "111111" ? "222222" : "111111";
    for (const left of ["2 tries", "One try"]) {
      await world.screen(page, "digits");
      await page.fill("#digits", wrong);
      await page.waitForSelector(`#trouble:has-text("${left}")`);
    }
    await world.shot(page, "wrong-code");
    await page.fill("#digits", wrong);
    await page.waitForSelector("body[data-reason=WrongCheckCode]");
    await phone.says(/failed WrongCheckCode/);
    await accessible(page, "wrong code");
    await page.click("text=Show a new code");
    phone.type(`decline ${await world.text(page)}`);
    await page.waitForSelector("body[data-reason=Declined]");
    await world.shot(page, "declined");
    await page.click("text=Show a new code");
    phone.type(`link ${await world.text(page)}`);
    await phone.says(/digits/);
    await world.screen(page, "digits");
    await page.click("text=Cancel");
    await page.waitForSelector("body[data-reason=Cancelled]");
    await phone.says(/failed Cancelled/);
    quiet(page);
  },

  async a_browser_that_is_revoked_while_it_is_open_erases_itself_and_says_so(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    phone.type("seed 3");
    const browser = await world.browser();
    const page = await world.open(browser);
    await world.join(page, phone);
    await whole(page);
    phone.type("revoke");
    await page.waitForSelector("text=This browser was removed");
    await world.shot(page, "revoked");
    await accessible(page, "revoked");
    await page.click("text=Link this browser");
    await world.code(page);
    quiet(page);
  },

  async a_code_that_nobody_looks_at_is_taken_back(world) {
    await world.startRelay();
    const browser = await world.browser();
    const page = await world.open(browser);
    const before = await world.text(page);
    // As the browser says it when another tab is in front.
    const hide = (hidden) => page.evaluate((hidden) => {
      Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
      document.dispatchEvent(new Event("visibilitychange"));
    }, hidden);
    await hide(true);
    await page.waitForSelector(".code.gone");
    await hide(false);
    await world.code(page);
    assert((await world.text(page)) !== before, "the same code came back");
    const scan = world.scan({ text: before });
    assert((await scan.done) !== 0, "a code that was taken back was claimed");
    quiet(page);
  },

  async the_code_is_read_in_every_setting_of_the_screen(world) {
    await world.startRelay();
    const settings = {
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
    for (const [name, options] of Object.entries(settings)) {
      const browser = await world.browser(options);
      const page = await world.open(browser);
      await world.code(page);
      await page.locator(".code").scrollIntoViewIfNeeded();
      const text = await world.text(page, `setting-${name}`);
      assert(text.startsWith("PAIRLIGHT:/"), `${name}: ${text.slice(0, 12)}`);
      const module = await page.evaluate("document.querySelector('.code canvas').getBoundingClientRect().width / 41");
      assert(module >= 4, `${name}: ${module} CSS pixels a module`);
      const crisp = await page.evaluate(`(() => { const canvas = document.querySelector('.code canvas');
        return Math.abs(canvas.width - canvas.getBoundingClientRect().width * devicePixelRatio); })()`);
      assert(crisp < 0.5, `${name}: the code is scaled by the browser, ${crisp} pixels off`);
      const wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
      assert(wide <= 0, `${name}: the page is ${wide} pixels too wide`);
      await accessible(page, name);
      if (name === "light") {
        await page.click(".code");
        await page.waitForSelector("dialog[open]");
        assert(world.read(await world.shot(page, "setting-full"))?.startsWith("PAIRLIGHT:/"), "the large code is not read");
      }
      quiet(page);
      await browser.close();
    }
  },

  async a_file_comes_when_it_is_asked_for_and_goes_to_the_phone(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    phone.type("seed 3");
    const browser = await world.browser();
    const page = await world.open(browser);
    await world.join(page, phone);
    await whole(page);
    await talk(page, "Kim");
    phone.type("attach 700000");
    await page.click("text=Get");
    const saving = page.waitForEvent("download");
    await page.click(".attached >> text=Save");
    const path = await (await saving).path();
    const bytes = readFileSync(path);
    assert(bytes.length === 700_000 && bytes.every((byte, at) => byte === at % 251), "the file is not what was sent");
    await page.setInputFiles("input[type=file]", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("from the browser") });
    await page.waitForSelector(".attached:has-text('notes.txt')");
    await phone.says(/message/);
    await world.shot(page, "files");
    quiet(page);
  },
};
