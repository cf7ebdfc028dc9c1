// Linking: the code, what the phone does with it, the six digits, and every way in which it can end.

import type { LinkEvent, PairlightDevice, PasskeyWanted } from "../src/index.js";
import { draw } from "./code.js";
import { make, say, show } from "./dom.js";
import { t } from "./language.js";
import { openScan } from "./scan.js";
import { ending, ownName, span, why, type Ending } from "./words.js";

/** What is done when nobody has scanned by then, one after the other, ms. */
const SLOW: [keyof typeof t.link.slow, number][] = [["larger", 8_000], ["bright", 14_000], ["help", 20_000]];
/** Width of the code, CSS pixels: at first, and when nobody scanned it. */
const WIDTH = 264;
const WIDER = 380;
const NAME = "pairlight-name";

/** Forgets what the person called this browser. */
export const forgetName = (): void => localStorage.removeItem(NAME);

export class LinkScreen {
  #code: { size: number; modules: string; until: number; text: string } | undefined;
  #canvas = make("canvas", { role: "img", "aria-label": t.link.code });
  #count = make("p", { class: "soft", "data-part": "countdown" });
  #note = make("p", { class: "soft" });
  #big = make("canvas", { role: "img", "aria-label": t.link.bigCode });
  #full = make("dialog", { class: "big", "aria-label": t.link.full });
  #help = make("div", { hidden: true, "data-part": "help" });
  #began = Date.now();
  /** For how long the relay takes no more attempts, if it said so. */
  #pauseMs = 0;
  /** How much of `SLOW` was done. What was done once stays. */
  #slow = 0;
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
    const { os, app } = ownName();
    // First: the worker and the relay are busy with it while the screen is drawn.
    const begun = this.device.link(this.#name, os, app);
    this.#frame();
    try {
      await begun;
    } catch (error) {
      if (this.#left) return;
      this.#end({ ...t.link.notBegun, what: t.said(why(error)), again: t.again });
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
    this.#full.replaceChildren(this.#big, make("button", { onclick: () => this.#full.close() }, t.close));
    const enlarge = make("button", { class: "code", "aria-label": t.link.enlarge, onclick: () => this.#enlarge() }, this.#canvas);
    this.#offer();
    show("code", make("section", { class: "card link" },
      make("div", {},
        make("h1", {}, t.link.title),
        make("ol", {}, ...t.link.steps.map((step) => make("li", {}, step))),
        make("label", { for: "name" }, t.link.name),
        name,
        make("p", { class: "soft" }, t.link.keys),
        this.#help,
        make("p", {}, make("button", { class: "plain", onclick: () => this.#scan() }, t.scan.open))),
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
      this.#count.textContent = this.#away ? t.link.resting : t.link.asking;
      const room = Math.min(WIDTH, document.documentElement.clientWidth - 48);
      draw(this.#canvas, 33, "", room);
      this.#drawn = "";
      return;
    }
    const room = Math.min(this.#slow > 0 ? WIDER : WIDTH, document.documentElement.clientWidth - 48);
    const key = `${shown.until}/${room}/${devicePixelRatio}/${this.#full.open ? innerHeight : 0}`;
    if (key === this.#drawn) return;
    this.#drawn = key;
    draw(this.#canvas, shown.size, shown.modules, room);
    if (this.#full.open) draw(this.#big, shown.size, shown.modules, Math.min(innerWidth, innerHeight - 80));
  }

  /** The words of what was done so far. */
  #offer(): void {
    this.#help.hidden = this.#slow === 0;
    this.#help.replaceChildren(make("h2", {}, t.link.noScan), ...SLOW.slice(0, this.#slow).map(([step]) => make("p", { class: "soft" }, t.link.slow[step])));
  }

  #enlarge(): void {
    if (!this.#code) return;
    this.#full.showModal();
    this.#draw();
  }

  #tick(): void {
    if (document.body.dataset["screen"] !== "code") return;
    const next = SLOW[this.#slow];
    if (this.#code && next && Date.now() - this.#began >= next[1]) {
      this.#slow += 1;
      this.#offer();
      say(this.#slow === 1 ? `${t.link.noScan} ${t.link.slow.larger}` : t.link.slow[next[0]]);
    }
    this.#draw();
    if (this.#code) {
      const left = Math.max(0, Math.ceil((this.#code.until - Date.now()) / 1000));
      this.#count.textContent = left > 0 ? t.link.newIn(left) : t.link.newComes;
    }
  }

  /** One lock at a time; the browser takes it back when the page is hidden. */
  async #stayAwake(): Promise<void> {
    try {
      const before = this.#lock;
      this.#lock = undefined;
      await before?.release();
      const lock = await navigator.wakeLock?.request("screen");
      if (this.#left || this.#lock) await lock?.release();
      else this.#lock = lock;
    } catch {
      // It is a courtesy: the screen may go dark.
    }
  }

  /** The camera looks at other codes; this one is taken back meanwhile. */
  #scan(): void {
    this.#away = true;
    this.#code = undefined;
    this.#draw();
    void this.device.dropLink();
    openScan(() => {
      if (this.#left || document.hidden) return;
      this.#away = false;
      void this.#start();
    });
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
        return this.#message("paused", t.link.paused,
          make("button", { class: "main", onclick: () => { this.#began = Date.now(); void this.device.showAgain(); } }, t.link.showNew));
      case "reconnecting":
        this.#code = undefined;
        this.#draw();
        this.#count.textContent = "";
        this.#note.textContent = t.link.reconnecting;
        return;
      case "second-scanner":
        say(t.link.secondScanner);
        this.#note.textContent = t.link.secondScanner;
        return;
      case "claimed":
        this.#code = undefined;
        if (this.#full.open) this.#full.close();
        return this.#message("claimed", t.link.claimed, this.#cancel());
      case "enter-check-code":
        return this.#digits("");
      case "wrong-check-code":
        return this.#digits(t.link.digits.wrong(event.triesLeft));
      case "check-code-accepted":
        return this.#message("deciding", t.link.accepted, this.#cancel());
      case "evidence-wanted":
        return this.#evidence(event.passkey);
      case "linked":
        say(t.link.linked);
        return this.linked();
      case "too-many-attempts":
        this.#pauseMs = event.retryAfterMs;
        return;
      case "failed": {
        const ended = ending(event.reason);
        const help = event.reason === "RateLimited" && this.#pauseMs ? t.link.againIn(span(this.#pauseMs)) : ended.help;
        return this.#end({ ...ended, help }, event.reason);
      }
    }
  }

  #cancel(): HTMLElement {
    return make("button", { onclick: () => void this.device.cancelLink().catch(() => {}) }, t.cancel);
  }

  #message(name: string, { title, what, help }: { title: string; what: string; help: string }, ...buttons: HTMLElement[]): void {
    show(name, make("section", { class: "card narrow" },
      make("h1", {}, title), make("p", {}, what), make("p", { class: "soft" }, help), make("div", { class: "buttons" }, ...buttons)));
  }

  #end(ended: Ending, reason = ""): void {
    if (this.#full.open) this.#full.close();
    this.#message("ended", ended, make("button", { class: "main", onclick: () => void this.#start() }, ended.again));
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
      make("h1", {}, t.link.digits.title),
      make("p", {}, t.link.digits.what),
      make("label", { for: "digits" }, t.link.digits.label),
      field,
      make("p", { id: "trouble", class: "alarm", role: "alert" }, trouble),
      make("div", { class: "buttons" }, make("button", { class: "main" }, t.link.digits.go), this.#cancel())));
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
    this.#message("passkey", t.link.passkey,
      make("button", { class: "main", onclick: () => void ask() }, t.link.passkey.use),
      make("button", { onclick: () => void this.device.giveNothing() }, t.link.passkey.without));
  }
}
