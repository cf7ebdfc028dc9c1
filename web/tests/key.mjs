// The key with which a browser signs as the linked device: a CryptoKey that no script can read, where the browser has Ed25519.

import { cpSync, writeFileSync } from "node:fs";
import { assert, quiet } from "./checks.mjs";
import { packageFolder, until } from "./world.mjs";

/** In the worker, before its own script: what becomes of the key is told, and memory is searched for bytes that the test gives. */
const WATCH = `
  const told = new BroadcastChannel("watch");
  const lacks = new URL(location).searchParams.has("lacks");
  const subtle = SubtleCrypto.prototype;
  const { generateKey, exportKey, importKey, sign } = subtle;
  const signing = new Set();
  const nameOf = (algorithm) => algorithm.name ?? algorithm;
  subtle.generateKey = async function (algorithm, extractable, usages) {
    if (nameOf(algorithm) !== "Ed25519") return generateKey.call(this, algorithm, extractable, usages);
    if (lacks) throw new DOMException("Unrecognized name.", "NotSupportedError");
    // The same key as it would be; the test learns its seed besides.
    const pair = await generateKey.call(this, algorithm, true, usages);
    const whole = new Uint8Array(await exportKey.call(this, "pkcs8", pair.privateKey));
    const publicKey = new Uint8Array(await exportKey.call(this, "raw", pair.publicKey));
    told.postMessage({ made: { extractable, usages: [...usages], seed: [...whole.slice(-32)], publicKey: [...publicKey] } });
    const privateKey = await importKey.call(this, "pkcs8", whole, algorithm, extractable, ["sign"]);
    whole.fill(0);
    return { publicKey: pair.publicKey, privateKey };
  };
  subtle.exportKey = function (format, key) {
    told.postMessage({ exported: key.type });
    return exportKey.call(this, format, key);
  };
  subtle.sign = function (algorithm, key, bytes) {
    const text = new TextDecoder().decode(bytes);
    told.postMessage({ signed: text.slice(0, text.indexOf("\\0") + 1), type: key.type, extractable: key.extractable });
    return sign.call(this, algorithm, key, bytes);
  };
  let memory;
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const whole = WebAssembly[name];
    WebAssembly[name] = async (...given) => {
      const done = await whole.apply(WebAssembly, given);
      memory = (done.instance ?? done).exports.memory;
      return done;
    };
  }
  told.onmessage = ({ data: { find } }) => {
    if (!find) return;
    const bytes = new Uint8Array(memory.buffer);
    let count = 0;
    for (let at = bytes.indexOf(find[0]); at >= 0; at = bytes.indexOf(find[0], at + 1)) {
      if (find.every((byte, index) => bytes[at + index] === byte)) count++;
    }
    told.postMessage({ found: count, of: bytes.length });
  };
`;

/** An app of the package that has nothing on its screen. */
const APP = `
  import { PairlightDevice } from "./index.js";
  const options = new URLSearchParams(location.search);
  globalThis.watched = [];
  globalThis.channel = new BroadcastChannel("watch");
  channel.onmessage = ({ data }) => watched.push(data);
  globalThis.events = [];
  const lacks = options.has("lacks") ? "?lacks" : "";
  const device = globalThis.device = await PairlightDevice.open({
    relay: options.get("relay"), takeOver: options.has("take"), worker: new Worker("./watched.js" + lacks, { type: "module" }),
  });
  device.onLink = (event) => events.push(event);
  device.onLine = (event) => events.push(event);
  device.onLost = () => events.push({ type: "lost" });
  globalThis.isOpen = true;
`;

class App {
  static async start(world) {
    const folder = world.folder("key-app");
    cpSync(packageFolder, folder, { recursive: true });
    writeFileSync(`${folder}/watch.js`, WATCH);
    writeFileSync(`${folder}/watched.js`, `import "./watch.js";\nimport "./worker.js";\n`);
    writeFileSync(`${folder}/app.js`, APP);
    writeFileSync(`${folder}/index.html`, `<!doctype html><title>key</title><link rel="icon" href="data:,"><script type="module" src="/app.js"></script>`);
    const address = await world.serve(folder);
    await world.startRelay("--allow-origin", address);
    const phone = await world.startPhone();
    phone.type("seed 3");
    return Object.assign(new App(), { world, address, phone, browser: await world.browser() });
  }

  /** A tab with the device open in it. */
  async open(...options) {
    const query = [`relay=${encodeURIComponent(this.world.url)}`, ...options].join("&");
    const page = await this.world.open(this.browser, `/?${query}`, this.address);
    await this.ready(page);
    return page;
  }

