// The words of the page, in every language.

import { readFileSync } from "node:fs";
import { build } from "esbuild";
import { assert, quiet } from "./checks.mjs";
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
      endings: [Object.keys(en.endings), all(source("wire/src/pairing.rs").match(/pub enum EndReason \{([^}]+)\}/)[1], /^ +(\w+) = /gm)],
      reasons: [all(source("web/src/types.ts").match(/EndReason =([^;]+);/)[1], /"(\w+)"/g), Object.keys(en.endings)],
    };
    for (const [what, [have, need]] of Object.entries(must)) {
      assert(need.length > 7, `${what}: nothing was found in the core`);
      assert([...have].sort().join() === [...need].sort().join(), `${what}: the page has ${have}, the core ${need}`);
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
