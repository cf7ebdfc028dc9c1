// Apps of other people on the package: as npm gives it to them, with a bundler and without one.

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { assert, quiet } from "./checks.mjs";
import { root, until } from "./world.mjs";

const app = `${root}/web/tests/vite`;

function run(program, args, cwd) {
  const done = spawnSync(program, args, { cwd, encoding: "utf8" });
  assert(done.status === 0, `${program} ${args.join(" ")} ended with ${done.status}: ${done.error ?? ""}${done.stdout}${done.stderr}`);
  return done.stdout;
}

/** What `npm install @pairlight/web` would put into a folder. */
function install(world, into) {
  const packed = world.folder("packed");
  mkdirSync(packed);
  const name = run("npm", ["pack", "--silent", "--pack-destination", packed], `${root}/web`).trim().split("\n").at(-1);
  mkdirSync(into, { recursive: true });
  run("tar", ["-xzf", `${packed}/${name}`, "--strip-components=1", "-C", into]);
}

/** The app links, and its scanner reads the app's own code in each way of handing over a picture. */
async function works(world, folder) {
  const address = await world.serve(folder);
  await world.startRelay("--allow-origin", address);
  const phone = await world.startPhone();
  const page = await world.open(await world.browser(), `/?relay=${encodeURIComponent(world.url)}`, address);
  const said = () => page.textContent("#said");
  const [, code] = await until("a code", async () => (await said()).match(/^code (\S+)$/m));
  for (const way of ["frame", "pixels", "bitmap"]) {
    const [, read] = await until(`what the scanner reads in a ${way}`, async () => (await said()).match(new RegExp(`^(?:${way}|scanner:) (.*)$`, "m")));
    assert(read === `pairing_offer ${code} true`, `${way}: ${read.slice(0, 40)}`);
  }
  phone.type(`link ${code}`);
  const [, a, b] = await phone.says(/digits (\d{3}) (\d{3})/);
  await until("the question for the digits", async () => (await said()).includes("enter-check-code"));
  await page.fill("#digits", a + b);
  await phone.says(/linked \w+/);
  await until("the end of the link", async () => (await said()).includes("linked"));
  quiet(page);
}

export const tests = {
  async an_app_that_vite_built_links_and_scans(world) {
    if (!existsSync(`${app}/node_modules/.bin/vite`)) throw new Error("Vite is not there: npm ci --prefix web/tests/vite");
    const folder = world.folder("app");
    mkdirSync(folder);
    for (const file of ["index.html", "main.js", "package.json"]) cpSync(`${app}/${file}`, `${folder}/${file}`);
    install(world, `${folder}/node_modules/@pairlight/web`);
    run(process.execPath, [`${app}/node_modules/vite/bin/vite.js`, "build", "--target", "es2022", "--logLevel", "warn"], folder);
    await works(world, `${folder}/dist`);
  },

  async an_app_without_a_bundler_links_and_scans(world) {
    const folder = world.folder("app");
    install(world, `${folder}/pairlight`);
    cpSync(`${app}/main.js`, `${folder}/main.js`);
    const { exports } = JSON.parse(readFileSync(`${folder}/pairlight/package.json`, "utf8"));
    const imports = JSON.stringify({ imports: { "@pairlight/web": `/pairlight/${exports["."].default}` } });
    const html = readFileSync(`${app}/index.html`, "utf8").replace("<title>", `<script type="importmap">${imports}</script><title>`);
    writeFileSync(`${folder}/index.html`, html);
    await works(world, folder);
  },
};
