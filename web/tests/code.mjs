// The screen with the code, what it is served with, and what two browsers of one account know of each other.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { appendFileSync, cpSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { accessible, assert, quiet } from "./checks.mjs";
import { peers } from "./peers.mjs";
import { table } from "./texts.mjs";
import { anyCode, told } from "./told.mjs";
import { pageFolder, root, until } from "./world.mjs";

const hash = (name, bytes, how) => createHash(name).update(bytes).digest(how);
const width = (page) => page.evaluate("document.querySelector('.code canvas').getBoundingClientRect().width");

export const tests = {
  async a_code_that_nobody_scans_grows_and_offers_help_while_the_screen_stays_awake(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    const page = await world.open(await world.browser());
    await page.addInitScript(() => {
      window.awake = 0;
      const request = async (kind) => {
        window.awake += kind === "screen" ? 1 : 0;
        return { release: async () => { window.awake -= 1; } };
      };
      Object.defineProperty(navigator, "wakeLock", { value: { request } });
    });
    // The clock is the page's alone.
    await page.clock.install();
    await page.reload();
    await world.code(page);
    await until("the screen to stay awake", async () => (await page.evaluate("window.awake")) === 1);
    const { noScan, slow } = (await table("en")).link;
    await page.waitForSelector(`[data-part=help]:has-text("${noScan}"):has-text("${slow.larger}")`);
    const after = await width(page);
    // At first it is 264 CSS pixels wide at most.
    assert(after > 330, `the code is ${after} CSS pixels wide`);
    const text = await world.text(page, "code-helped");
    for (const [peer, read] of Object.entries(await peers(`${world.shots}/code-helped.png`))) assert(read === text, `${peer} does not read the larger code`);
    await accessible(page, "help");

    // The name goes to the phone with the next code, and stays.
    await page.fill("#name", "Kim's laptop");
    await page.keyboard.press("Enter");
    await until("a code with that name", async () => {
      await world.code(page);
      return (await world.text(page)) !== text;
    });
    phone.type(`decline ${await world.text(page)}`);
    await phone.says(/review Kim's laptop/);
    await page.waitForSelector("body[data-reason=Declined]");
    await page.click("text=Show a new code");
    await world.code(page);
    assert((await page.inputValue("#name")) === "Kim's laptop", "the name was forgotten");
    await world.join(page, phone);
    await until("the screen to be let go of", async () => (await page.evaluate("window.awake")) === 0);
    quiet(page);
  },

  async who_does_not_scan_gets_a_larger_code_then_a_word_on_brightness_then_help(world) {
    await world.startRelay();
    const page = await told(world, await world.browser(), () => {}, { clock: true });
    await world.screen(page, "code");
    await page.evaluate((link) => window.tell({ link }), anyCode());
    const { noScan, slow } = (await table("en")).link;
    const words = [slow.larger, slow.bright, slow.help];
    const said = [`${noScan} ${slow.larger}`, slow.bright, slow.help];
    let now = 0;
    // The moment before each step, and the step itself, ms; then for as long as somebody may wait.
    for (const [at, step] of [[7_500, 0], [8_000, 1], [13_500, 1], [14_000, 2], [19_500, 2], [20_000, 3], [60_000, 3]]) {
      await page.clock.runFor(at - now);
      now = at;
      const shown = await page.locator("[data-part=help]:visible p").allTextContents();
      assert(shown.join("|") === words.slice(0, step).join("|"), `after ${at} ms there is "${shown}"`);
      assert((await width(page)) > 300 === step > 0, `after ${at} ms the code is ${await width(page)} CSS pixels wide`);
      if (step > 0) assert((await page.textContent("#said")) === said[step - 1], `after ${at} ms "${await page.textContent("#said")}" is said`);
      if (step === 2) await world.shot(page, "code-bright");
    }
    // The next code is as large, and its help is there at once.
    await page.evaluate((link) => window.tell({ link }), anyCode());
    assert((await width(page)) > 300 && (await page.locator("[data-part=help]:visible p").count()) === 3, "the next code begins anew");
    quiet(page);
  },

  async the_number_that_counts_down_is_the_life_of_the_code_that_the_core_gives(world) {
    await world.startRelay();
    const page = await told(world, await world.browser(), () => {}, { clock: true });
    await world.screen(page, "code");
    const { newIn, newComes } = (await table("en")).link;
    const counted = () => page.textContent("[data-part=countdown]");
    for (const shownMs of [30_000, 4_200]) {
      await page.evaluate((link) => window.tell({ link }), anyCode(shownMs));
      for (let passed = 0; passed < shownMs + 1_000; passed += 500) {
        const left = Math.ceil((shownMs - passed) / 1000);
        const [now, must] = [await counted(), left > 0 ? newIn(left) : newComes];
        assert(now === must, `${passed} of ${shownMs} ms after the code: "${now}", not "${must}"`);
        await page.clock.runFor(500);
      }
    }
    quiet(page);

    // The same with the core: what it gives is what is shown.
    const real = await world.open(await world.browser());
    await real.addInitScript(() => {
      const Real = window.Worker;
      window.Worker = class extends Real {
        constructor(...given) {
          super(...given);
          this.addEventListener("message", ({ data }) => { if (data.link?.type === "code") window.code = { shownMs: data.link.shownMs, at: Date.now() }; });
        }
      };
    });
    await real.clock.install();
    await real.reload();
    await world.code(real);
    await real.clock.pauseAt(await real.evaluate("Date.now() + 3_000"));
    for (const seconds of [0, 7]) {
      await real.clock.runFor(seconds * 1000 + 500);
      const [now, { shownMs, at }, shown] = await real.evaluate("[Date.now(), window.code, document.querySelector('[data-part=countdown]').textContent]");
      // The count is drawn twice a second.
      const lefts = [at + shownMs - now, at + shownMs - now + 500].map((ms) => newIn(Math.ceil(ms / 1000)));
      assert(shownMs > 15_000 && lefts.includes(shown), `the core gave ${shownMs} ms, ${now - at} ms ago: "${shown}"`);
    }
    quiet(real);
  },

  async every_end_of_a_link_and_of_the_line_has_a_screen_that_says_what_is_safe(world) {
    await world.startRelay();
    const en = await table("en");
    const browser = await world.browser();
    const before = (setup) => told(world, browser, setup);
    const shows = async (page, { title, help }, safe = /safe|[Nn]othing (is|was) |erased|still there|phone has everything|sealed|nothing is lost/) => {
      await page.waitForSelector(`h1:text-is("${title}")`);
      const said = await page.textContent("#screen");
      assert(said.includes(help), `${title}: it does not say what to do`);
      assert(safe.test(said), `${title}: it does not say what is safe`);
      assert((await page.locator("#screen button").count()) >= 1, `${title}: there is nothing to press`);
    };

    const page = await before(() => {});
    for (const [reason, ending] of Object.entries(en.endings)) {
      await world.screen(page, "code");
      await page.evaluate((reason) => window.tell({ link: { type: "failed", reason } }), reason);
      await shows(page, ending, /your other devices are safe/);
      assert((await page.evaluate("document.body.dataset.reason")) === reason, `${reason} is not named`);
      if (reason === "Refused") await accessible(page, reason);
      await page.click("#screen button.main");
    }
    await page.evaluate(() => window.tell({ link: { type: "paused" } }));
    await shows(page, en.link.paused, /./);
    quiet(page);

    const kinds = { Unreachable: en.start.unreachable, Refused: en.start.refused, Storage: en.start.storage, InUse: en.start.inUse, Failed: en.start.noStart };
    for (const [kind, words] of Object.entries(kinds)) {
      const page = await before(`window.calls.open = () => { throw Object.assign(new Error("as it was"), { name: "${kind}" }); };`);
      await shows(page, words, kind === "Failed" ? /./ : undefined);
      await page.close();
    }
    const ends = {
      removed: en.start.removed, locked: en.start.ended, failed: en.start.stopped, refused: en.start.shutOut, copied: en.start.copied,
    };
    for (const [type, words] of Object.entries(ends)) {
      const page = await before(`window.calls.standing = () => ({ isLocked: false, restriction: null });`);
      await world.screen(page, "chats");
      await page.evaluate((type) => window.tell({ line: type === "copied" ? { type: "refused", reason: "Duplicate" } : { type, reason: { removed: "Revoked", locked: "LeaseEnded", failed: "Storage", refused: "RateLimited" }[type], words: "as it was" } }), type);
      await shows(page, words);
      await page.close();
    }
  },

  async every_file_of_the_page_is_named_by_its_hash_checked_and_served_under_a_strict_policy(world) {
    await world.startRelay();
    const answer = await fetch(`${world.url}/`);
    const policy = answer.headers.get("content-security-policy");
    const html = await answer.text();
    for (const part of [policy, html]) {
      for (const word of ["unsafe-inline", "'unsafe-eval'", "style=", " onload="]) assert(!part.includes(word), `there is ${word}`);
      for (const word of ["default-src 'none'", "require-trusted-types-for 'script'", "base-uri 'none'"]) assert(part.includes(word), `there is no ${word}`);
    }
    assert(!/<script(?![^>]* src=)/.test(html), "a script stands in the document");
    const named = [...html.matchAll(/<(?:script|link) [^>]*(?:src|href)="([^":]+)"([^>]*)>/g)];
    assert(named.length >= 5, `the document names ${named.length} files`);
    for (const [, name, rest] of named) {
      const file = await fetch(`${world.url}/${name}`);
      const bytes = Buffer.from(await file.arrayBuffer());
      assert(name.split(/[-.]/).at(-2) === hash("sha256", bytes, "hex").slice(0, 16), `${name} is not named by its hash`);
      assert(rest.includes(`integrity="sha384-${hash("sha384", bytes, "base64")}"`), `${name} is not checked`);
      assert(file.headers.get("cache-control").includes("immutable"), `${name} may change`);
      assert(file.headers.get("content-security-policy") === policy, `${name} has another policy`);
    }
  },

  async the_page_that_is_served_is_checked_against_the_published_hash_and_built_again_is_the_same(world) {
    await world.startRelay();
    const sums = readFileSync(`${pageFolder}/sha256sums.txt`);
    const published = hash("sha256", sums, "hex");
    const check = async (...given) => {
      const running = world.run(given, `${root}/scripts/check-page.sh`);
      return { code: await running.done, said: running.said };
    };
    for (const given of [[], [published]]) {
      const { code, said } = await check(world.url, ...given);
      assert(code === 0 && said.includes(published) && said.includes("It is the page that was published."), `${code}: ${said}`);
    }
    // Another page: by its hash, by what is in a file, by a document that differs from its list, by a file that the list leaves out.
    const copy = (name, change) => {
      const folder = world.folder(name);
      cpSync(pageFolder, folder, { recursive: true });
      const files = Object.fromEntries(readdirSync(folder).map((file) => [file.split(/[-.]/)[0], `${folder}/${file}`]));
      change(files);
      return folder;
    };
    const sum = (files, file) => {
      const kept = readFileSync(files.sha256sums, "utf8").split("\n").map((line) => line.endsWith(`  ${file.split("/").at(-1)}`) ? `${hash("sha256", readFileSync(file), "hex")}${line.slice(64)}` : line);
      writeFileSync(files.sha256sums, kept.join("\n"));
    };
    const others = {
      "the published one is": [world.url, "0".repeat(64)],
      "a file is not what": [await world.serve(copy("changed", (files) => appendFileSync(files.worker, "\n//"))), published],
      "the published one": [await world.serve(copy("changed-with-its-hash", (files) => { appendFileSync(files.worker, "\n//"); sum(files, files.worker); })), published],
      "another document": [await world.serve(pageFolder, (html, isFirst) => isFirst ? html.replace("</body>", "<!-- --></body>") : html), published],
      "names more.js": [await world.serve(copy("more", (files) => {
        writeFileSync(files.index, readFileSync(files.index, "utf8").replace("</head>", '<script src="more.js"></script></head>'));
        sum(files, files.index);
      })), published],
      "is no list of files": [await world.serve(copy("elsewhere", (files) => appendFileSync(files.sha256sums, `${"0".repeat(64)}  ../more.js\n`))), published],
      "is missing": [await world.serve(copy("missing", (files) => rmSync(files.programs))), published],
    };
    for (const [what, given] of Object.entries(others)) {
      const { code, said } = await check(...given);
      assert(code === 1 && said.includes("ANOTHER PAGE") && said.includes(what), `${what}: ${code} ${said}`);
    }
    // Whoever has the same sources and the same WebAssembly has the same page.
    const again = world.folder("again");
    const built = spawnSync(process.execPath, [`${root}/web/build.mjs`, again], { encoding: "utf8" });
    assert(built.status === 0 && built.stdout.includes(`sha256 of the bundle: ${published}`), `built again: ${built.stdout}${built.stderr}`);
    assert(readFileSync(`${again}/page/sha256sums.txt`).equals(sums), "built again it is another page");
  },

  async what_is_read_in_one_browser_is_read_in_the_other(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    phone.type("seed 3");
    const pages = [];
    for (let at = 0; at < 2; at++) {
      const page = await world.open(await world.browser());
      await world.join(page, phone);
      await page.waitForSelector(".list .unread");
      pages.push(page);
    }
    const [first, second] = pages;
    await first.locator(".list li button").first().click();
    for (const page of [first, second]) await page.waitForSelector(".list .unread", { state: "detached" });
    // And what comes later is unread again where nobody looks.
    phone.type("send Something new");
    await second.waitForSelector(".list .unread");
    await first.waitForSelector(".message:has-text('Something new')");
    for (const page of pages) quiet(page);
  },
};
