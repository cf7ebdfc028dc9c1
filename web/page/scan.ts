// The camera: frames go to the scanner, which says what a code is. Nothing that a code says is opened, kept or sent.

import { CodeScanner, type Meaning, type ScanReport } from "../src/index.js";
import { make, screen } from "./dom.js";
import { t } from "./language.js";
import { scannerProgram } from "./programs.js";

/** A camera that has shown nothing for so long is said to give no picture. */
const NO_PICTURE_MS = 3_000;
/** Words that change faster than this help nobody. */
const STEADY_MS = 700;

type Trouble = keyof typeof t.scan.trouble;

/** Why a camera could not be opened, by the name of the browser's error. */
const TROUBLES: Record<string, Trouble> = {
  NotAllowedError: "denied", SecurityError: "denied", NotFoundError: "missing", OverconstrainedError: "missing", NotReadableError: "busy",
  AbortError: "busy",
};

const own = <T>(table: Record<string, T>, key: string): T | undefined => (Object.hasOwn(table, key) ? table[key] : undefined);

class ScanDialog {
  #video = make("video", { muted: true, playsinline: true, "aria-label": t.scan.camera });
  #picture = make("div", { class: "camera" }, this.#video);
  /** In the dialog: what is outside of it is not read out while it is open. */
  #state = make("p", { class: "below", role: "status", "aria-live": "polite", "data-part": "hint" }, t.scan.starting);
  #found = make("div", { "data-part": "found", "aria-live": "assertive" });
  #dialog: HTMLDialogElement;
  #scanner: CodeScanner | undefined;
  #stream: MediaStream | undefined;
  #said = 0;
  #heard = Date.now();
  #timer = 0;
  #isOver = false;

  constructor(private closed: () => void) {
    this.#dialog = make("dialog", { class: "card ask scan", "aria-label": t.scan.title, onclose: () => this.#end() },
      make("h2", {}, t.scan.title), this.#picture, this.#state, this.#found,
      make("div", { class: "buttons" }, make("button", { onclick: () => this.#dialog.close() }, t.close)));
    screen.append(this.#dialog);
    this.#dialog.showModal();
    this.#timer = window.setInterval(() => this.#watch(), 500);
    void this.#start();
  }

  async #start(): Promise<void> {
    if (!navigator.mediaDevices?.getUserMedia) return this.#trouble("unsupported");
    try {
      const wanted = { facingMode: { ideal: "environment" }, width: { ideal: 1280 }, height: { ideal: 720 } };
      this.#stream = await navigator.mediaDevices.getUserMedia({ video: wanted, audio: false });
    } catch (error) {
      return this.#trouble(own(TROUBLES, (error as Error).name) ?? "busy");
    }
    // Closed while the person was asked.
    if (this.#isOver) return this.#stop();
    this.#stream.getVideoTracks()[0]?.addEventListener("ended", () => this.#trouble("busy"));
    this.#video.srcObject = this.#stream;
    // Ends when there is a picture; that there is none is told by `#watch`.
    this.#video.play().catch(() => {});
    try {
      this.#scanner = await CodeScanner.open(scannerProgram());
    } catch {
      return this.#trouble("failed");
    }
    if (this.#isOver) return this.#stop();
    this.#scanner.onReport = (report) => this.#hear(report);
    this.#scanner.onFailed = () => this.#trouble("failed");
    this.#heard = Date.now();
    this.#scanner.watch(this.#video);
  }

  /** The screen below may have changed, and a camera may stop without a word. */
  #watch(): void {
    if (!this.#dialog.isConnected) return this.#end();
    if (document.hidden) this.#heard = Date.now();
    if (this.#scanner && Date.now() - this.#heard > NO_PICTURE_MS) this.#trouble("busy");
  }

  #hear(report: ScanReport): void {
    this.#heard = Date.now();
    const fresh = report.codes.find((code) => code.isNew);
    if (fresh) this.#tell(fresh.meaning);
    const [hint] = report.hints;
    const words = hint ? own<string>(t.scan.hints, hint.key) ?? hint.text : report.codes.length === 0 && report.sawCode ? t.scan.sawCode : t.scan.looking;
    if (words === this.#state.textContent || Date.now() - this.#said < STEADY_MS) return;
    this.#said = Date.now();
    this.#state.textContent = words;
  }

  /** What a code is. The core's own sentences are English, and shown to nobody else. */
  #tell({ kind, title, explanation, about, danger, isOffer }: Meaning): void {
    const isEnglish = document.documentElement.lang === "en";
    this.#found.replaceChildren(make("section", { class: "found", "data-danger": danger, "data-kind": kind },
      make("h3", {}, isEnglish ? title : own<string>(t.scan.kinds, kind) ?? title),
      make("p", { class: danger === "danger" ? "alarm" : "" }, t.scan.dangers[danger]),
      isEnglish ? make("p", {}, explanation) : about && make("p", {}, t.scan.about(about)),
      isOffer ? make("p", {}, t.scan.ours) : null,
      make("p", { class: "soft" }, t.scan.nothing)));
  }

  #trouble(what: Trouble): void {
    if (this.#isOver) return;
    this.#stop();
    this.#picture.hidden = true;
    const { title, help } = t.scan.trouble[what];
    this.#state.textContent = title;
    this.#found.replaceChildren(make("section", { class: "found", "data-trouble": what },
      make("p", {}, help), make("button", { onclick: () => this.#again() }, t.again)));
  }

  #again(): void {
    this.#found.replaceChildren();
    this.#picture.hidden = false;
    this.#state.textContent = t.scan.starting;
    void this.#start();
  }

  /** Lets go of the camera: its light goes out. */
  #stop(): void {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#scanner?.close();
    this.#stream = this.#scanner = undefined;
    this.#video.srcObject = null;
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearInterval(this.#timer);
    this.#stop();
    this.#dialog.remove();
    this.closed();
  }
}

/** Looks through the camera until the person closes it, or another screen comes. */
export function openScan(closed: () => void = () => {}): void {
  if (!screen.querySelector("dialog[open]")) new ScanDialog(closed);
}