  ready(page) {
    return page.waitForFunction("globalThis.isOpen");
  }

  event(page, type) {
    return until(type, async () => (await page.evaluate("events")).find((event) => event.type === type));
  }

  async link(page) {
    await page.evaluate("events.length = 0; device.link('An app', 'Linux', 'Chromium')");
    const { text } = await this.event(page, "code");
    this.phone.type(`link ${text}`);
    const [, a, b] = await this.phone.says(/digits (\d{3}) (\d{3})/);
    await this.event(page, "enter-check-code");
    await page.evaluate((digits) => device.enterCheckCode(digits), a + b);
    await this.phone.says(/linked \w+/);
    await this.event(page, "linked");
  }

  /** Goes online, and hears and is heard. */
  async talks(page, words) {
    await page.evaluate("events.length = 0; device.connect()");
    await this.event(page, "online");
    const [talk] = await until("a conversation", async () => {
      const talks = await page.evaluate("device.conversations()");
      return talks.length > 0 ? talks : undefined;
    });
    await page.evaluate(([id, words]) => device.send(id, "Me", words), [talk.id, `${words}, from the browser`]);
    await this.phone.says(new RegExp(`message ${words}, from the browser`));
    this.phone.type(`send ${words}, from the phone`);
    await until("the phone's message", async () => (await page.evaluate((text) => device.search(text, 9), `${words}, from the phone`)).length > 0);
  }

  /** What IndexedDB says of the keys that sign, and how much else is there. */
  keys(page) {
    return page.evaluate(async () => {
      const done = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
      const db = await done(indexedDB.open("pairlight"));
      const store = (name) => db.transaction(name).objectStore(name);
      const names = await done(store("keys").getAllKeys());
      const signing = await Promise.all(names.filter((name) => name.startsWith("signs/")).map(async (name) => {
        const key = await done(store("keys").get(name));
        const out = await Promise.all(["pkcs8", "jwk", "raw"].map((format) => crypto.subtle.exportKey(format, key).then(() => format, () => "refused")));
        const { type, extractable, usages, algorithm } = key;
        return { name, isKey: key instanceof CryptoKey, type, extractable, usages, algorithm: algorithm.name, out };
      }));
      const rows = await done(store("rows").count());
      db.close();
      return { signing, rows, others: names.filter((name) => !name.startsWith("signs/")) };
    });
  }

  /** How often bytes occur in the memory of the core. */
  async inMemory(page, bytes) {
    await page.evaluate((find) => { watched.length = 0; channel.postMessage({ find }); }, bytes);
    const { found, of } = await until("the search to end", async () => (await page.evaluate("watched")).find((said) => "found" in said));
    assert(of > 1_000_000, `only ${of} bytes were searched`);
    return found;
  }

  guard(page) {
    return page.evaluate("device.standing().then((standing) => standing?.keyGuard)");
  }
}

