// Section 9: HTTP and WebSocket with the relay.

import WebSocket from "ws";

import { concat, hex, must, u64, type Bytes } from "./bytes.js";
import type { Account } from "./account.js";
import type { SigningKey } from "./primitives.js";
import { Challenge, DeviceAuth, encodeLogin, ListChain, Refused, RelayInfo } from "./records.js";

/** A socket as a queue of records. */
export class Socket {
  private readonly waiting: Bytes[] = [];
  private wake: (() => void) | null = null;
  private closed: string | null = null;

  private constructor(private readonly socket: WebSocket) {
    socket.on("message", (data: Buffer, isBinary: boolean) => {
      if (!isBinary) return this.end("a text frame");
      this.waiting.push(new Uint8Array(data));
      this.wake?.();
    });
    socket.on("close", (code: number) => this.end(`closed with ${code}`));
    socket.on("error", (error: Error) => this.end(error.message));
  }

  static open(url: string): Promise<Socket> {
    return new Promise((resolve, reject) => {
      const socket = new WebSocket(url, { perMessageDeflate: false });
      const made = new Socket(socket);
      socket.once("open", () => resolve(made));
      socket.once("error", reject);
    });
  }

  private end(why: string): void {
    this.closed ??= why;
    this.wake?.();
  }

  send(record: Bytes): void {
    this.socket.send(record, { binary: true });
  }

  /** The next record; fails after `ms` without one. */
  async next(ms: number): Promise<Bytes> {
    const until = Date.now() + ms;
    for (;;) {
      const record = this.waiting.shift();
      if (record !== undefined) return record;
      must(this.closed === null, `the relay's socket is gone: ${this.closed}`);
      const left = until - Date.now();
      must(left > 0, "no answer in time");
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.socket.close();
  }
}

export class Relay {
  private constructor(
    private readonly base: string,
    readonly host: string,
    readonly attestationPk: Bytes,
  ) {}

  static async discover(base: string): Promise<Relay> {
    const info = RelayInfo.decode(await body(await fetch(`${base}/v1/relay`)));
    return new Relay(base, info.host, info.attestationPk);
  }

  link(): Promise<Socket> {
    return Socket.open(`${this.base.replace(/^http/, "ws")}/v1/link`);
  }

  /** 9.6 */
  private async auth(account: Account, device: SigningKey, nonce: Bytes) {
    const { epoch } = account.list.list;
    const message = concat(nonce, new TextEncoder().encode(this.host), new Uint8Array(1), account.device, u64(epoch));
    const sig = await device.sign("pairlight/v1/ws-auth", message);
    return { account: account.id, device: account.device, nonce, epoch, sig };
  }

  /** The lists after the known one, or `null` when the relay does not know this device (yet). */
  async lists(account: Account, device: SigningKey) {
    const challenge = Challenge.decode(await body(await fetch(`${this.base}/v1/challenge`, { method: "POST" })));
    const auth = DeviceAuth.encode(await this.auth(account, device, challenge.nonce));
    const from = account.list.list.epoch + 1;
    const answer = await fetch(`${this.base}/v1/accounts/${hex(account.id)}/list?from=${from}`, {
      headers: { Authorization: `Pairlight ${hex(auth)}` },
    });
    return answer.status === 404 ? null : ListChain.decode(await body(answer));
  }

  /** A stream that is logged in. */
  async stream(account: Account, device: SigningKey): Promise<Socket> {
    const socket = await Socket.open(`${this.base.replace(/^http/, "ws")}/v1/stream`);
    const challenge = Challenge.decode(await socket.next(20_000));
    socket.send(encodeLogin(await this.auth(account, device, challenge.nonce), account.lease));
    return socket;
  }
}

async function body(answer: Response): Promise<Bytes> {
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (!answer.ok) {
    let words = `status ${answer.status}`;
    try {
      const refused = Refused.decode(bytes);
      words = `refused with ${refused.code}: ${refused.words}`;
    } catch {
      // Not every answer of a server in between is the relay's.
    }
    must(false, words);
  }
  return bytes;
}
