// Section 6: what is derived from the code, the transcript, and the two directions of the pairing channel.

import { Aes256Gcm, CipherSuite, HkdfSha256 } from "@hpke/core";
import { XWing } from "@hpke/hybridkem-x-wing";

import { ascii, concat, u64, type Bytes } from "./bytes.js";
import { gcmOpen, gcmSeal, hkdf, sha256 } from "./primitives.js";

const suite = new CipherSuite({ kem: new XWing(), kdf: new HkdfSha256(), aead: new Aes256Gcm() });

/** A fresh key pair: the 32 byte private key and the public key. Libraries disagree about DeriveKeyPair, so not by that. */
export async function generateKemKey(): Promise<{ secret: Bytes; publicKey: Bytes }> {
  const pair = await suite.kem.generateKeyPair();
  return {
    secret: new Uint8Array(await suite.kem.serializePrivateKey(pair.privateKey)),
    publicKey: new Uint8Array(await suite.kem.serializePublicKey(pair.publicKey)),
  };
}

/** 6.1 */
export interface CodeKeys {
  slot: Bytes;
  offer: Bytes;
  psk: Bytes;
}

export async function codeKeys(qrSecret: Bytes): Promise<CodeKeys> {
  const salt = ascii("pairlight/v1/qr");
  return {
    slot: await hkdf(salt, qrSecret, ascii("rid"), 16),
    offer: await hkdf(salt, qrSecret, ascii("offer"), 32),
    psk: await hkdf(salt, qrSecret, ascii("psk"), 32),
  };
}

export async function commitOf(offer: Bytes): Promise<Bytes> {
  return (await sha256(ascii("pairlight/v1/offer\0"), offer)).slice(0, 16);
}

/** 6.2 */
export const transcript = {
  th0: async (qr: Bytes, offer: Bytes, context: Bytes) =>
    sha256(ascii("pairlight/v1/th0\0"), await sha256(qr), await sha256(offer), await sha256(context)),
  th1: async (th0: Bytes, m1: Bytes) => sha256(ascii("pairlight/v1/th1\0"), th0, await sha256(m1)),
  th2: async (th0: Bytes, m1: Bytes, m2: Bytes) =>
    sha256(ascii("pairlight/v1/th2\0"), th0, await sha256(m1), await sha256(m2)),
  th3: async (th2: Bytes, said: Bytes, m3: Bytes) => sha256(ascii("pairlight/v1/th3\0"), th2, said, await sha256(m3)),
  said: (m2b: Bytes) => sha256(m2b),
  saidAfterNeed: async (m2b: Bytes, need: Bytes, second: Bytes) =>
    sha256(ascii("pairlight/v1/evidence\0"), await sha256(m2b), await sha256(need), await sha256(second)),
};

/** One end of an HPKE channel in `mode_psk`. */
export interface Psk {
  key: Bytes;
  id: Bytes;
}

interface Context {
  seal(plaintext: ArrayBuffer, aad: ArrayBuffer): Promise<ArrayBuffer>;
  open(ciphertext: ArrayBuffer, aad: ArrayBuffer): Promise<ArrayBuffer>;
  export(context: ArrayBuffer, length: number): Promise<ArrayBuffer>;
}

/** What both ends do. */
export class Channel {
  private constructor(private readonly context: Context) {}

  static async accept(secret: Bytes, enc: Bytes, psk: Psk, info: Bytes): Promise<Channel> {
    const recipientKey = await suite.kem.deserializePrivateKey(secret.buffer);
    const keys = { key: psk.key.buffer, id: psk.id.buffer };
    return new Channel(await suite.createRecipientContext({ recipientKey, enc: enc.buffer, info: info.buffer, psk: keys }));
  }

  static async initiate(publicKey: Bytes, psk: Psk, info: Bytes): Promise<{ channel: Channel; enc: Bytes }> {
    const recipientPublicKey = await suite.kem.deserializePublicKey(publicKey.buffer);
    const keys = { key: psk.key.buffer, id: psk.id.buffer };
    const context = await suite.createSenderContext({ recipientPublicKey, info: info.buffer, psk: keys });
    return { channel: new Channel(context), enc: new Uint8Array(context.enc) };
  }

  async seal(aad: Bytes, plaintext: Bytes): Promise<Bytes> {
    return new Uint8Array(await this.context.seal(plaintext.buffer, aad.buffer));
  }

  async open(aad: Bytes, ciphertext: Bytes): Promise<Bytes> {
    return new Uint8Array(await this.context.open(ciphertext.buffer, aad.buffer));
  }

  async export(context: string): Promise<Bytes> {
    return new Uint8Array(await this.context.export(ascii(context).buffer, 32));
  }
}

/** 6.3, the recipient's end. */
export type FromPrimary = Channel;
export const FromPrimary = {
  accept: (secret: Bytes, enc: Bytes, keys: CodeKeys, th0: Bytes): Promise<Channel> =>
    Channel.accept(secret, enc, { key: keys.psk, id: keys.slot }, concat(ascii("pairlight/v1/hpke\0"), th0)),
};

/** 6.4 */
export class ToPrimary {
  private next = 0;

  private constructor(
    private readonly key: Bytes,
    private readonly base: Bytes,
  ) {}

  static async derive(secret: Bytes, enc: Bytes, respNonce: Bytes): Promise<ToPrimary> {
    const salt = concat(enc, respNonce);
    return new ToPrimary(
      await hkdf(salt, secret, ascii("key"), 32),
      await hkdf(salt, secret, ascii("nonce"), 12),
    );
  }

  private nonce(): Bytes {
    const counter = concat(new Uint8Array(4), u64(this.next));
    return this.base.map((byte, i) => byte ^ counter[i]!) as Bytes;
  }

  async seal(aad: Bytes, plaintext: Bytes): Promise<Bytes> {
    const sealed = await gcmSeal(this.key, this.nonce(), aad, plaintext);
    this.next += 1;
    return sealed;
  }

  async open(aad: Bytes, ciphertext: Bytes): Promise<Bytes> {
    const opened = await gcmOpen(this.key, this.nonce(), aad, ciphertext);
    this.next += 1;
    return opened;
  }
}

/** 6.5 */
export async function checkCode(th2: Bytes, exported: Bytes): Promise<string> {
  const bytes = await hkdf(th2, exported, ascii("pairlight/v1/sas"), 8);
  const n = new DataView(bytes.buffer).getBigUint64(0);
  return (n % 1_000_000n).toString().padStart(6, "0");
}

/** 6.6 */
export async function keyOfM3(th2: Bytes, exported: Bytes): Promise<Bytes> {
  return hkdf(th2, exported, ascii("pairlight/v1/m3"), 32);
}
