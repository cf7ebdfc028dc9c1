// The page: opens the device of this browser and shows what it says. Linking is in link.ts, conversations in chats.ts, the lock in
// lock.ts.

import { PairlightDevice, type LineEvent, type OpenOptions } from "../src/index.js";
import { Chats } from "./chats.js";
import { make, show } from "./dom.js";
import { LinkScreen, forgetName } from "./link.js";
import { IdleWatch, askLock, showLocked } from "./lock.js";

// Written by the build: where the worker and the WebAssembly are, and what the latter must be.
declare const WORKER: string;
declare const WASM: string;
declare const WASM_INTEGRITY: string;

if (/^(ar|dv|fa|he|ku|ps|ur|yi)\b/.test(navigator.language)) document.documentElement.dir = "rtl";

/** Trusted Types: the only address from which this page starts a program. A policy is made once. */
const own = new URL(WORKER, document.baseURI).href;
const policies = (window as unknown as { trustedTypes?: { createPolicy(name: string, rules: object): { createScriptURL(url: string): string } } }).trustedTypes;
const workerUrl = policies?.createPolicy("pairlight", { createScriptURL: () => own }).createScriptURL(own) ?? own;

const startWorker = () => new Worker(workerUrl, { type: "module", name: "pairlight" });

function problem(title: string, what: string, help: string, button: string, retry: () => void): void {
  show("problem", make("section", { class: "card narrow" },
    make("h1", {}, title), make("p", {}, what), make("p", {}, help),
    make("div", { class: "buttons" }, make("button", { class: "main", onclick: retry }, button))));
}

function options(takeOver: boolean): OpenOptions {
  const meta = (name: string) => document.querySelector<HTMLMetaElement>(`meta[name="pairlight-${name}"]`)?.content || undefined;
  const relayKey = meta("relay-key");
  return {
    relay: meta("relay") ?? location.origin,
    ...(relayKey ? { relayKey } : {}),
    worker: startWorker(),
    wasm: new URL(WASM, document.baseURI).href,
    wasmIntegrity: WASM_INTEGRITY,
    takeOver,
  };
}

/** The screen of a browser that is locked. */
function locked(takeOver: boolean): void {
  const unlock = async (passphrase: string) => {
    try {
      new Page(await PairlightDevice.open({ ...options(takeOver), passphrase }));
    } catch (error) {
      if ((error as Error).name === "WrongPassphrase") return "That is not the passphrase.";
      notOpened(error, takeOver);
    }
    return undefined;
  };
  const erase = async () => {
    forgetName();
    try {
      await PairlightDevice.erase(options(takeOver));
    } catch (error) {
      return notOpened(error, takeOver);
    }
    loggedOut(() => void open(takeOver));
  };
  showLocked(unlock, () => void erase());
}

function loggedOut(again: () => void): void {
  problem("You are logged out", "Everything that this browser knew is erased.",
    "The phone still names it until you remove it there, in its list of linked devices.", "Link this browser", again);
}

async function open(takeOver: boolean): Promise<void> {
  show("starting", make("p", { class: "calm" }, "Opening Pairlight in this browser…"));
  try {
    new Page(await PairlightDevice.open(options(takeOver)));
  } catch (error) {
    notOpened(error, takeOver);
  }
}

/** Says why there is no device, and what helps. */
function notOpened(error: unknown, takeOver: boolean): void {
  const { name, message } = error as Error;
  if (name === "PassphraseNeeded") return locked(takeOver);
  if (name === "InUse") {
    return problem("Pairlight is open in another tab", "One tab at a time can have the keys of this browser.",
      "Go on there, or go on here: the other tab then stops, and nothing is lost.", "Use it here", () => void open(true));
  }
  if (name === "Unreachable") {
    return problem("The relay is out of reach", "This page cannot reach the server that passes sealed messages on.",
      "Check the network. Nothing is lost.", "Try again", () => void open(takeOver));
  }
  if (name === "Refused") {
    return problem("The relay does not let this browser in", `${message}.`,
      "Nothing is lost. Wait a few minutes, then try again.", "Try again", () => void open(takeOver));
  }
  if (name === "Storage") {
    return problem("What this browser keeps cannot be read", `${message}.`,
      "Free some space and try again. If that does not help, clear this site's data and link the browser anew: the phone has everything.", "Try again", () => void open(takeOver));
  }
  return problem("Pairlight did not start", `${message}.`, "Reload the page. If it happens again, update the browser.", "Reload", () => location.reload());
}

