// A relay, a phone (the `pairlight` command with a profile), and browsers, each thrown away after its test.

import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import * as http from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { chromium } from "playwright-core";

export const root = resolve(import.meta.dirname ?? new URL(".", import.meta.url).pathname, "../..");
export const pageFolder = `${root}/web/dist/page`;
export const packageFolder = `${root}/web/dist/package`;
const target = resolve(root, process.env.CARGO_TARGET_DIR ?? "target");
const program = process.env.PAIRLIGHT_BIN ?? `${target}/debug/pairlight`;
const CHROMIUM = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome", "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"];
export const chromiumPath = process.env.CHROMIUM ?? CHROMIUM.find((path) => existsSync(path));

/** Everything here ends by then, also when the machine is slow. */
export const PATIENCE = 60_000;

/** Waits until `look` gives something. */
export async function until(what, look, patience = PATIENCE) {
  const end = Date.now() + patience;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

/** A port of this machine that nobody has. */
async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  return port;
}

/** A running program, with what it said. */
class Running {
  said = "";
  ended = false;
  constructor(file, args, options) {
    this.child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"], ...options });
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on("data", (bytes) => (this.said += bytes));
    this.done = new Promise((done) => this.child.on("close", (code) => { this.ended = true; done(code); }));
  }
  /** What it says next: the search goes on where the one before ended. */
  #from = 0;
  async says(pattern, patience) {
    return until(`${pattern} from the program`, () => {
      const found = this.said.slice(this.#from).match(pattern);
      if (found) this.#from += found.index + found[0].length;
      if (!found && this.ended) throw new Error(`it ended without ${pattern}:\n${this.said}`);
      return found;
    }, patience);
  }
  type(line) {
    this.child.stdin.write(`${line}\n`);
  }
  async end(signal = "SIGTERM") {
    if (!this.ended) this.child.kill(signal);
    // One that a test has stopped hears of it only so.
    if (!this.ended) this.child.kill("SIGCONT");
    return this.done;
  }
}

export class World {
  #folder = mkdtempSync(join(tmpdir(), "pairlight-web-"));
  #running = [];
  #browsers = [];
  #pages = [];
  #servers = [];
  #metrics;
  relay;
  url;

  constructor(shots) {
    this.shots = shots;
  }

  story() {
    return this.#running.map((each) => `--- ${each.child.spawnargs.slice(1).join(" ")}\n${each.said}`).join("\n");
  }

  run(args, file = program, options = {}) {
    const running = new Running(file, args, options);
    this.#running.push(running);
    return running;
  }

  /** Lets the relay be called `localhost`: a passkey belongs to a name, never to an address. */
  async nameRelay() {
    const port = await freePort();
    this.url = `http://localhost:${port}`;
    return ["--host", `localhost:${port}`];
  }

  /** Static files on an origin of their own; `change` may rewrite a document, and hears whether it was asked for as the address. */
  async serve(folder, change = (html) => html) {
    const types = { html: "text/html", js: "text/javascript", css: "text/css", wasm: "application/wasm", txt: "text/plain" };
    const server = http.createServer((request, response) => {
      const { pathname } = new URL(request.url, "http://page");
      const path = `${folder}${pathname === "/" ? "/index.html" : pathname}`;
      if (pathname.includes("..") || !existsSync(path)) return response.writeHead(404).end();
      const bytes = path.endsWith(".html") ? change(readFileSync(path, "utf8"), pathname === "/") : readFileSync(path);
      response.writeHead(200, { "content-type": types[path.split(".").at(-1)] }).end(bytes);
    }).listen(0, "127.0.0.1");
    await once(server, "listening");
    this.#servers.push(server);
    return `http://127.0.0.1:${server.address().port}`;
  }

  /** The page on an origin of its own, which names the relay as the guide says. */
  serveElsewhere() {
    const { host } = new URL(this.url);
    return this.serve(pageFolder, (html) => html.replace("http://127.0.0.1:* ws://127.0.0.1:*", `http://${host} ws://${host}`)
      .replace("<title>", `<meta name="pairlight-relay" content="${this.url}"><title>`));
  }