export const tests = {
  async the_key_that_signs_is_one_that_no_script_can_read_over_reload_another_tab_and_log_out(world) {
    const app = await App.start(world);
    const page = await app.open();
    await app.link(page);
    const told = await page.evaluate("watched");
    const made = told.filter((said) => said.made).map((said) => said.made);
    assert(made.length === 1 && made[0].extractable === false, `keys were made: ${JSON.stringify(made)}`);
    const exported = told.filter((said) => said.exported).map((said) => said.exported);
    assert(exported.join() === "public", `exported: ${exported}`);
    const [{ seed, publicKey }] = made;
    assert((await app.guard(page)) === "browser", "where the key is said to be");
    const { signing } = await app.keys(page);
    const hex = publicKey.map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const wanted = [{
      name: `signs/${hex}`, isKey: true, type: "private", extractable: false, usages: ["sign"], algorithm: "Ed25519",
      out: ["refused", "refused", "refused"],
    }];
    assert(JSON.stringify(signing) === JSON.stringify(wanted), `what is kept: ${JSON.stringify(signing)}`);
    await app.talks(page, "Before a reload");
    const signed = (await page.evaluate("watched")).filter((said) => said.signed).map((said) => said.signed);
    const contexts = ["device-accept", "ws-auth", "checkin"];
    assert(contexts.every((name) => signed.some((said) => said === `pairlight/v1/${name}\0`)), `signed for: ${signed}`);
    // The search finds what is there.
    assert((await app.inMemory(page, publicKey)) > 0, "the public key is not in memory: the search does not work");
    assert((await app.inMemory(page, seed)) === 0, "the seed is in the memory of the core");

    await page.reload();
    await app.ready(page);
    await app.talks(page, "After a reload");
    assert((await app.guard(page)) === "browser", "where the key is after a reload");
    const again = (await page.evaluate("watched")).filter((said) => said.signed || said.made || said.exported);
    assert(again.length > 0 && again.every((said) => said.signed && !said.extractable && said.type === "private"), `after a reload: ${JSON.stringify(again)}`);
    assert((await app.inMemory(page, publicKey)) > 0 && (await app.inMemory(page, seed)) === 0, "the seed is in memory after a reload");
    assert(JSON.stringify((await app.keys(page)).signing) === JSON.stringify(wanted), "the key is another one after a reload");

    const second = await app.open("take");
    await app.event(page, "lost");
    await app.talks(second, "In another tab");
    await second.evaluate("device.forget()");
    const { signing: left, rows } = await app.keys(second);
    assert(left.length === 0 && rows === 0, `after the log out: ${JSON.stringify(left)}, ${rows} rows`);
    quiet(page);
    quiet(second);
  },

  async a_browser_that_makes_no_such_keys_keeps_its_own_sealed_until_it_is_linked_anew(world) {
    const app = await App.start(world);
    let page = await app.open("lacks");
    await app.link(page);
    assert((await app.guard(page)) === "sealed", "where the key is said to be");
    assert((await app.keys(page)).signing.length === 0, "a key is kept");
    await app.talks(page, "Without such keys");
    await page.close();
    // The browser was updated: what it has goes on as it is.
    page = await app.open();
    await app.talks(page, "With a newer browser");
    assert((await app.guard(page)) === "sealed" && (await app.keys(page)).signing.length === 0, "it changed by itself");
    await page.evaluate("device.forget()");
    await app.link(page);
    assert((await app.guard(page)) === "browser" && (await app.keys(page)).signing.length === 1, "the next link makes no key");
    await app.talks(page, "Linked anew");
    quiet(page);
  },

  async a_browser_with_a_lock_is_linked_with_a_key_that_is_under_the_passphrase_too(world) {
    const app = await App.start(world);
    const page = await app.open();
    await page.evaluate("device.setLock('a long passphrase')");
    await app.link(page);
    assert((await app.guard(page)) === "sealed" && (await app.keys(page)).signing.length === 0, "a key lies beside the lock");
    await app.talks(page, "Behind a lock");
    quiet(page);
  },

  async a_link_that_is_declined_or_given_up_leaves_no_key(world) {
    const app = await App.start(world);
    const page = await app.open();
    await page.evaluate("device.link('An app', 'Linux', 'Chromium')");
    const { text } = await app.event(page, "code");
    app.phone.type(`decline ${text}`);
    await app.event(page, "failed");
    assert((await app.keys(page)).signing.length === 0, "a declined link left a key");
    await page.evaluate("events.length = 0; device.link('An app', 'Linux', 'Chromium')");
    await app.event(page, "code");
    await page.evaluate("device.dropLink()");
    assert((await app.keys(page)).signing.length === 0, "a link that was given up left a key");
    // What an earlier program left goes when the device is opened.
    await page.evaluate(async () => {
      const done = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
      const db = await done(indexedDB.open("pairlight"));
      await done(db.transaction("keys", "readwrite").objectStore("keys").put("an orphan", "signs/00"));
      db.close();
    });
    await page.reload();
    await app.ready(page);
    assert((await app.keys(page)).signing.length === 0, "an orphan stayed");
    quiet(page);
  },

  async a_key_that_is_gone_ends_the_line_with_words_and_the_browser_can_be_linked_anew(world) {
    const app = await App.start(world);
    const page = await app.open();
    await app.link(page);
    await page.evaluate(async () => {
      const done = (request) => new Promise((done) => { request.onsuccess = () => done(request.result); });
      const db = await done(indexedDB.open("pairlight"));
      const store = db.transaction("keys", "readwrite").objectStore("keys");
      await done(store.delete(IDBKeyRange.bound("signs/", "signs/g")));
      db.close();
    });
    await page.evaluate("events.length = 0; device.connect()");
    const { reason, words } = await app.event(page, "failed");
    assert(reason === "Storage" && /did not sign with this device's key: NotFoundError/.test(words), `it says ${reason}: ${words}`);
    await page.evaluate("device.forget()");
    await app.link(page);
    await app.talks(page, "With a new key");
    quiet(page);
  },
};
