// The lock: a passphrase without which this browser shows nothing, neither after a reload nor after a while without a hand on it.

import type { PairlightDevice } from "../src/index.js";
import { make, screen, show } from "./dom.js";

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
  const { row, input } = field("passphrase", "Passphrase", "current-password");
  const told = trouble();
  const button = make("button", { class: "main" }, "Unlock");
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
    make("h1", {}, "This browser is locked"),
    make("p", {}, "It shows nothing, and is offline, until somebody types the passphrase. Your phone and your other devices go on."),
    row, told,
    make("div", { class: "buttons" }, button,
      make("button", { type: "button", onclick: () => askErase(erase) }, "I forgot it"))));
  input.focus();
}

function dialog(title: string, ...children: (Node | string)[]): HTMLDialogElement {
  const ask = make("dialog", { class: "card narrow ask", "aria-label": title, onclose: () => ask.remove() }, make("h2", {}, title), ...children);
  screen.append(ask);
  ask.showModal();
  return ask;
}

function askErase(erase: () => void): void {
  const ask = dialog("Log out without the passphrase?",
    make("p", {}, "Nobody can bring the passphrase back. Everything that this browser knows is erased, and what it had not yet sent is lost. Your phone keeps the rest: remove this browser there, and link it anew."),
    make("div", { class: "buttons" },
      make("button", { class: "main", onclick: () => { ask.close(); erase(); } }, "Erase and log out"),
      make("button", { onclick: () => ask.close() }, "Back")));
}

/** Sets, changes or takes away the lock, or locks now. */
export async function askLock(device: PairlightDevice, lock: () => void): Promise<void> {
  const has = await device.hasLock();
  if (screen.querySelector("dialog[open]")) return;
  const current = field("current", "Passphrase now", "current-password");
  const next = field("next", has ? "New passphrase" : "Passphrase", "new-password");
  const again = field("again", "The same again", "new-password");
  const told = trouble();
  const set = async (passphrase: string | null) => {
    told.textContent = "";
    if (passphrase !== null) {
      if (passphrase.length < SHORTEST) return void (told.textContent = `Choose at least ${SHORTEST} characters.`);
      if (passphrase !== again.input.value) return void (told.textContent = "The two are not the same.");
    }
    try {
      await device.setLock(passphrase, has ? current.input.value : undefined);
    } catch (error) {
      const { name, message } = error as Error;
      told.textContent = name === "WrongPassphrase" ? "That is not the passphrase." : `The lock was not changed: ${message}.`;
      return;
    }
    ask.close();
    if (passphrase !== null && !has) lock();
  };
  const submit = (event: Event) => { event.preventDefault(); void set(next.input.value); };
  const close = make("button", { type: "button", onclick: () => ask.close() }, "Back");
  const ask = dialog(has ? "The lock of this browser" : "Lock this browser?",
    make("p", {}, has ? "Locked, it shows nothing and is offline until somebody types the passphrase."
      : `Choose a passphrase that you do not use elsewhere. Without it this browser shows nothing: after “Lock”, after a reload, and after ${IDLE_MS / 60_000} minutes without you. Who forgets it must link the browser anew.`),
    has ? make("div", { class: "buttons" }, make("button", { class: "main", type: "button", onclick: () => { ask.close(); lock(); } }, "Lock now")) : "",
    make("form", { onsubmit: submit },
      has ? make("h3", {}, "Change it") : "", has ? current.row : "", next.row, again.row, told,
      make("div", { class: "buttons" },
        make("button", has ? {} : { class: "main" }, has ? "Change the passphrase" : "Lock"),
        has ? make("button", { type: "button", onclick: () => void set(null) }, "Take the lock away") : "", close)));
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