  /** Starts the relay, or starts it again with the same store at the same address. */
  async startRelay(...more) {
    const listen = this.url ? new URL(this.url).host.replace("localhost", "127.0.0.1") : "127.0.0.1:0";
    this.#metrics ??= `127.0.0.1:${await freePort()}`;
    this.relay = this.run(["relay", "--listen", listen, "--data-dir", `${this.#folder}/relay`, "--durability", "program-end",
      "--limits", "generous", "--page", pageFolder, "--metrics-listen", this.#metrics, ...more]);
    const [, said] = await this.relay.says(/relay (http:\S+)/);
    this.url ??= said;
    return this.url;
  }

  /** What the relay counts of something now. */
  async gauge(name) {
    const page = await (await fetch(`http://${this.#metrics}/metrics`)).text();
    const start = `pairlight_relay_${name} `;
    return Number(page.split("\n").find((line) => line.startsWith(start)).slice(start.length));
  }

  profile(name) {
    return ["--profile", `${this.#folder}/${name}`, "--relay", this.url];
  }

  /** A phone that stays online: `tests/examples/web_phone.rs` says what it understands. */
  async startPhone() {
    const phone = this.run([`${this.#folder}/phone`, this.url], join(dirname(program), "examples/web_phone"));
    await phone.says(/ready/);
    return phone;
  }

  /** What the code on the screen says, read by our scanner from a picture of it. */
  async text(page, name = "code-to-read") {
    await this.code(page);
    const text = this.read(await this.shot(page, name));
    if (!text) throw new Error(`the scanner does not read ${name}.png`);
    return text;
  }

  /** Links the page to such a phone. */
  async join(page, phone) {
    phone.type(`link ${await this.text(page)}`);
    await this.digits(page, phone);
    await phone.says(/linked \w+/);
    await this.screen(page, "chats");
  }

  /** Runs a command of the command-line phone to its end. */
  phone(args, name = "phone") {
    const [command, ...rest] = args;
    const given = [command, ...rest, ...this.profile(name)];
    const done = spawnSync(program, given, { encoding: "utf8" });
    if (done.status !== 0) throw new Error(`pairlight ${given.join(" ")} ended with ${done.status}:\n${done.stdout}${done.stderr}`);
    return done.stdout;
  }

  /** Lets the phone scan a picture, or take the text of a code, and approve. */
  scan(source, { name = "phone", policy = "development", yes = true } = {}) {
    const how = source.image ? ["--image", source.image] : ["--paste"];
    const running = this.run(["link", "scan", ...how, "--policy", policy, ...(yes ? ["--yes"] : []), ...this.profile(name)]);
    if (source.text) running.type(source.text);
    return running;
  }

  /** What the scanner reads in a picture. */
  read(image) {
    const done = spawnSync(program, ["scan", "--format", "raw", image], { encoding: "utf8" });
    return done.status === 0 ? done.stdout : undefined;
  }

  /** A film of a code on a screen, as the simulated camera takes it, for Chromium in place of a camera; `dark` black frames first. */
  film(name, text, { condition = "nominal", frames = 12, fps = 10, dark = 0 } = {}) {
    const path = this.folder(`${name}.y4m`);
    const given = ["sequence", "--text", text, "--condition", condition, "--frames", String(frames), "--fps", String(fps), "--out", path];
    const done = spawnSync(join(dirname(program), "pairlight-lens"), given, { encoding: "utf8" });
    if (done.status !== 0) throw new Error(`pairlight-lens ended with ${done.status}: ${done.error ?? done.stderr}`);
    if (!dark) return path;
    const film = readFileSync(path);
    const head = film.indexOf("\n") + 1;
    const [, width, height] = film.subarray(0, head).toString().match(/W(\d+) H(\d+)/).map(Number);
    const black = Buffer.alloc("FRAME\n".length + (width * height * 3) / 2, 128);
    black.write("FRAME\n");
    black.fill(8, "FRAME\n".length, "FRAME\n".length + width * height);
    writeFileSync(path, Buffer.concat([film.subarray(0, head), ...Array(dark).fill(black), film.subarray(head)]));
    return path;
  }

  async browser(options = {}) {
    const { args = [], headless = true, profile = mkdtempSync(join(this.#folder, "browser-")), ...context } = options;
    const browser = await chromium.launchPersistentContext(profile, {
      executablePath: chromiumPath,
      args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", ...args],
      headless, viewport: { width: 1280, height: 800 }, ...context,
    });
    this.#browsers.push(browser);
    browser.setDefaultTimeout(PATIENCE);
    return browser;
  }

  /** A folder for what a test keeps. */
  folder(name) {
    return join(this.#folder, name);
  }

  /** Opens the page; what it logs is kept, and anything that it loads from elsewhere fails the test. */
  async open(browser, path = "/", at = this.url) {
    const page = await browser.newPage();
    this.#pages.push(page);
    page.trouble = [];
    page.on("pageerror", (error) => page.trouble.push(`error: ${error.message}`));
    page.on("console", (message) => { if (message.type() === "error") page.trouble.push(`console: ${message.text()}`); });
    page.on("request", (request) => {
      const { protocol, host } = new URL(request.url());
      if (!["data:", "blob:"].includes(protocol) && ![at, this.url].some((known) => new URL(known).host === host)) page.trouble.push(`a request to ${host}`);
    });
    await page.goto(at + path);
    return page;
  }

  /** Waits for a screen of the page. */
  async screen(page, name) {
    await until(`the screen ${name}; there is ${await page.evaluate("document.body.dataset.screen")}`, async () =>
      (await page.evaluate("document.body.dataset.screen")) === name);
  }

  /** Waits until a code is drawn. */
  async code(page) {
    await this.screen(page, "code");
    await page.waitForSelector(".code:not(.gone) canvas");
  }

  shot(page, name) {
    return page.screenshot({ path: `${this.shots}/${name}.png`, caret: "initial" }).then(() => `${this.shots}/${name}.png`);
  }

  async lastShot(name) {
    const page = this.#pages.at(-1);
    if (page && !page.isClosed()) {
      console.log(`trouble of the page: ${JSON.stringify(page.trouble)}; picture: ${this.shots}/failed-${name}.png`);
      await page.screenshot({ path: `${this.shots}/failed-${name}.png` }).catch(() => {});
    }
  }

  async digits(page, phone) {
    const [, a, b] = await phone.says(/(\d{3}) (\d{3})/);
    await this.screen(page, "digits");
    await page.fill("#digits", a + b);
  }

  async end() {
    for (const browser of this.#browsers) await browser.close().catch(() => {});
    for (const each of this.#running) await each.end();
    for (const server of this.#servers) server.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
