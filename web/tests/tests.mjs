// What the page must do, as a person and a phone see it. Names are sentences; each begins with an empty browser.

import { cpSync, readFileSync } from "node:fs";
import { accessible, assert, quiet, settings } from "./checks.mjs";
import { peers } from "./peers.mjs";
import { packageFolder, until } from "./world.mjs";

const rows = (page) => page.locator(".list li button").count();

async function talk(page, title) {
  await page.locator(".list li button", { hasText: title }).first().click();
  await page.waitForSelector(".message");
}

/** The transfer of the history is over. */
async function whole(page) {
  await until("the whole history", async () => (await rows(page)) > 0 && (await page.textContent("[data-part=history]")) === "");
}

/** A browser that is linked, and has the three messages of the conversation with Kim. */
async function talking(world) {
  await world.startRelay();
  const phone = await world.startPhone();
  phone.type("seed 3");
  const browser = await world.browser();
  const page = await world.open(browser);
  await world.join(page, phone);
  await whole(page);
  return { phone, browser, page };
}

/** Back to the very first message of the conversation, through pages that are read on the way. */
async function toBeginning(page, count) {
  await until("the first message", async () => {
    await page.evaluate("document.querySelector('.messages').scrollTop = 0");
    return page.locator(`text=Message 1 of ${count}.`).count();
  });
}

async function logOut(page) {
  await page.click("text=Log out");
  // A screen asks for something a moment after the device is forgotten.
  await page.evaluate(() => {
    document.querySelector("input[type=search]").value = "eight";
    document.querySelector("input[type=search]").dispatchEvent(new Event("input"));
  });
  await page.click("dialog >> text=Log out >> nth=1");
  await page.waitForSelector("text=You are logged out");
}

