// The worker's side: the database, the lock that lets one tab in, and the core.

import init, { Device } from "../dist/wasm/pairlight_web.js";
import { Database } from "./database.js";
import type { FaultKind, OpenOptions } from "./types.js";

interface Call { id: number; method: string; given: unknown[] }
type Options = Omit<OpenOptions, "worker">;

/** All kinds of error, by name. */
const KINDS: Record<FaultKind, true> = {
  Refused: true, Unreachable: true, Locked: true, NotLinked: true, Ended: true, Storage: true, NotAllowed: true, WrongRelay: true,
  Misuse: true, Failed: true, InUse: true, PassphraseNeeded: true, WrongPassphrase: true,
};

let device: Promise<Device> | undefined;
let database: Database | undefined;
let options: Options;
/** What was erased last. Nothing is read before that is done. */
let erased: Promise<void> = Promise.resolve();
/** How many links, and lines, were begun or ended here: events of an earlier one are told no more. */
const turns = { link: 0, line: 0 };

function fault(name: FaultKind, words: string): Error {
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

/** The database, once no other tab has it. */
async function claimed(given: Options): Promise<Database> {
  const name = given.database ?? "pairlight";
  await claim(name, given.takeOver ?? false);
  return Database.open(name);
}

/** Erases what is kept without reading it: for who forgot the passphrase. */
async function erase(given: Options): Promise<void> {
  database = await claimed(given);
  await database.own();
  await database.erase();
}

/** The core, which takes time to compile: begun as soon as it is known where it is. */
let loading: Promise<unknown> | undefined;

function load({ wasm, wasmIntegrity }: Options): Promise<unknown> {
  loading ??= init({ module_or_path: fetch(wasm as string, wasmIntegrity ? { integrity: wasmIntegrity } : {}) });
  return loading;
}

async function open(given: Options): Promise<void> {
  options = given;
  const loaded = load(given);
  // That it failed is told below, unless there is something else to tell first.
  loaded.catch(() => {});
  const kept = await claimed(given);
  await kept.own();
  await loaded;
  database = kept;
  await opened(database);
  delete options.passphrase;
}

/** The secret as the core takes it. */
async function unlocked(kept: Database, passphrase: string | undefined): Promise<Uint8Array> {
  const { bytes, isLocked } = await kept.secret();
  if (!isLocked) return bytes;
  if (passphrase === undefined) throw fault("PassphraseNeeded", "this browser is locked with a passphrase");
  return Device.openSecret(passphrase.normalize("NFKC"), bytes);
}

/** Puts the secret under a passphrase, or under none. Who does not know the one before changes nothing. */
async function setLock(kept: Database, next: string | null, current: string | undefined): Promise<void> {
  const secret = await unlocked(kept, current);
  try {
    const isLocked = next !== null;
    const bytes = isLocked ? Device.sealSecret(next.normalize("NFKC"), secret) : secret;
    await kept.guard({ bytes: bytes as Uint8Array<ArrayBuffer>, isLocked });
  } finally {
    secret.fill(0);
  }
}

/** Reads what is kept, and opens the device from it. */
async function start(kept: Database): Promise<Device> {
  await erased.catch(() => {});
  const after = erased;
  const [secret, rows] = [await unlocked(kept, options.passphrase), await kept.rows()];
  // What a device that was forgotten still wants to keep has no place among the rows of the next one.
  const keep = (changed: [Uint8Array, Uint8Array | null][]) =>
    erased === after ? kept.keep(changed) : Promise.reject(fault("Ended", "this device was forgotten"));
  const sign = (publicKey: Uint8Array, message: Uint8Array<ArrayBuffer>) => kept.sign(publicKey, message);
  try {
    const opened = await Device.open(options.relay, options.relayKey, secret, rows, keep, () => kept.makeKey(), sign);
    await kept.keepOnlyKey(await opened.guardedKey());
    return opened;
  } finally {
    secret.fill(0);
  }
}

/** What makes sense without a device, and opens it anew. A late question of a screen about one that was forgotten keeps nothing. */
const OPENING = ["standing", "link", "connect", "hasLock", "setLock", "forget"];

/** The device. After it was forgotten, or could not be opened, it is opened anew by whoever asks for that first. */
function opened(kept: Database): Promise<Device> {
  if (!device) {
    const starting = start(kept);
    device = starting;
    starting.catch(() => { if (device === starting) device = undefined; });
  }
  return device;
}

async function follow(kind: keyof typeof turns, turn: number, next: () => Promise<string | undefined>): Promise<void> {
  try {
    while (turn === turns[kind]) {
      const event = await next();
      if (event === undefined) return;
      if (turn === turns[kind]) postMessage({ [kind]: JSON.parse(event) });
    }
  } catch {
    // The link, or the line, was dropped.
  }
}

async function answer({ method, given }: Call): Promise<unknown> {
  if (method === "prepare") return void load(given[0] as Options).catch(() => {});
  if (method === "open") return open(given[0] as Options);
  if (method === "erase") return erase(given[0] as Options);
  if (!database) throw fault("Ended", "the device is not open");
  // First of all: what an earlier link or line still had to say is told no more, and takes no event of the next one.
  if (["link", "dropLink", "connect", "forget"].includes(method)) turns.link++;
  if (["disconnect", "connect", "forget"].includes(method)) turns.line++;
  const { link, line } = turns;
  // Nothing to end where no device is open.
  if (!device && (method === "dropLink" || method === "disconnect")) return;
  if (!device && !OPENING.includes(method)) throw fault("NotLinked", "this browser is not linked");
  const core = await opened(database);
  const [a, b, c, d] = given as [never, never, never, never];
  switch (method) {
    case "hasLock": return (await database.secret()).isLocked;
    case "setLock": return setLock(database, a, b);
    case "standing": return JSON.parse((await core.standing()) ?? "null");
    case "link":
      await core.link(a, b, c);
      void follow("link", link, () => core.nextLinkEvent());
      return;
    case "connect":
      await core.connect();
      void follow("line", line, () => core.nextEvent());
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
      erased = database.erase();
      return erased;
    default: throw fault("Misuse", `there is no call ${method}`);
  }
}

self.onmessage = async (message: MessageEvent<Call>) => {
  const { id } = message.data;
  try {
    postMessage({ id, value: await answer(message.data) });
  } catch (error) {
    const { name, message: words } = error instanceof Error ? error : new Error(String(error));
    // The browser's own: only its database and its keys throw such here.
    const kind = error instanceof DOMException ? "Storage" : Object.hasOwn(KINDS, name) ? name : "Failed";
    postMessage({ id, error: { name: kind, message: words } });
  }
};