/** From here on there is a device. */
class Page {
  #chats: Chats | undefined;
  #link: LinkScreen | undefined;
  /** Another tab has the device, or it is locked: what was asked of it before fails, and has nothing to show any more. */
  #lost = false;
  #idle: IdleWatch | undefined;

  constructor(private device: PairlightDevice) {
    device.onLost = () => {
      this.#lost = true;
      this.#leave();
      problem("Another tab has taken over", "Pairlight now runs in another tab or window of this browser.", "Close this one, or go on here.", "Use it here", () => void open(true));
    };
    device.onLine = (event) => void this.#hear(event);
    void this.#begin();
  }

  #leave(): void {
    this.#link?.leave();
    this.#link = undefined;
    this.#chats?.leave();
    this.#chats = undefined;
    this.#idle?.end();
    this.#idle = undefined;
  }

  async #begin(): Promise<void> {
    this.#leave();
    try {
      const standing = await this.device.standing();
      if (!standing) return this.#showLink();
      if (standing.isLocked) return this.#locked(standing.restriction ?? "its permission was not renewed in time", () => this.#showLink());
    } catch (error) {
      return this.#stuck("Pairlight did not start", error, () => void this.#begin());
    }
    await this.#chat();
  }

  #showLink(): void {
    this.#leave();
    this.#link = new LinkScreen(this.device, () => void this.#chat());
  }

  #locked(reason: string, again: () => void): void {
    problem("This browser's permission has ended", `Why: ${reason}. What was read here stays sealed.`,
      "Link it again with the phone, and everything comes back.", "Link again", again);
  }

  #stuck(title: string, error: unknown, again: () => void): void {
    if (!this.#lost) problem(title, `${(error as Error).message}.`, "Try again.", "Try again", again);
  }

  /** Erases all, also what the page itself noted. Whether that is done. */
  async #forget(): Promise<boolean> {
    forgetName();
    try {
      await this.device.forget();
      return true;
    } catch (error) {
      this.#stuck("Not everything could be erased", error, () => location.reload());
      return false;
    }
  }

  async #chat(): Promise<void> {
    this.#leave();
    try {
      await this.device.connect();
    } catch (error) {
      const { name, message } = error as Error;
      if (name === "Locked") return this.#locked(message, () => this.#showLink());
      return this.#stuck("This browser cannot go online", error, () => void this.#begin());
    }
    this.#chats = new Chats(this.device, () => void this.#logOut(), () => void askLock(this.device, () => this.#lock()).catch(() => {}));
    this.#idle = new IdleWatch(() => void this.#lockIdle());
  }

  /** Nothing of the device stays in this tab: the worker that had its keys ends. */
  #lock(): void {
    this.#lost = true;
    this.#leave();
    this.device.close();
    locked(false);
  }

  async #lockIdle(): Promise<void> {
    if (await this.device.hasLock().catch(() => false)) this.#lock();
  }

  async #logOut(): Promise<void> {
    this.#leave();
    show("starting", make("p", { class: "calm" }, "Erasing what this browser knows…"));
    if (!(await this.#forget())) return;
    loggedOut(() => void this.#showLink());
  }

  async #hear(event: LineEvent): Promise<void> {
    if (this.#lost) return;
    switch (event.type) {
      case "removed":
        this.#leave();
        if (!(await this.#forget())) return;
        return problem("This browser was removed", `The account took it off its list of devices: ${event.reason}. Everything that it knew is erased.`,
          "Your other devices are safe and go on. To use this browser again, link it anew.", "Link this browser", () => void this.#showLink());
      case "locked":
        this.#leave();
        // The store of this worker is locked for good; one that is opened anew can be linked again.
        return this.#locked(event.reason, () => location.reload());
      case "refused":
        this.#leave();
        if (event.reason === "Duplicate") {
          return problem("This browser is online somewhere else, too", "Another browser or computer has just gone online as this one, with a copy of its keys. If it happens a second time within a day, your account takes it off its list, and both are erased.",
            "If you did not copy this browser's profile yourself, remove this browser on your phone now.", "Go online here", () => void this.#begin());
        }
        return problem("The relay does not let this browser in", `It says: ${event.reason}. Nothing was erased, and your other devices are safe.`,
          "Try again later. If it goes on, link this browser anew.", "Try again", () => void this.#begin());
      case "failed":
        this.#leave();
        return problem("Pairlight had to stop", `${event.reason}.`, "Reload the page: everything that was kept is still there.", "Reload", () => location.reload());
      default:
        this.#chats?.hear(event);
    }
  }
}

void open(false);
