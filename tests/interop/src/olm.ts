// Olm, session version 1, from the public specification of the Matrix project: 3DH, then a double ratchet. In a pairing a
// linked device is the side that is spoken to first; in a new session it can be either.

import { ascii, concat, equal, must, type Bytes } from "./bytes.js";
import { AgreementKey, cbcDecrypt, cbcEncrypt, hkdf, hmac, sha256 } from "./primitives.js";

const VERSION = 3;
const MAC_BYTES = 8;
const MOST_SKIPPED = 2000;
const ZERO = new Uint8Array(32);
/** Of a session that was begun here, until the other side answers with a ratchet key of its own. */
const NOTHING_RECEIVED = { key: new Uint8Array(32), index: 0 };

/** Fields of Olm's own format: a tag byte, then a length and bytes, or a number. */
function fields(bytes: Bytes): Map<number, Bytes | number> {
  const found = new Map<number, Bytes | number>();
  let at = 0;
  const number = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      must(byte !== undefined && shift < 35, "a number that does not end");
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = number();
    if ((tag & 7) === 0) {
      found.set(tag, number());
    } else {
      must((tag & 7) === 2, "a field of another kind");
      const length = number();
      must(at + length <= bytes.length, "a field that is cut off");
      found.set(tag, bytes.slice(at, at + length));
      at += length;
    }
  }
  return found;
}

function varint(value: number): Bytes {
  const out: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) out.push((value % 128) | 0x80);
  return Uint8Array.of(...out, value);
}

function bytesOf(found: Map<number, Bytes | number>, tag: number, length?: number): Bytes {
  const value = found.get(tag);
  must(value instanceof Uint8Array && (length === undefined || value.length === length), `no field ${tag}`);
  return value;
}

interface Chain {
  key: Bytes;
  index: number;
}

async function step(chain: Chain): Promise<Bytes> {
  const messageKey = await hmac(chain.key, Uint8Array.of(1));
  chain.key = await hmac(chain.key, Uint8Array.of(2));
  chain.index += 1;
  return messageKey;
}

async function expand(messageKey: Bytes): Promise<{ aes: Bytes; mac: Bytes; iv: Bytes }> {
  const keys = await hkdf(ZERO, messageKey, ascii("OLM_KEYS"), 80);
  return { aes: keys.slice(0, 32), mac: keys.slice(32, 64), iv: keys.slice(64, 80) };
}

async function advance(root: Bytes, shared: Bytes): Promise<{ root: Bytes; chain: Chain }> {
  const keys = await hkdf(root, shared, ascii("OLM_RATCHET"), 64);
  return { root: keys.slice(0, 32), chain: { key: keys.slice(32), index: 0 } };
}

/** A ratchet account of one link. */
export class RatchetAccount {
  private constructor(
    readonly identity: AgreementKey,
    readonly oneTime: AgreementKey,
  ) {}

  static async generate(): Promise<RatchetAccount> {
    return new RatchetAccount(await AgreementKey.generate(), await AgreementKey.generate());
  }

  /** Joins the session that a pre-key message of `peerIdentity` starts. */
  async join(peerIdentity: Bytes, first: Bytes): Promise<{ session: Session; plaintext: Bytes }> {
    must(first[0] === VERSION, "another version of Olm");
    const found = fields(first.slice(1));
    must(equal(bytesOf(found, 0x0a, 32), this.oneTime.publicKey), "for another one-time key");
    must(equal(bytesOf(found, 0x1a, 32), peerIdentity), "from another identity key");
    const baseKey = bytesOf(found, 0x12, 32);
    const secret = concat(
      await this.oneTime.agree(peerIdentity),
      await this.identity.agree(baseKey),
      await this.oneTime.agree(baseKey),
    );
    const keys = await hkdf(ZERO, secret, ascii("OLM_ROOT"), 64);
    const inner = bytesOf(found, 0x22);
    const id = await sessionId(peerIdentity, baseKey, this.oneTime.publicKey);
    const session = new Session(keys.slice(0, 32), { key: keys.slice(32), index: 0 }, ratchetKeyOf(inner), id);
    return { session, plaintext: await session.open(1, inner) };
  }

  /** Starts a session with the keys of another account. The one-time key here is the base key of the session. */
  async start(peerIdentity: Bytes, peerOneTime: Bytes): Promise<Session> {
    const base = this.oneTime;
    const secret = concat(
      await this.identity.agree(peerOneTime),
      await base.agree(peerIdentity),
      await base.agree(peerOneTime),
    );
    const keys = await hkdf(ZERO, secret, ascii("OLM_ROOT"), 64);
    const id = await sessionId(this.identity.publicKey, base.publicKey, peerOneTime);
    const head = concat(
      Uint8Array.of(VERSION, 0x0a, 32),
      peerOneTime,
      Uint8Array.of(0x12, 32),
      base.publicKey,
      Uint8Array.of(0x1a, 32),
      this.identity.publicKey,
    );
    const chain = { key: keys.slice(32), index: 0 };
    const sending = { own: await AgreementKey.generate(), chain };
    return new Session(keys.slice(0, 32), NOTHING_RECEIVED, new Uint8Array(0), id, sending, head);
  }
}

