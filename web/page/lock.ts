// The lock: a passphrase without which this browser shows nothing, neither after a reload nor after a while without a hand on it.

import type { PairlightDevice } from "../src/index.js";
import { make, screen, show } from "./dom.js";
import { t } from "./language.js";
import { why } from "./words.js";

/** Without a key or a pointer for so long, a browser that has a lock is locked. */
const IDLE_MS = 15 * 60_000;
const SHORTEST = 6;

interface Field { row: HTMLElement; input: HTMLInputElement }

function field(id: string, words: string, autocomplete: "current-password" | "new-password"): Field {
  const input = make("input", { id, type: "password", autocomplete, required: true, "aria-describedby": "lock-trouble" });
  return { row: make("p", {}, make("label", { for: id }, words), input), input };
}

const trouble = () => make("p", { id: "lock-trouble", class: "alarm", role: "alert" });

/** Asks for the passphrase. `unlock` gives what was wrong, or nothing when another screen took the place of this one. */
export function showLocked(unlock: (passphrase: string) => Promise<string | undefined>, erase: () => void): void {
  const { row, input } = field("passphrase", t.lock.passphrase, "current-password");
  const told = trouble();
  const button = make("button", { class: "main" }, t.lock.unlock);
  const submit = async (event: Event) => {
    event.preventDefault();
    button.disabled = true;
    told.textContent = "";
    const wrong = await unlock(input.value);
    if (wrong === undefined) return;
    told.textContent = wrong;
    button.disabled = false;
    input.select();
    input.focus();
  };
  show("locked", make("form", { class: "card narrow", onsubmit: (event: Event) => void submit(event) },
    make("h1", {}, t.lock.locked),
    make("p", {}, t.lock.what),
    row, told,
    make("div", { class: "buttons" }, button,
      make("button", { type: "button", onclick: () => askErase(erase) }, t.lock.forgot))));
  input.focus();
}

function dialog(title: string, ...children: (Node | string)[]): HTMLDialogElement {
  const ask = make("dialog", { class: "card narrow ask", "aria-label": title, onclose: () => ask.remove() }, make("h2", {}, title), ...children);
  screen.append(ask);
  ask.showModal();
  return ask;
}

function askErase(erase: () => void): void {
  const ask = dialog(t.lock.erase.title,
    make("p", {}, t.lock.erase.what),
    make("div", { class: "buttons" },
      make("button", { class: "main", onclick: () => { ask.close(); erase(); } }, t.lock.erase.go),
      make("button", { onclick: () => ask.close() }, t.back)));
}

/** Sets, changes or takes away the lock, or locks now. */
export async function askLock(device: PairlightDevice, lock: () => void): Promise<void> {
  const has = await device.hasLock();
  if (screen.querySelector("dialog[open]")) return;
  const current = field("current", t.lock.now, "current-password");
  const next = field("next", has ? t.lock.next : t.lock.passphrase, "new-password");
  const again = field("again", t.lock.same, "new-password");
  const told = trouble();
  const set = async (passphrase: string | null) => {
    told.textContent = "";
    if (passphrase !== null) {
      if (passphrase.length < SHORTEST) return void (told.textContent = t.lock.short(SHORTEST));
      if (passphrase !== again.input.value) return void (told.textContent = t.lock.notSame);
    }
    try {
      await device.setLock(passphrase, has ? current.input.value : undefined);
    } catch (error) {
      told.textContent = (error as Error).name === "WrongPassphrase" ? t.lock.wrong : t.lock.notChanged(why(error));
      return;
    }
    ask.close();
    if (passphrase !== null && !has) lock();
  };
  const submit = (event: Event) => { event.preventDefault(); void set(next.input.value); };
  const close = make("button", { type: "button", onclick: () => ask.close() }, t.back);
  const ask = dialog(has ? t.lock.titleOwn : t.lock.titleNew,
    make("p", {}, has ? t.lock.whatOwn : t.lock.whatNew(IDLE_MS / 60_000)),
    has ? make("div", { class: "buttons" }, make("button", { class: "main", type: "button", onclick: () => { ask.close(); lock(); } }, t.lock.lockNow)) : "",
    make("form", { onsubmit: submit },
      has ? make("h3", {}, t.lock.changeIt) : "", has ? current.row : "", next.row, again.row, told,
      make("div", { class: "buttons" },
        make("button", has ? {} : { class: "main" }, has ? t.lock.change : t.chats.lock),
        has ? make("button", { type: "button", onclick: () => void set(null) }, t.lock.takeAway) : "", close)));
}

/** Calls `idle` when nobody touched the page for long. */
export class IdleWatch {
  #last = Date.now();
  #timer: number;
  #touched = () => { this.#last = Date.now(); };

  constructor(idle: () => void) {
    for (const what of ["keydown", "pointerdown", "pointermove", "wheel"]) addEventListener(what, this.#touched, { passive: true });
    // By the clock: a machine that slept, or a tab that was throttled, is late but not fooled.
    this.#timer = window.setInterval(() => {
      if (Date.now() - this.#last <= IDLE_MS) return;
      // Without a lock it is asked again as late as this.
      this.#last = Date.now();
      idle();
    }, 5_000);
  }

  end(): void {
    clearInterval(this.#timer);
    for (const what of ["keydown", "pointerdown", "pointermove", "wheel"]) removeEventListener(what, this.#touched);
  }
}
