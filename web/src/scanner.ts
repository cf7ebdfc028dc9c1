// The page's side of the scanner: frames go to a worker, the newest first; reports come back.

import type { FaultKind, ScanCounts, ScanReport, ScannerOptions } from "./types.js";

type News = { opened: true } | { report: Omit<ScanReport, "counts"> } | { fault: { name: FaultKind; message: string; isEnd: boolean } };
type Picture = VideoFrame | ImageBitmap | ImageData;

/** So many workers in a row may end at a frame before scanning is given up. */
const MOST_ENDS = 3;

function fault(name: FaultKind, words: string): Error {
  const error = new Error(words);
  error.name = name;
  return error;
}

/** What a video shows now. It may have no frame at this moment, while its size is known already. */
async function shown(video: HTMLVideoElement): Promise<VideoFrame | ImageBitmap | undefined> {
  try {
    return typeof VideoFrame === "function" ? new VideoFrame(video) : await createImageBitmap(video);
  } catch {
    return undefined;
  }
}

const close = (picture: Picture): void => { if ("close" in picture) picture.close(); };

/** Reads codes from the frames of one camera, in a worker of its own. When frames come faster than that, the newest wins. */
export class CodeScanner {
  /** What the newest frame gave. */
  onReport: (report: ScanReport) => void = () => {};
  /** Scanning cannot go on; `close` was called. */
  onFailed: (error: Error) => void = () => {};

  #start: () => Worker;
  #options: Omit<ScannerOptions, "worker">;
  #worker: Worker | undefined;
  #waiting: { picture: Picture; takenMs: number } | undefined;
  #isBusy = true;
  #isClosed = false;
  #ends = 0;
  #counts: ScanCounts = { submitted: 0, scanned: 0, dropped: 0 };
  #opening: { resolve: () => void; reject: (error: Error) => void } | undefined;

  private constructor({ worker = new URL("./scanner-worker.js", import.meta.url), ...options }: ScannerOptions) {
    this.#start = typeof worker === "function" ? worker : () => new Worker(worker, { type: "module", name: "pairlight-scanner" });
    // Both are named here, where a bundler sees them.
    this.#options = { wasm: new URL("./pairlight_web_scanner_bg.wasm", import.meta.url).href, ...options };
  }

  /** Starts a scanner. Rejects with `Failed` when its program cannot be loaded. */
  static async open(options: ScannerOptions = {}): Promise<CodeScanner> {
    const scanner = new CodeScanner(options);
    await new Promise<void>((resolve, reject) => {
      scanner.#opening = { resolve, reject };
      scanner.#begin();
    });
    return scanner;
  }

  #begin(): void {
    this.#isBusy = true;
    const worker = this.#start();
    this.#worker = worker;
    worker.onmessage = (message: MessageEvent<News>) => { if (worker === this.#worker) this.#hear(message.data); };
    worker.onerror = (event) => this.#fail(fault("Failed", event.message || "the worker could not be started"));
    worker.postMessage({ open: this.#options });
  }

  #fail(error: Error): void {
    if (this.#isClosed) return;
    this.close();
    if (this.#opening) this.#opening.reject(error);
    else this.onFailed(error);
  }

  #hear(said: News): void {
    if ("opened" in said) {
      this.#opening?.resolve();
      this.#opening = undefined;
    } else if ("report" in said) {
      this.#ends = 0;
      this.#counts.scanned++;
      this.onReport({ ...said.report, counts: this.counts });
      if (this.#isClosed) return;
    } else if (this.#opening) {
      return this.#fail(fault(said.fault.name, said.fault.message));
    } else if (said.fault.isEnd) {
      // No picture may end an app: another worker takes the next one.
      this.#worker?.terminate();
      if (++this.#ends >= MOST_ENDS) return this.#fail(fault("Failed", said.fault.message));
      return this.#begin();
    }
    // A frame that could not be looked at, because it was closed for example, is passed over.
    this.#isBusy = false;
    this.#next();
  }

  #next(): void {
    if (this.#isBusy || !this.#waiting) return;
    const { picture, takenMs } = this.#waiting;
    this.#waiting = undefined;
    this.#isBusy = true;
    const moved = picture instanceof ImageData ? [picture.data.buffer] : [picture];
    this.#worker?.postMessage({ picture, takenMs }, moved as Transferable[]);
  }

  /**
   * Hands over a frame and returns at once; it is the scanner's from here on. One that still waits is dropped for it.
   * Throws `Ended` after `close`.
   */
  offer(picture: Picture): "waits" | "replaced-older" {
    if (this.#isClosed) {
      close(picture);
      throw fault("Ended", "this scanner was closed");
    }
    this.#counts.submitted++;
    const older = this.#waiting;
    if (older) {
      close(older.picture);
      this.#counts.dropped++;
    }
    this.#waiting = { picture, takenMs: Date.now() };
    this.#next();
    return older ? "replaced-older" : "waits";
  }

  /** Offers each frame that a video shows, until the returned function is called or this scanner is closed. */
  watch(video: HTMLVideoElement): () => void {
    let isOver = false;
    const next = () => {
      if ("requestVideoFrameCallback" in video) video.requestVideoFrameCallback(() => void take());
      else requestAnimationFrame(() => void take());
    };
    const take = async () => {
      if (isOver || this.#isClosed) return;
      // Nothing is taken that nobody would look at: the next frame is newer.
      if (!this.#isBusy && video.videoWidth > 0) {
        const picture = await shown(video);
        if (picture && (isOver || this.#isClosed)) return picture.close();
        if (picture) this.offer(picture);
      }
      next();
    };
    next();
    return () => { isOver = true; };
  }

  /** Announces whatever is in view once more: when the person starts to scan again. */
  rearm(): void {
    this.#worker?.postMessage({ rearm: true });
  }

  /** How many frames were handed over, looked at and dropped. */
  get counts(): ScanCounts {
    return { ...this.#counts };
  }

  /** Ends it. `onReport` is called no more. */
  close(): void {
    this.#isClosed = true;
    if (this.#waiting) close(this.#waiting.picture);
    this.#waiting = undefined;
    this.#worker?.terminate();
    this.#worker = undefined;
  }
}
