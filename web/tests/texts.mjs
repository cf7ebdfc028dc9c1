// The words of the page, in every language.

import { readFileSync } from "node:fs";
import { build } from "esbuild";
import { assert, quiet } from "./checks.mjs";
import { told } from "./told.mjs";
import { root, until } from "./world.mjs";

const LETTERS = { en: /[A-Za-z]/, de: /[A-Za-zÄÖÜäöüß]/, ar: /[\u0621-\u064a]/ };
/** Units, names, and what only puts a dot behind somebody else's words. */
const NAMES = new Set(["said", "seconds", "minutes", "ownName"]);

/** The table of a language, as the page has it. */
export async function table(language) {
  const { outputFiles } = await build({ entryPoints: [`${root}/web/page/texts/${language}.ts`], bundle: true, format: "esm", write: false });
  return (await import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString("base64")}`))[language];
}

/** Every word with its path. */
function words(from, path = "") {
  if (typeof from === "string" || typeof from === "function") return [[path, from]];
  return Object.entries(from).flatMap(([key, value]) => words(value, path ? `${path}.${key}` : key));
}

/** The cases of an enumeration of Rust. */
const cases = (path, name) => all(source(path).match(new RegExp(`pub enum ${name} \\{([^}]+)\\}`))[1], /^ +(\w+) = /gm);
/** The words of a type of TypeScript that is a choice of them. */
const choices = (name) => all(source("web/src/types.ts").match(new RegExp(`${name} =([^;]+);`))[1], /"(\w+)"/g);

const source = (path) => readFileSync(`${root}/${path}`, "utf8");
const all = (text, pattern) => [...text.matchAll(pattern)].map(([, found]) => found);

export const tests = {
  async no_language_lacks_a_word() {
    const english = new Map(words(await table("en")));
    for (const [language, letters] of Object.entries(LETTERS)) {
      const own = new Map(words(await table(language)));
      const [lacks, more] = [[...english.keys()].filter((key) => !own.has(key)), [...own.keys()].filter((key) => !english.has(key))];
      assert(lacks.length + more.length === 0, `${language} lacks ${lacks} and has ${more} besides`);
      for (const [path, word] of own) {
        assert(typeof word === typeof english.get(path), `${language}: ${path} is a ${typeof word}`);
        // A part that a sentence is given must be said. Numbers are tried one by one: languages have forms of their own for some.
        const said = typeof word === "string" ? [word] : english.get(path).length === 2 ? [word("7 KB", "9 KB")] : [word("seven"), word(1), word(2), word(3), word(11)];
        if (typeof word === "function") assert(said[0].includes(english.get(path).length === 2 ? "9 KB" : "seven"), `${language}: ${path} leaves out what it is given`);
        for (const each of said) assert(NAMES.has(path) || letters.test(each), `${language}: ${path} is "${each}"`);
      }
    }
  },

  async the_page_has_words_for_all_that_the_core_says() {
    const en = await table("en");
    const must = {
      hints: [Object.keys(en.scan.hints), all(source("core/src/scan/hint.rs"), /Self::\w+ => "([a-z-]+)",/g)],
      kinds: [Object.keys(en.scan.kinds), all(source("core/src/payload/explain.rs"), /Self::[^>]+ => "([a-z_]+)",/g)],
      endings: [Object.keys(en.endings), cases("wire/src/pairing.rs", "EndReason")],
      discrepancies: [Object.keys(en.discrepancies), cases("wire/src/standing.rs", "Discrepancy")],
      removals: [Object.keys(en.removals), cases("wire/src/list.rs", "RemovalReason")],
      notices: [Object.keys(en.notices), cases("wire/src/standing.rs", "NoticeKind")],
      refusals: [Object.keys(en.refusals), cases("wire/src/relay.rs", "RefusalCode")],
      faults: [Object.keys(en.faults), choices("FaultKind")],
      "ends in the types": [choices("EndReason"), Object.keys(en.endings)],
      "discrepancies in the types": [choices("Discrepancy"), Object.keys(en.discrepancies)],
      "removals in the types": [choices("RemovalReason"), Object.keys(en.removals)],
      "notices in the types": [choices("NoticeKind"), Object.keys(en.notices)],
      "refusals in the types": [choices("RefusalCode"), Object.keys(en.refusals)],
    };
    // In English the page says what all other devices say.
    for (const [table, path] of [["discrepancies", "wire/src/standing.rs"], ["removals", "wire/src/list.rs"]]) {
      for (const words of Object.values(en[table])) assert(source(path).includes(`=> "${words}",`), `the core does not say "${words}"`);
    }
    for (const [what, [have, need]] of Object.entries(must)) {
      assert(need.length > 5, `${what}: nothing was found in the core`);
      assert([...have].sort().join() === [...need].sort().join(), `${what}: the page has ${have}, the core ${need}`);
    }
  },

  async no_sentence_of_the_core_is_shown_in_another_language(world) {
    await world.startRelay();
    const core = [...all(source("wire/src/standing.rs") + source("wire/src/list.rs"), /=> "([^"]{8,})",/g), "as the core says it"];
    assert(core.length > 20, `${core.length} sentences were found in the core`);
    for (const language of ["de", "ar"]) {
      const t = await table(language);
      const browser = await world.browser();
      const open = async (setup) => told(world, browser, setup, { path: `/?lang=${language}` });
      const says = async (page, ...words) => {
        await until(words.join(), () => page.evaluate((words) => words.every((word) => document.querySelector("#screen").textContent.includes(word)), words));
        const said = await page.innerText("body");
        for (const sentence of core) assert(!said.includes(sentence), `${language}: it says "${sentence}"`);
        if (language === "ar") assert(!/[a-z]+ [a-z]+ [a-z]+/i.test(said), `it says "${said.match(/[a-z]+ [a-z]+ [a-z]+.{0,60}/i)}"`);
      };
      const opens = async (setup, ...words) => {
        const page = await open(setup);
        await says(page, ...words);
        await page.close();
      };
      // What a call can fail with: before there is a device, and while one writes.
      for (const [kind, words] of Object.entries(t.faults)) {
        if (!["InUse", "Unreachable", "PassphraseNeeded"].includes(kind)) {
          await opens(`window.calls.open = () => { throw Object.assign(new Error("as the core says it"), { name: "${kind}" }); };`, t.said(words));
        }
      }
      await opens(() => { window.calls.link = () => { throw Object.assign(new Error("as the core says it"), { name: "Refused" }); }; }, t.link.notBegun.title, t.faults.Refused);
      await opens(() => { window.calls.standing = () => ({ isLocked: true, restriction: "CopyForked" }); }, t.discrepancies.CopyForked);
      await opens(() => {
        window.calls.standing = () => ({ isLocked: false, restriction: null });
        window.calls.connect = () => { throw Object.assign(new Error("as the core says it"), { name: "Locked" }); };
      }, t.discrepancies.LeaseEnded);
      // And what the line says: first what leaves the conversations there, then what ends it.
      const page = await open(() => { window.calls.standing = () => ({ isLocked: false, restriction: null }); });
      await world.screen(page, "chats");
      const hears = async (line, ...words) => {
        await page.evaluate((line) => window.tell({ line }), line);
        await says(page, ...words);
      };
      for (const [reason, words] of Object.entries(t.discrepancies)) await hears({ type: "leased", untilMs: 0, restriction: reason }, t.chats.restricted(words));
      for (const [kind, words] of Object.entries(t.notices)) {
        await hears({ type: "notice", kind, discrepancy: "ListDiffers", removal: null, words: "as the core says it" }, t.chats.noticed(words, t.discrepancies.ListDiffers));
        await hears({ type: "notice", kind, discrepancy: null, removal: null, words: "as the core says it" }, t.chats.noticedAlone(words));
      }
      for (const [reason, words] of Object.entries(t.removals)) await hears({ type: "removed", reason }, t.start.removed.what(words));
      for (const [reason, words] of Object.entries(t.discrepancies)) await hears({ type: "locked", reason }, t.start.ended.what(words));
      for (const [reason, words] of Object.entries(t.refusals)) {
        await hears({ type: "refused", reason }, reason === "Duplicate" ? t.start.copied.title : t.start.shutOut.what(words));
      }
      await hears({ type: "failed", reason: "Storage", words: "as the core says it" }, t.said(t.faults.Storage));
      await browser.close();
    }
  },

  async the_page_speaks_the_language_of_the_browser_unless_its_address_names_another(world) {
    await world.startRelay();
    const phone = await world.startPhone();
    phone.type("seed 30");
    const [ar, de, en] = await Promise.all(["ar", "de", "en"].map(table));
    const browser = await world.browser({ locale: "ar-EG" });
    const page = await world.open(browser);
    const is = async (language, direction, title) => {
      await world.code(page);
      const now = await page.evaluate("[document.documentElement.lang, document.documentElement.dir, document.querySelector('h1').textContent].join('|')");
      assert(now === `${language}|${direction}|${title}`, `the page is ${now}`);
    };
    await is("ar", "rtl", ar.link.title);
    await world.shot(page, "arabic-code");
    await page.goto(`${world.url}/?lang=de`);
    await is("de", "ltr", de.link.title);
    await world.shot(page, "german-code");
    await page.goto(`${world.url}/?lang=tlh`);
    await is("ar", "rtl", ar.link.title);
    await page.goto(`${world.url}/?lang=en`);
    await is("en", "ltr", en.link.title);
    await page.goto(world.url);
    await is("ar", "rtl", ar.link.title);
    // The list is at the right, and a message of another script keeps its own direction.
    await world.join(page, phone);
    await page.locator(".list li button").first().click();
    await page.waitForSelector(".message");
    await until("the whole history", async () => (await page.textContent("[data-part=history]")) === "");
    const [list, talk] = await Promise.all([".list", ".talk"].map((part) => page.locator(part).boundingBox()));
    assert(list.x > talk.x, "the list is not at the right");
    await world.shot(page, "arabic-chats");
    const wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth");
    assert(wide <= 0, `the page is ${wide} pixels too wide`);
    await page.locator(".bar button", { hasText: ar.chats.lock }).first().click();
    await page.waitForSelector("dialog");
    await world.shot(page, "arabic-lock");
    quiet(page);
  },
};
