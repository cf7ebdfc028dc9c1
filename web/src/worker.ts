// The worker's side: the database, the lock that lets one tab in, and the core.

import init, { Device } from "../dist/wasm/pairlight_web.js";
import { Database } from "./database.js";
import type { OpenOptions } from "./types.js";

interface Call { id: number; method: string; given: unknown[] }
type Options = Omit<OpenOptions, "worker">;

let device: Device | undefined;
let database: Database | undefined;
let options: Options;

function fault(name: string, words: string): Error {
  const error = new Error(words);
  error.name = name;
  return error;
}

/** How long a page that was just reloaded or closed may take to let go of the lock, ms. */
const LETTING_GO = 3_000;

/** Holds the lock of this database until the worker ends, or another tab takes it. */
function claim(name: string, takeOver: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    let granted = false;
    const held = () => {
      granted = true;
      resolve();
      return new Promise<void>(() => {});
    };
    const how: LockOptions = takeOver ? { steal: true } : { signal: AbortSignal.timeout(LETTING_GO) };
    navigator.locks.request(`pairlight/${name}`, how, held).catch(() => {
      if (!granted) return reject(fault("InUse", "another tab has this device"));
      // It was stolen: nothing more may be written here. With the worker everything of it ends; what is being kept is
      // finished first.
      database?.close();
      postMessage({ lost: true });
      close();
    });
  });
}

async function open(given: Options): Promise<void> {
  options = given;
  const name = given.database ?? "pairlight";
  await claim(name, given.takeOver ?? false);
  const url = given.wasm ?? new URL("./pairlight_web_bg.wasm", import.meta.url);
  await init({ module_or_path: fetch(url, given.wasmIntegrity ? { integrity: given.wasmIntegrity } : {}) });
  database = await Database.open(name);
  await start();
}

/** Reads what is kept, and opens the device from it. */
async function start(): Promise<void> {
  const kept = database as Database;
  const [secret, rows] = [await kept.secret(), await kept.rows()];
  device = await Device.open(options.relay, options.relayKey, secret, rows, (changed: [Uint8Array, Uint8Array | null][]) => kept.keep(changed));
}

async function follow(next: () => Promise<string | undefined>, tell: (event: unknown) => void): Promise<void> {
  try {
    for (let event = await next(); event !== undefined; event = await next()) tell(JSON.parse(event));
  } catch {
    // The link, or the line, was dropped.
  }
}

async function answer({ method, given }: Call): Promise<unknown> {
  if (method === "open") return open(given[0] as Options);
  const core = device;
  if (!core || !database) throw fault("Ended", "the device is not open");
  const [a, b, c, d] = given as [never, never, never, never];
  switch (method) {
    case "standing": return JSON.parse((await core.standing()) ?? "null");
    case "link":
      await core.link(a, b, c);
      void follow(() => core.nextLinkEvent(), (link) => postMessage({ link }));
      return;
    case "connect":
      await core.connect();
      void follow(() => core.nextEvent(), (line) => postMessage({ line }));
      return;
    case "disconnect": return core.disconnect();
    case "dropLink": return core.dropLink();
    case "enterCheckCode": return core.enterCheckCode(a);
    case "showAgain": return core.showAgain();
    case "cancelLink": return core.cancelLink();
    case "givePasskey": return core.givePasskey(a, b, c, d);
    case "giveNothing": return core.giveNothing();
    case "conversations": return JSON.parse(await core.conversations());
    case "messages": return JSON.parse(await core.messages(a, b ?? undefined, c));
    case "search": return JSON.parse(await core.search(a, b));
    case "send": return core.send(a, b, c, JSON.stringify(d));
    case "markRead": return core.markRead(a, b);
    case "history": return JSON.parse(await core.history());
    case "isInStep": return core.isInStep();
    case "addFile": return core.addFile(a);
    case "wantFile": return JSON.parse(await core.wantFile(a, b));
    case "file": return JSON.parse((await core.file(a)) ?? "null");
    case "filePiece": return (await core.filePiece(a, b)) ?? null;
    case "forget":
      await core.forget();
      device = undefined;
      await database.erase();
      // A new key, and an empty store: ready to be linked again.
      return start();
    default: throw fault("Misuse", `there is no call ${method}`);
  }
}

self.onmessage = async (message: MessageEvent<Call>) => {
  const { id } = message.data;
  try {
    postMessage({ id, value: await answer(message.data) });
  } catch (error) {
    const { name, message: words } = error instanceof Error ? error : new Error(String(error));
    postMessage({ id, error: { name: name === "Error" ? "Failed" : name, message: words } });
  }
};
