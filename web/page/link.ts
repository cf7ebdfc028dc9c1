// Linking: the code, what the phone does with it, the six digits, and every way in which it can end.

import type { LinkEvent, PairlightDevice, PasskeyWanted } from "../src/index.js";
import { draw } from "./code.js";
import { make, say, show } from "./dom.js";
import { ending, ownName, span } from "./words.js";

/** If nobody has scanned by then, the code grows and help is offered. */
const SLOW_MS = 8_000;
/** Width of the code, CSS pixels: at first, and when nobody scanned it. */
const WIDTH = 264;
const WIDER = 380;
const NAME = "pairlight-name";

/** Forgets what the person called this browser. */
export const forgetName = (): void => localStorage.removeItem(NAME);

export class LinkScreen {
  #code: { size: number; modules: string; until: number; text: string } | undefined;
  #canvas = make("canvas", { role: "img", "aria-label": "QR code to scan with the phone" });
  #count = make("p", { class: "soft", "data-part": "countdown" });
  #note = make("p", { class: "soft" });
  #big = make("canvas", { role: "img", "aria-label": "QR code to scan with the phone, large" });
  #full = make("dialog", { class: "big", "aria-label": "The code, as large as it gets" });
  #help = make("div", { hidden: true });
  #began = Date.now();
  /** For how long the relay takes no more attempts, if it said so. */
  #pauseMs = 0;
  #wide = false;
  /** Which code is drawn, and how. */
  #drawn = "";
  #ticking = 0;
  #lock: WakeLockSentinel | undefined;
  #left = false;
  #away = false;
  #visibility = () => void this.#look();