/** How many rows of a store the page's database has. */
const kept = (page) => page.evaluate(async () => {
  const done = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
  const db = await done(indexedDB.open("pairlight"));
  const count = await done(db.transaction("rows").objectStore("rows").count());
  db.close();
  return count;
});

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

    assert((await kept(page)) > 3, "nothing was kept");
    await until("both to be online", async () => (await world.gauge("devices_connected")) === 2);
    await logOut(page);
    await world.shot(page, "logged-out");
    await accessible(page, "logged out");
    await until("the browser to be offline", async () => (await world.gauge("devices_connected")) === 1);
    assert((await kept(page)) === 0, `${await kept(page)} rows were left after the log out`);
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
    await toBeginning(page, 4000);
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

  async a_conversation_that_is_read_while_its_history_comes_has_all_of_it_in_the_end(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    phone.type("seed 10000");
    await phone.says(/seeded/);
    const browser = await world.browser();
    const page = await world.open(browser);
    phone.type(`link ${await world.text(page)}`);
    await world.digits(page, phone);
    await phone.says(/linked \w+/);
    // From here on the phone runs in short steps with time to look in between, so that it stops in the middle of the history.
    const pause = (ms) => new Promise((done) => setTimeout(done, ms));
    await until("the beginning of the history", async () => {
      phone.child.kill("SIGCONT");
      await pause(20);
      phone.child.kill("SIGSTOP");
      await pause(400);
      return (await rows(page)) > 0;
    });
    // The person reads to the beginning of what has come.
    await talk(page, "Kim");
    let [known, looks] = ["", 0];
    await until("the beginning of what is here", async () => {
      await page.evaluate("document.querySelector('.messages').scrollTop = 0");
      const now = `${await page.locator(".message").first().textContent()} ${await page.textContent("[data-part=history]")}`;
      looks = now === known ? looks + 1 : 0;
      known = now;
      return looks > 20;
    });
    assert(/Your history/.test(known), `the history is here already: ${known}`);
    phone.child.kill("SIGCONT");
    await whole(page);
    await toBeginning(page, 10000);
    quiet(page);
  },

  async what_is_written_while_the_relay_is_away_goes_out_when_it_is_back(world) {
    const { phone, page } = await talking(world);
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

  async a_log_out_while_the_relay_is_away_erases_all_and_the_next_link_waits_for_the_relay(world) {
    const { page } = await talking(world);
    await page.evaluate("localStorage.setItem('pairlight-name', 'The laptop of Kim')");
    await world.relay.end("SIGKILL");
    await page.waitForSelector("[data-part=line]:has-text('Offline')");
    await logOut(page);
    assert((await kept(page)) === 0, `${await kept(page)} rows were left after the log out`);
    const name = await page.evaluate("localStorage.getItem('pairlight-name')");
    assert(name === null, `the name ${name} was left after the log out`);
    await page.click("button:has-text('Link this browser')");
    await page.waitForSelector("text=The link could not begin");
    await world.startRelay();
    await page.click("button:has-text('Try again')");
    await world.code(page);
    quiet(page, [/console: .*(WebSocket|Failed to load)/]);
  },

  async a_tab_whose_database_another_one_owns_keeps_and_sends_nothing(world) {
    const { phone, page } = await talking(world);
    await talk(page, "Kim");
    const before = await kept(page);
    // As a tab does that takes over while this one is at work.
    await page.evaluate(async () => {
      const done = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
      const db = await done(indexedDB.open("pairlight"));
      await done(db.transaction("keys", "readwrite").objectStore("keys").put("another tab", "owner"));
      db.close();
    });
    await page.fill("textarea", "From the tab that lost");
    await page.keyboard.press("Enter");
    await page.waitForSelector("text=Pairlight had to stop");
    assert((await kept(page)) === before, "it was kept");
    // After a reload this tab owns the database itself.
    await page.click("button:has-text('Reload')");
    await world.screen(page, "chats");
    await talk(page, "Kim");
    await page.fill("textarea", "From the tab that has it");
    await page.keyboard.press("Enter");
    await phone.says(/message From the tab that has it/);
    assert(!phone.said.includes("From the tab that lost"), "what was not kept was sent");
    assert((await page.locator("text=From the tab that lost").count()) === 0, "what was not kept is shown");
    quiet(page);
  },

  async calls_after_the_end_of_a_device_and_those_that_wait_are_refused() {
    /** Opens, and answers nothing else. */
    class Silent {
      postMessage({ id, method }) {
        if (method === "open") queueMicrotask(() => this.onmessage({ data: { id } }));
      }
      terminate() {}
    }
    globalThis.Worker = Silent;
    const { PairlightDevice } = await import(`${packageFolder}/index.js`);
    const ends = { close: (device) => device.close(), lost: (_, worker) => worker.onmessage({ data: { lost: true } }) };
    for (const [how, end] of Object.entries(ends)) {
      const worker = new Silent();
      const device = await PairlightDevice.open({ relay: "https://relay.example", worker });
      const names = [];
      const note = (call) => call.then(() => names.push("an answer"), (error) => names.push(error.name));
      note(device.conversations());
      end(device, worker);
      note(device.standing());
      await until(`both calls to end after ${how}`, () => names.length === 2);
      assert(names.every((name) => name === "Ended"), `${how}: ${names}`);
    }
  },

  async one_tab_has_the_device_and_another_may_take_it(world) {
    const { phone, browser, page } = await talking(world);
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
    const { phone, page } = await talking(world);
    phone.type("revoke");
    await page.waitForSelector("text=This browser was removed");
    await world.shot(page, "revoked");
    await accessible(page, "revoked");
    await page.click("button:has-text('Link this browser')");
    await world.code(page);
    quiet(page);
  },

  async a_code_that_nobody_looks_at_is_taken_back(world) {
    await world.startRelay();
    const phone = await world.startPhone();
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
    await until("the relay to have no code", async () => (await world.gauge("slots")) === 0);
    // Not because a next one took its place, half a minute later.
    assert((await world.gauge('links_total{stage="shown"}')) === 1, "the code was taken back only when the next one came");
    const refused = async () => {
      phone.type(`link ${before}`);
      const [said] = await phone.says(/(review|digits|failed).*/);
      assert(said === "failed Expired", `a code that was taken back: ${said}`);
      assert((await page.evaluate("document.body.dataset.screen")) === "code", "the page heard of the old code");
    };
    await refused();
    await hide(false);
    await world.code(page);
    await until("the relay to have one code", async () => (await world.gauge("slots")) === 1);
    assert((await world.text(page)) !== before, "the same code came back");
    await refused();
    // The new one lives, and every word of it comes to the page.
    await world.join(page, phone);
    quiet(page);
  },

  async the_code_is_read_in_every_setting_of_the_screen(world) {
    await world.startRelay();
    // One is watched all the while: a next code takes its place in time, without a moment in which there is none.
    const watched = await world.open(await world.browser());
    const first = await world.text(watched, "first");
    await watched.evaluate(() => {
      const button = document.querySelector(".code");
      window.gaps = 0;
      new MutationObserver(() => { if (button.classList.contains("gone")) window.gaps += 1; }).observe(button, { attributes: true });
    });
    for (const [name, options] of Object.entries(settings)) {
      const browser = await world.browser(options);
      const page = await world.open(browser);
      await world.code(page);
      await page.locator(".code").scrollIntoViewIfNeeded();
      const text = await world.text(page, `setting-${name}`);
      assert(text.startsWith("PAIRLIGHT:/"), `${name}: ${text.slice(0, 12)}`);
      for (const [peer, read] of Object.entries(await peers(`${world.shots}/setting-${name}.png`))) {
        assert(read === text, `${name}: ${peer} reads ${read?.slice(0, 12)}`);
      }
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
        const full = await world.shot(page, "setting-full");
        assert(world.read(full)?.startsWith("PAIRLIGHT:/"), "the large code is not read");
        for (const [peer, read] of Object.entries(await peers(full))) assert(read?.startsWith("PAIRLIGHT:/"), `${peer} does not read the large code`);
      }
      quiet(page);
      await browser.close();
    }
    await until("another code", async () => (await world.text(watched, "next")) !== first);
    assert((await watched.evaluate("window.gaps")) === 0, "there was a moment without a code");
    quiet(watched);
  },

  async the_whole_story_fits_every_setting_of_the_screen(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    phone.type("seed 30");
    await phone.says(/seeded/);
    const { light: _, "ratio-1.25": __, "ratio-2": ___, "ratio-3": ____, ...others } = settings;
    for (const [name, options] of Object.entries(others)) {
      const browser = await world.browser(options);
      const page = await world.open(browser);
      const fits = async (screen) => {
        const wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert(wide <= 0, `${name}, ${screen}: the page is ${wide} pixels too wide`);
        await accessible(page, `${name}, ${screen}`);
        await world.shot(page, `story-${name}-${screen}`);
      };
      await world.code(page);
      // A person brings the code into view where the window is small.
      await page.locator(".code").scrollIntoViewIfNeeded();
      phone.type(`link ${await world.text(page)}`);
      const [, a, b] = await phone.says(/(\d{3}) (\d{3})/);
      await world.screen(page, "digits");
      await fits("digits");
      await page.fill("#digits", a + b);
      await phone.says(/linked \w+/);
      await world.screen(page, "chats");
      await page.waitForSelector(".list li button");
      await whole(page);
      const bar = await page.locator(".bar").boundingBox();
      assert(bar.height < 120, `${name}: the bar is ${bar.height} pixels high`);
      await fits("list");
      await talk(page, "Kim");
      await page.waitForSelector(".message:has-text('Message 30 of 30')");
      await page.fill("textarea", `From ${name}`);
      await page.keyboard.press("Enter");
      await phone.says(new RegExp(`message From ${name}`));
      const mine = page.locator(".message.own", { hasText: `From ${name}` });
      await mine.waitFor();
      const [list, seen] = [await page.locator(".messages").boundingBox(), await mine.boundingBox()];
      assert(seen.y + seen.height <= list.y + list.height + 1 && list.height > 60, `${name}: what was sent is not in view`);
      await fits("talk");
      quiet(page);
      await browser.close();
    }
  },

  async a_file_comes_when_it_is_asked_for_and_goes_to_the_phone(world) {
    const { phone, page } = await talking(world);
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

  async a_lock_shows_nothing_until_the_passphrase_is_typed_and_who_forgot_it_can_erase(world) {
    const { phone, page } = await talking(world);
    await talk(page, "Kim");
    const lock = (words) => page.click(`button:text-is("${words}")`);
    const locked = () => world.screen(page, "locked");
    const trouble = (words) => page.waitForSelector(`#lock-trouble:has-text("${words}")`);
    const unlock = async (passphrase) => {
      await page.fill("#passphrase", passphrase);
      await lock("Unlock");
    };
    await lock("Lock");
    await world.shot(page, "lock");
    await accessible(page, "lock");
    await page.fill("#next", "a long passphrase");
    await page.fill("#again", "another passphrase");
    await page.click("form >> text=Lock");
    await trouble("not the same");
    await page.fill("#again", "a long passphrase");
    await page.keyboard.press("Enter");
    await locked();
    await world.shot(page, "locked");
    await accessible(page, "locked");
    assert(!(await page.content()).includes("Message 3 of 3"), "a message is in the document of a locked page");
    await until("the locked browser to be offline", async () => (await world.gauge("devices_connected")) === 1);
    phone.type("send Written while it was locked");
    await unlock("A long passphrase");
    await trouble("not the passphrase");
    await unlock("a long passphrase");
    await world.screen(page, "chats");
    await talk(page, "Kim");
    await page.waitForSelector("text=Written while it was locked");

    // After a reload, and after a while without anybody, it is wanted again. The clock is the page's alone.
    await page.clock.install();
    await page.reload();
    await locked();
    await unlock("a long passphrase");
    await world.screen(page, "chats");
    await page.clock.fastForward("14:00");
    await page.mouse.move(100, 100);
    await page.mouse.move(200, 100);
    await page.clock.fastForward("14:00");
    assert((await page.evaluate("document.body.dataset.screen")) === "chats", "it was locked under somebody's hands");
    await page.clock.fastForward("02:00");
    await locked();
    await unlock("a long passphrase");
    await world.screen(page, "chats");

    await lock("Lock");
    await page.fill("#current", "no idea");
    await lock("Take the lock away");
    await trouble("not the passphrase");
    await page.fill("#current", "a long passphrase");
    await page.fill("#next", "a newer passphrase");
    await page.fill("#again", "a newer passphrase");
    await lock("Change the passphrase");
    await page.waitForSelector("dialog", { state: "detached" });
    await lock("Lock");
    await lock("Lock now");
    await locked();
    await unlock("a long passphrase");
    await trouble("not the passphrase");
    await unlock("a newer passphrase");
    await world.screen(page, "chats");
    await lock("Lock");
    await page.fill("#current", "a newer passphrase");
    await lock("Take the lock away");
    await page.waitForSelector("dialog", { state: "detached" });
    await page.reload();
    await world.screen(page, "chats");

    await lock("Lock");
    await page.fill("#next", "soon forgotten");
    await page.fill("#again", "soon forgotten");
    await page.keyboard.press("Enter");
    await locked();
    await lock("I forgot it");
    await world.shot(page, "lock-forgotten");
    await accessible(page, "lock forgotten");
    await lock("Erase and log out");
    await page.waitForSelector("text=You are logged out");
    assert((await kept(page)) === 0, `${await kept(page)} rows were left`);
    await page.click("button:has-text('Link this browser')");
    await world.join(page, phone);
    quiet(page);
  },

  async a_passkey_makes_a_page_strong_and_counts_for_its_own_page_alone(world) {
    const named = await world.nameRelay();
    const address = await world.serveElsewhere();
    await world.startRelay(...named, "--allow-origin", address);
    const phone = await world.startPhone();
    const browser = await world.browser();
    const page = await world.open(browser);
    const cdp = await browser.newCDPSession(page);
    await cdp.send("WebAuthn.enable");
    const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true };
    await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
    // As an app registers the passkey of its account, long before.
    const [credential, key] = await page.evaluate(async () => {
      const random = (length) => crypto.getRandomValues(new Uint8Array(length));
      const made = await navigator.credentials.create({ publicKey: {
        rp: { id: "localhost", name: "An app" }, user: { id: random(16), name: "kim", displayName: "Kim" }, challenge: random(32),
        pubKeyCredParams: [{ type: "public-key", alg: -7 }], authenticatorSelection: { userVerification: "required" },
      } });
      // WebAuthn section 6.1: 37 bytes, the authenticator's model, the length of the id, the id, the key.
      const data = new Uint8Array(made.response.getAuthenticatorData());
      const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
      return [hex(new Uint8Array(made.rawId)), hex(data.slice(55 + made.rawId.byteLength))];
    });
    phone.type(`passkey localhost ${world.url} ${credential} ${key}`);
    await phone.says(/passkey kept/);
    const link = async (page, answer) => {
      phone.type(`link ${await world.text(page)}`);
      await world.digits(page, phone);
      await world.screen(page, "passkey");
      await page.click(`button:has-text("${answer}")`);
      await world.screen(page, "chats");
    };
    phone.type(`link ${await world.text(page)}`);
    await world.digits(page, phone);
    await world.screen(page, "passkey");
    await world.shot(page, "passkey");
    await accessible(page, "passkey");
    await page.click("text=Use my passkey");
    await phone.says(/evidence Passkey Proven/);
    await phone.says(/linked \w+ Strong/);
    await world.screen(page, "chats");
    await page.close();

    // Who has no passkey is linked with less, as the policy lets him.
    const without = await world.open(await world.browser());
    await link(without, "Go on without");
    const [, less] = await phone.says(/linked \w+ (\w+)/);
    assert(less !== "Strong", `without a passkey the link is ${less}`);
    await without.close();

    // A page of another origin is not given the passkey by the browser.
    const other = await world.browser();
    const foreign = await world.open(other, "/", address);
    const device = await other.newCDPSession(foreign);
    await device.send("WebAuthn.enable");
    await device.send("WebAuthn.addVirtualAuthenticator", { options });
    await link(foreign, "Use my passkey");
    const [, grade] = await phone.says(/linked \w+ (\w+)/);
    assert(grade !== "Strong", `a page of another origin made the link ${grade}`);
    assert(phone.said.match(/evidence Passkey Proven/g).length === 1, "a passkey was proven twice");
  },

  async a_copied_profile_is_found_out_and_both_copies_are_erased(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    phone.type("seed 3");
    const [own, stolen] = [world.folder("own"), world.folder("stolen")];
    const browser = await world.browser({ profile: own });
    let page = await world.open(browser);
    await world.join(page, phone);
    await whole(page);
    await browser.close();
    cpSync(own, stolen, { recursive: true });
    page = await world.open(await world.browser({ profile: own }));
    await page.waitForSelector("[data-part=line]:has-text('Online')");
    // Once may be an accident. The person tries again, and the second time within a day the device is taken off the list.
    const thief = await world.open(await world.browser({ profile: stolen }));
    await page.waitForSelector("text=online somewhere else");
    await world.shot(page, "copied");
    await accessible(page, "copied");
    await page.click("text=Go online here");
    for (const [who, copy] of [["the original", page], ["the copy", thief]]) {
      await until(`the end of ${who}`, async () => {
        // At once or not at all: the removal may take the button away at any moment.
        await copy.evaluate(() => [...document.querySelectorAll("button")].find((button) => button.textContent === "Go online here")?.click());
        return copy.locator("text=This browser was removed").count();
      });
      assert((await copy.textContent("body")).includes("two copies of it reported"), `${who} does not say why`);
      assert((await kept(copy)) === 0, `${who} kept something`);
    }
    quiet(thief);
    quiet(page);
  },
};
