// The page's side: one object, whose calls go to a worker. No secret comes to the page but the text of a code.

import type {
  Attachment, Conversation, FaultKind, FileState, History, LineEvent, LinkEvent, Message, OpenOptions, Standing,
} from "./types.js";

export { prepare } from "./prepare.js";
export { CodeScanner } from "./scanner.js";
export type * from "./types.js";

type Answer = { id: number; value?: unknown; error?: { name: FaultKind; message: string } };
type News = { link: LinkEvent } | { line: LineEvent } | { lost: true };

function fault(name: FaultKind, words: string): Error {
  const error = new Error(words);
  error.name = name;
  return error;
}

/** A device that is, or wants to be, linked. */
export class PairlightDevice {
  /** What happens in a link. */
  onLink: (event: LinkEvent) => void = () => {};
  /** What happens on the line. */
  onLine: (event: LineEvent) => void = () => {};
  /** Another tab took the device; every call of this object rejects with `Ended` from here on, as after `close`. */
  onLost: () => void = () => {};

  #worker: Worker;
  #next = 1;
  #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
  /** Why nothing is answered any more. */
  #ended: Error | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.onmessage = (message: MessageEvent<Answer | News>) => this.#hear(message.data);
    worker.onerror = (event) => this.#refuse(fault("Failed", event.message || "the worker could not be started"));
  }

  /**
   * Opens the device of this browser. Rejects with `InUse` when another tab has it, with `PassphraseNeeded` or `WrongPassphrase`
   * when it has a lock that these options do not open.
   */
  static async open(options: OpenOptions): Promise<PairlightDevice> {
    return PairlightDevice.#begin("open", options);
  }

  /** Erases what this browser knows without opening it, for who forgot the passphrase. Rejects with `InUse` as `open` does. */
  static async erase(options: OpenOptions): Promise<void> {
    (await PairlightDevice.#begin("erase", options)).close();
  }

  static async #begin(method: "open" | "erase", options: OpenOptions): Promise<PairlightDevice> {
    // Both are named here, where a bundler sees them.
    const { worker = new URL("./worker.js", import.meta.url), ...rest } = { wasm: new URL("./pairlight_web_bg.wasm", import.meta.url).href, ...options };
    const started = worker instanceof Worker ? worker : new Worker(worker, { type: "module", name: "pairlight" });
    const device = new PairlightDevice(started);
    try {
      await device.#call(method, rest);
    } catch (error) {
      device.close();
      throw error;
    }
    return device;
  }

  #hear(said: Answer | News): void {
    if ("link" in said) return this.onLink(said.link);
    if ("line" in said) return this.onLine(said.line);
    if ("lost" in said) {
      this.#end("another tab took the device");
      return this.onLost();
    }
    const call = this.#waiting.get(said.id);
    this.#waiting.delete(said.id);
    if (!said.error) return call?.resolve(said.value as never);
    call?.reject(fault(said.error.name, said.error.message));
  }

  /** No call that waits gets an answer. */
  #refuse(error: Error): void {
    for (const call of this.#waiting.values()) call.reject(error);
    this.#waiting.clear();
  }

  /** Nor does any later one. */
  #end(words: string): void {
    this.#ended ??= fault("Ended", words);
    this.#refuse(this.#ended);
  }

  #call<T>(method: string, ...given: unknown[]): Promise<T> {
    if (this.#ended) return Promise.reject(this.#ended);
    const id = this.#next++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (value: never) => void, reject });
      this.#worker.postMessage({ id, method, given });
    });
  }

  /** Whether a passphrase is wanted the next time this device is opened. */
  hasLock(): Promise<boolean> { return this.#call("hasLock"); }
  /**
   * Locks this device with a passphrase from the next opening on (`close` it to lock it now), or takes the lock away (null).
   * `current` is the passphrase before, when there was one; rejects with `PassphraseNeeded` or `WrongPassphrase` without it.
   */
  setLock(passphrase: string | null, current?: string): Promise<void> { return this.#call("setLock", passphrase, current); }
  /** How this device stands; null when it is not linked. */
  standing(): Promise<Standing | null> { return this.#call("standing"); }
  /** Shows codes until a phone links this browser; `onLink` tells. */
  link(name: string, os: string, app: string): Promise<void> { return this.#call("link", name, os, app); }
  enterCheckCode(typed: string): Promise<void> { return this.#call("enterCheckCode", typed); }
  /** A new code after `paused`. */
  showAgain(): Promise<void> { return this.#call("showAgain"); }
  /** Ends the attempt; the phone is told. */
  cancelLink(): Promise<void> { return this.#call("cancelLink"); }
  /** Ends the attempt without a word: the code that was shown is void. */
  dropLink(): Promise<void> { return this.#call("dropLink"); }
  /** The answer to `evidence-wanted`. */
  givePasskey(credential: Uint8Array, authenticatorData: Uint8Array, clientData: Uint8Array, signature: Uint8Array): Promise<void> {
    return this.#call("givePasskey", credential, authenticatorData, clientData, signature);
  }
  giveNothing(): Promise<void> { return this.#call("giveNothing"); }
  /** Goes online and stays in step; `onLine` tells. */
  connect(): Promise<void> { return this.#call("connect"); }
  /** Goes offline. What was written stays, and goes out the next time. */
  disconnect(): Promise<void> { return this.#call("disconnect"); }
  conversations(): Promise<Conversation[]> { return this.#call("conversations"); }
  /** A page of messages older than `before` (a message's `place`; null: the newest), newest first. */
  messages(conversation: string, before: string | null, limit: number): Promise<Message[]> {
    return this.#call("messages", conversation, before, limit);
  }
  /** Messages that contain a text, newest first; nobody else learns the word. */
  search(text: string, limit: number): Promise<Message[]> { return this.#call("search", text, limit); }
  /** Writes a message; when this resolves it is kept here, and goes out when both sides are online. Gives its id. */
  send(conversation: string, sender: string, text: string, attachments: Attachment[] = []): Promise<string> {
    return this.#call("send", conversation, sender, text, attachments);
  }
  markRead(conversation: string, upToMs: number): Promise<void> { return this.#call("markRead", conversation, upToMs); }
  history(): Promise<History[]> { return this.#call("history"); }
  /** Whether the account has all that was written here. */
  isInStep(): Promise<boolean> { return this.#call("isInStep"); }
  /** Takes the content of a file. Gives its hash, for an attachment. */
  addFile(content: Uint8Array): Promise<string> { return this.#call("addFile", content); }
  /** Asks for the content of an attachment; `file` events tell how it comes. */
  wantFile(hash: string, size: number): Promise<FileState> { return this.#call("wantFile", hash, size); }
  file(hash: string): Promise<FileState | null> { return this.#call("file", hash); }
  /** A piece of a file, 256 KiB or less, counted from 0; null behind its end, and where it is not here yet. */
  filePiece(hash: string, index: number): Promise<Uint8Array | null> { return this.#call("filePiece", hash, index); }
  /**
   * Logs out: erases everything that this browser knows. The phone lists it until it removes it there. The next call opens a new,
   * empty device.
   */
  forget(): Promise<void> { return this.#call("forget"); }
  /** Ends the worker. Calls that wait, and later ones, reject with `Ended`. */
  close(): void {
    this.#end("this device was closed");
    this.#worker.terminate();
  }
}