  constructor(private device: PairlightDevice, private linked: () => void) {
    device.onLink = (event) => this.#hear(event);
    document.addEventListener("visibilitychange", this.#visibility);
    this.#ticking = window.setInterval(() => this.#tick(), 500);
    void this.#start();
  }

  leave(): void {
    this.#left = true;
    clearInterval(this.#ticking);
    document.removeEventListener("visibilitychange", this.#visibility);
    void this.#lock?.release();
  }

  get #name(): string {
    return localStorage.getItem(NAME) ?? ownName().name;
  }

  async #start(): Promise<void> {
    this.#began = Date.now();
    this.#code = undefined;
    this.#frame();
    const { os, app } = ownName();
    try {
      await this.device.link(this.#name, os, app);
    } catch (error) {
      if (this.#left) return;
      this.#end("The link could not begin", `${(error as Error).message}.`, "Reload the page and try again.", "Try again");
    }
  }

  /** The screen with the code. */
  #frame(): void {
    this.#drawn = "";
    const name = make("input", {
      id: "name", maxlength: 40, autocomplete: "off", value: this.#name,
      onchange: () => {
        const chosen = name.value.trim();
        if (chosen) localStorage.setItem(NAME, chosen);
        else localStorage.removeItem(NAME);
        void this.device.dropLink().then(() => this.#start());
      },
    });
    this.#full.replaceChildren(this.#big, make("button", { onclick: () => this.#full.close() }, "Close"));
    const enlarge = make("button", { class: "code", "aria-label": "Show the code as large as it gets", onclick: () => this.#enlarge() }, this.#canvas);
    this.#help.replaceChildren(
      make("h2", {}, "Does it not scan?"),
      make("p", { class: "soft" }, "Make this screen as bright as it goes, and hold the phone still, two hands away. Tap the code to enlarge it. Wipe the camera."));
    show("code", make("section", { class: "card link" },
      make("div", {},
        make("h1", {}, "Link this browser to your phone"),
        make("ol", {},
          make("li", {}, "Open the app on your phone."),
          make("li", {}, "Choose “Link a device” there. No other way is safe: not the system camera, not a message."),
          make("li", {}, "Point it at this code, and confirm.")),
        make("label", { for: "name" }, "The phone will call it"),
        name,
        make("p", { class: "soft" }, "Keys are made in this browser and never leave it. The relay passes on what it cannot read."),
        this.#help),
      make("div", { class: "show" }, enlarge, make("div", { class: "below" }, this.#count, this.#note))),
    this.#full);
    this.#draw();
    void this.#stayAwake();
  }

  #draw(): void {
    const shown = this.#code;
    const button = this.#canvas.parentElement;
    button?.classList.toggle("gone", !shown);
    if (!shown) {
      this.#count.textContent = this.#away ? "The code rests while nobody looks." : "Asking the relay for a code…";
      const room = Math.min(WIDTH, document.documentElement.clientWidth - 48);
      draw(this.#canvas, 33, "", room);
      this.#drawn = "";
      return;
    }
    const room = Math.min(this.#wide ? WIDER : WIDTH, document.documentElement.clientWidth - 48);
    const key = `${shown.until}/${room}/${devicePixelRatio}/${this.#full.open ? innerHeight : 0}`;
    if (key === this.#drawn) return;
    this.#drawn = key;
    draw(this.#canvas, shown.size, shown.modules, room);
    if (this.#full.open) draw(this.#big, shown.size, shown.modules, Math.min(innerWidth, innerHeight - 80));
  }

  #enlarge(): void {
    if (!this.#code) return;
    this.#full.showModal();
    this.#draw();
  }

  #tick(): void {
    if (document.body.dataset["screen"] !== "code") return;
    if (this.#code && !this.#wide && Date.now() - this.#began > SLOW_MS) {
      this.#wide = true;
      this.#help.hidden = false;
      say("Does it not scan? The code is larger now.");
    }
    this.#help.hidden = !this.#wide;
    this.#draw();
    if (this.#code) {
      const left = Math.max(0, Math.ceil((this.#code.until - Date.now()) / 1000));
      this.#count.textContent = left > 0 ? `A new code in ${left} s` : "A new code comes…";
    }
  }

  async #stayAwake(): Promise<void> {
    try {
      this.#lock = await navigator.wakeLock?.request("screen");
    } catch {
      // It is a courtesy: the screen may go dark.
    }
  }

  /** A code that nobody looks at is taken back. */
  async #look(): Promise<void> {
    if (this.#left || document.body.dataset["screen"] !== "code") return;
    if (document.hidden) {
      this.#away = true;
      this.#code = undefined;
      this.#draw();
      await this.device.dropLink();
    } else if (this.#away) {
      this.#away = false;
      await this.#start();
    }
  }

  #hear(event: LinkEvent): void {
    if (this.#left || this.#away) return;
    switch (event.type) {
      case "code":
        this.#code = { size: event.size, modules: event.modules, until: Date.now() + event.shownMs, text: event.text };
        if (document.body.dataset["screen"] !== "code") this.#frame();
        this.#note.textContent = "";
        this.#draw();
        return this.#tick();
      case "paused":
        return this.#message("paused", "The code rests", "Nobody scanned it for five minutes.", "When the phone is at hand, show a new one.",
          make("button", { class: "main", onclick: () => { this.#began = Date.now(); void this.device.showAgain(); } }, "Show a new code"));
      case "reconnecting":
        this.#code = undefined;
        this.#draw();
        this.#count.textContent = "";
        this.#note.textContent = "The relay is out of reach. Trying again by itself…";
        return;
      case "second-scanner":
        say("Somebody else tried to scan this code and was refused.");
        this.#note.textContent = "Somebody else tried to scan this code and was refused.";
        return;
      case "claimed":
        this.#code = undefined;
        if (this.#full.open) this.#full.close();
        return this.#message("claimed", "Phone connected", "Look at the phone and confirm there that it is this browser.", "It then shows six digits.", this.#cancel());
      case "enter-check-code":
        return this.#digits("");
      case "wrong-check-code":
        return this.#digits(`Those were not the digits. ${event.triesLeft === 1 ? "One try is" : `${event.triesLeft} tries are`} left.`);
      case "check-code-accepted":
        return this.#message("deciding", "The digits are right", "The phone now decides what this browser may do.", "This takes a moment.", this.#cancel());
      case "evidence-wanted":
        return this.#evidence(event.passkey);
      case "linked":
        say("Linked.");
        return this.linked();
      case "too-many-attempts":
        this.#pauseMs = event.retryAfterMs;
        return;
      case "failed": {
        const { title, what, help, again } = ending(event.reason);
        const pause = event.reason === "RateLimited" && this.#pauseMs ? `Try again in ${span(this.#pauseMs)}.` : help;
        return this.#end(title, what, pause, again, event.reason);
      }
    }
  }

  #cancel(): HTMLElement {
    return make("button", { onclick: () => void this.device.cancelLink().catch(() => {}) }, "Cancel");
  }

  #message(name: string, title: string, what: string, help: string, ...buttons: HTMLElement[]): void {
    show(name, make("section", { class: "card narrow" },
      make("h1", {}, title), make("p", {}, what), make("p", { class: "soft" }, help), make("div", { class: "buttons" }, ...buttons)));
  }

  #end(title: string, what: string, help: string, again: string, reason = ""): void {
    if (this.#full.open) this.#full.close();
    this.#message("ended", title, what, help, make("button", { class: "main", onclick: () => void this.#start() }, again));
    document.body.dataset["reason"] = reason;
  }

  #digits(trouble: string): void {
    const field = make("input", {
      id: "digits", class: "digits", inputmode: "numeric", autocomplete: "one-time-code", maxlength: 7, placeholder: "000 000",
      "aria-describedby": "trouble", "aria-invalid": trouble !== "",
      oninput: () => { if (field.value.replace(/\D/g, "").length === 6) void send(); },
    });
    const send = async () => {
      // Sent already: Enter, or the button, after the sixth digit.
      if (field.disabled) return;
      field.disabled = true;
      // It may have ended meanwhile: its end has a screen of its own.
      await this.device.enterCheckCode(field.value.replace(/\s/g, "")).catch(() => {});
    };
    show("digits", make("form", { class: "card narrow", onsubmit: (event: Event) => { event.preventDefault(); void send(); } },
      make("h1", {}, "Type the six digits"),
      make("p", {}, "The phone shows them. They prove that nobody stands between the two."),
      make("label", { for: "digits" }, "Digits on the phone"),
      field,
      make("p", { id: "trouble", class: "alarm", role: "alert" }, trouble),
      make("div", { class: "buttons" }, make("button", { class: "main" }, "Continue"), this.#cancel())));
    field.focus();
  }

  /** Some browsers ask for a passkey only after a gesture: the person presses a button. */
  #evidence(wanted: PasskeyWanted | null): void {
    if (!wanted || !("credentials" in navigator)) return void this.device.giveNothing();
    const bytes = (digits: string) => Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
    const ask = async () => {
      try {
        const given = await navigator.credentials.get({
          publicKey: {
            challenge: bytes(wanted.challenge),
            rpId: wanted.rpId,
            allowCredentials: wanted.credentials.map((id) => ({ type: "public-key", id: bytes(id) })),
            userVerification: "required",
            timeout: 50_000,
          },
        }) as PublicKeyCredential | null;
        if (!given) return this.device.giveNothing();
        const proof = given.response as AuthenticatorAssertionResponse;
        const of = (buffer: ArrayBuffer) => new Uint8Array(buffer);
        await this.device.givePasskey(of(given.rawId), of(proof.authenticatorData), of(proof.clientDataJSON), of(proof.signature));
      } catch {
        // Refused, cancelled, or not for this page: the phone decides without.
        await this.device.giveNothing();
      }
    };
    this.#message("passkey", "Your account asks for your passkey", "It proves to the phone that this page is the real one.",
      "Your browser asks for your finger, face or PIN.",
      make("button", { class: "main", onclick: () => void ask() }, "Use my passkey"),
      make("button", { onclick: () => void this.device.giveNothing() }, "Go on without"));
  }
}
