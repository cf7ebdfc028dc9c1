// The page: opens the device of this browser and shows what it says. Linking is in link.ts, conversations in chats.ts, the lock in
// lock.ts.

import { PairlightDevice, type Discrepancy, type LineEvent, type OpenOptions } from "../src/index.js";
import { Chats } from "./chats.js";
import { make, show } from "./dom.js";
import { t } from "./language.js";
import { LinkScreen, forgetName } from "./link.js";
import { IdleWatch, askLock, showLocked } from "./lock.js";
import { deviceProgram } from "./programs.js";
import { why } from "./words.js";

interface Problem { title: string; what: string; help: string }

function problem({ title, what, help }: Problem, button: string, retry: () => void): void {
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
    ...deviceProgram(),
    takeOver,
  };
}

/** The screen of a browser that is locked. */
function locked(takeOver: boolean): void {
  const unlock = async (passphrase: string) => {
    try {
      new Page(await PairlightDevice.open({ ...options(takeOver), passphrase }));
    } catch (error) {
      if ((error as Error).name === "WrongPassphrase") return t.lock.wrong;
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
  problem(t.start.loggedOut, t.start.linkHere, again);
}

async function open(takeOver: boolean): Promise<void> {
  show("starting", make("p", { class: "calm" }, t.start.opening));
  try {
    new Page(await PairlightDevice.open(options(takeOver)));
  } catch (error) {
    notOpened(error, takeOver);
  }
}

/** Says why there is no device, and what helps. */
function notOpened(error: unknown, takeOver: boolean): void {
  const { name } = error as Error;
  if (name === "PassphraseNeeded") return locked(takeOver);
  const what = t.said(why(error));
  const again = () => void open(takeOver);
  switch (name) {
    case "InUse": return problem(t.start.inUse, t.start.useHere, () => void open(true));
    case "Unreachable": return problem(t.start.unreachable, t.again, again);
    case "Refused": return problem({ ...t.start.refused, what }, t.again, again);
    case "Storage": return problem({ ...t.start.storage, what }, t.again, again);
    default: return problem({ ...t.start.noStart, what }, t.reload, () => location.reload());
  }
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
      problem(t.start.taken, t.start.useHere, () => void open(true));
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
      if (standing.isLocked) return this.#locked(standing.restriction ?? "LeaseEnded", () => this.#showLink());
    } catch (error) {
      return this.#stuck(t.start.noStart.title, error, () => void this.#begin());
    }
    await this.#chat();
  }

  #showLink(): void {
    this.#leave();
    this.#link = new LinkScreen(this.device, () => void this.#chat());
  }

  #locked(reason: Discrepancy, again: () => void): void {
    const { title, what, help, again: button } = t.start.ended;
    problem({ title, what: what(t.discrepancies[reason]), help }, button, again);
  }

  #stuck(title: string, error: unknown, again: () => void): void {
    if (!this.#lost) problem({ title, what: t.said(why(error)), help: "" }, t.again, again);
  }

  /** Erases all, also what the page itself noted. Whether that is done. */
  async #forget(): Promise<boolean> {
    forgetName();
    try {
      await this.device.forget();
      return true;
    } catch (error) {
      this.#stuck(t.start.notErased, error, () => location.reload());
      return false;
    }
  }

  async #chat(): Promise<void> {
    this.#leave();
    try {
      await this.device.connect();
    } catch (error) {
      if ((error as Error).name === "Locked") return this.#locked("LeaseEnded", () => this.#showLink());
      return this.#stuck(t.start.notOnline, error, () => void this.#begin());
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
    show("starting", make("p", { class: "calm" }, t.start.erasing));
    if (!(await this.#forget())) return;
    loggedOut(() => void this.#showLink());
  }

  async #hear(event: LineEvent): Promise<void> {
    if (this.#lost) return;
    switch (event.type) {
      case "removed":
        this.#leave();
        if (!(await this.#forget())) return;
        return problem({ ...t.start.removed, what: t.start.removed.what(t.removals[event.reason]) }, t.start.linkHere, () => void this.#showLink());
      case "locked":
        this.#leave();
        // The store of this worker is locked for good; one that is opened anew can be linked again.
        return this.#locked(event.reason, () => location.reload());
      case "refused":
        this.#leave();
        if (event.reason === "Duplicate") {
          return problem(t.start.copied, t.start.copied.again, () => void this.#begin());
        }
        return problem({ ...t.start.shutOut, what: t.start.shutOut.what(t.refusals[event.reason]) }, t.again, () => void this.#begin());
      case "failed":
        this.#leave();
        return problem({ ...t.start.stopped, what: t.said(why({ name: event.reason, message: event.words })) }, t.reload, () => location.reload());
      default:
        this.#chats?.hear(event);
    }
  }
}

void open(false);