/** Section 12.1: identity and base key of the side that began, one-time key of the other. */
async function sessionId(identity: Bytes, base: Bytes, oneTime: Bytes): Promise<string> {
  const id = await sha256(identity, base, oneTime);
  return Buffer.from(id).toString("base64").replace(/=+$/, "");
}

function ratchetKeyOf(message: Bytes): Bytes {
  must(message[0] === VERSION && message.length > MAC_BYTES, "another version of Olm");
  return bytesOf(fields(message.slice(1, -MAC_BYTES)), 0x0a, 32);
}

/** One end of a double ratchet. */
export class Session {
  private readonly skipped = new Map<string, Bytes>();

  constructor(
    private root: Bytes,
    private receiving: Chain,
    private peerKey: Bytes,
    /** Its id, the same on both sides. */
    readonly id: string,
    private sending: { own: AgreementKey; chain: Chain } | null = null,
    /** What a pre-key message has around each message, until one of the other side was opened. */
    private preKeyHead: Bytes | null = null,
  ) {}

  /** A message and its type: 0, a pre-key message, from who began the session and has not heard from the other yet. */
  async seal(plaintext: Bytes): Promise<{ type: 0 | 1; bytes: Bytes }> {
    const bytes = await this.message(plaintext);
    if (this.preKeyHead === null) return { type: 1, bytes };
    return { type: 0, bytes: concat(this.preKeyHead, Uint8Array.of(0x22), varint(bytes.length), bytes) };
  }

  /** Forgets its keys. */
  erase(): void {
    for (const key of [this.root, this.receiving.key, this.sending?.chain.key, ...this.skipped.values()]) key?.fill(0);
    this.sending = null;
    this.skipped.clear();
  }

  /** Breaks it, as a store that was put back would: nothing that either side seals opens on the other any more. */
  async spoil(): Promise<void> {
    this.root = await sha256(ascii("spoilt"), this.root);
    this.receiving = { key: await sha256(this.receiving.key), index: this.receiving.index };
    if (this.sending !== null) this.sending.chain.key = await sha256(this.sending.chain.key);
  }

  private async message(plaintext: Bytes): Promise<Bytes> {
    if (this.sending === null) {
      const own = await AgreementKey.generate();
      const next = await advance(this.root, await own.agree(this.peerKey));
      this.root = next.root;
      this.sending = { own, chain: next.chain };
    }
    const { own, chain } = this.sending;
    const index = chain.index;
    const { aes, mac, iv } = await expand(await step(chain));
    const ciphertext = await cbcEncrypt(aes, iv, plaintext);
    const head = concat(
      Uint8Array.of(VERSION, 0x0a, 32),
      own.publicKey,
      Uint8Array.of(0x10),
      varint(index),
      Uint8Array.of(0x22),
      varint(ciphertext.length),
      ciphertext,
    );
    return concat(head, (await hmac(mac, head)).slice(0, MAC_BYTES));
  }

  async open(kind: number, message: Bytes): Promise<Bytes> {
    if (kind === 0) {
      // The peer repeats its pre-key message until it has heard from this side; the session stands already.
      return this.open(1, bytesOf(fields(message.slice(1)), 0x22));
    }
    must(kind === 1, "no type of Olm message");
    const ratchetKey = ratchetKeyOf(message);
    const found = fields(message.slice(1, -MAC_BYTES));
    const index = found.get(0x10);
    must(typeof index === "number", "no chain index");

    const name = (at: number) => `${Buffer.from(ratchetKey).toString("hex")}/${at}`;
    const kept = this.skipped.get(name(index));
    if (kept !== undefined) {
      const plaintext = await this.decrypt(kept, message, found);
      this.skipped.delete(name(index));
      return plaintext;
    }

    // Nothing is kept of a message that does not open.
    let root = this.root;
    let chain = { ...this.receiving };
    let turned = false;
    if (!equal(ratchetKey, this.peerKey)) {
      must(this.sending !== null, "a ratchet key that cannot be due");
      const next = await advance(root, await this.sending.own.agree(ratchetKey));
      ({ root, chain } = next);
      turned = true;
    }
    must(index >= chain.index && index - chain.index < MOST_SKIPPED, "opened before, or too far ahead");
    const passed: [string, Bytes][] = [];
    while (chain.index < index) passed.push([name(chain.index), await step(chain)]);
    const plaintext = await this.decrypt(await step(chain), message, found);

    for (const [key, value] of passed) this.skipped.set(key, value);
    this.receiving = chain;
    this.preKeyHead = null;
    if (turned) {
      this.root = root;
      this.peerKey = ratchetKey;
      this.sending = null;
    }
    return plaintext;
  }

  private async decrypt(messageKey: Bytes, message: Bytes, found: Map<number, Bytes | number>): Promise<Bytes> {
    const { aes, mac, iv } = await expand(messageKey);
    const expected = (await hmac(mac, message.slice(0, -MAC_BYTES))).slice(0, MAC_BYTES);
    must(equal(expected, message.slice(-MAC_BYTES)), "a message that was altered");
    return cbcDecrypt(aes, iv, bytesOf(found, 0x22));
  }
}
