// Section 1 of docs/protocol.md over WebCrypto.

import { ascii, concat, type Bytes } from "./bytes.js";

const subtle = crypto.subtle;

export async function sha256(...parts: Uint8Array[]): Promise<Bytes> {
  return new Uint8Array(await subtle.digest("SHA-256", concat(...parts)));
}

export async function hkdf(salt: Bytes, ikm: Bytes, info: Bytes, n: number): Promise<Bytes> {
  const key = await subtle.importKey("raw", ikm, "HKDF", false, ["deriveBits"]);
  return new Uint8Array(await subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info }, key, n * 8));
}

export async function hmac(key: Bytes, message: Bytes): Promise<Bytes> {
  const imported = await subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return new Uint8Array(await subtle.sign("HMAC", imported, message));
}

const NO_NONCE = new Uint8Array(12);

export async function gcmSeal(key: Bytes, nonce: Bytes, aad: Bytes, plaintext: Bytes): Promise<Bytes> {
  const imported = await subtle.importKey("raw", key, "AES-GCM", false, ["encrypt"]);
  return new Uint8Array(await subtle.encrypt({ name: "AES-GCM", iv: nonce, additionalData: aad }, imported, plaintext));
}

export async function gcmOpen(key: Bytes, nonce: Bytes, aad: Bytes, ciphertext: Bytes): Promise<Bytes> {
  const imported = await subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
  return new Uint8Array(
    await subtle.decrypt({ name: "AES-GCM", iv: nonce, additionalData: aad }, imported, ciphertext),
  );
}

/** For keys that seal one message. */
export function sealOnce(key: Bytes, aad: Bytes, plaintext: Bytes): Promise<Bytes> {
  return gcmSeal(key, NO_NONCE, aad, plaintext);
}

export function openOnce(key: Bytes, aad: Bytes, ciphertext: Bytes): Promise<Bytes> {
  return gcmOpen(key, NO_NONCE, aad, ciphertext);
}

function labelled(label: string, message: Uint8Array): Bytes {
  return concat(ascii(label), new Uint8Array(1), message);
}

/** The Ed25519 key of a device. */
export class SigningKey {
  private constructor(
    private readonly key: CryptoKey,
    readonly publicKey: Bytes,
  ) {}

  static async generate(): Promise<SigningKey> {
    return SigningKey.fromSeed(crypto.getRandomValues(new Uint8Array(32)));
  }

  static async fromSeed(seed: Bytes): Promise<SigningKey> {
    // RFC 8410: the fixed head of a PKCS #8 Ed25519 key.
    const pkcs8 = concat(Buffer.from("302e020100300506032b657004220420", "hex"), seed);
    const key = await subtle.importKey("pkcs8", pkcs8, { name: "Ed25519" }, true, ["sign"]);
    const jwk = await subtle.exportKey("jwk", key);
    return new SigningKey(key, new Uint8Array(Buffer.from(jwk.x!, "base64url")));
  }

  async sign(label: string, message: Uint8Array): Promise<Bytes> {
    return new Uint8Array(await subtle.sign({ name: "Ed25519" }, this.key, labelled(label, message)));
  }
}

export async function verify(publicKey: Bytes, label: string, message: Uint8Array, sig: Bytes): Promise<boolean> {
  if (isSmallOrder(publicKey) || isSmallOrder(sig.slice(0, 32)) || !isCanonicalScalar(sig.slice(32))) return false;
  const key = await subtle.importKey("raw", publicKey, { name: "Ed25519" }, false, ["verify"]);
  return subtle.verify({ name: "Ed25519" }, key, sig, labelled(label, message));
}

// Engines differ on these three, so they are checked here (section 1: verification is strict).
const SMALL_ORDER = new Set(
  [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
  ].flatMap((point) => {
    const bytes = Buffer.from(point, "hex");
    const signed = Buffer.from(bytes);
    signed[31]! |= 0x80;
    return [bytes.toString("hex"), signed.toString("hex")];
  }),
);

function isSmallOrder(point: Uint8Array): boolean {
  return SMALL_ORDER.has(Buffer.from(point).toString("hex"));
}

const GROUP_ORDER = (1n << 252n) + 27742317777372353535851937790883648493n;

function isCanonicalScalar(scalar: Uint8Array): boolean {
  return BigInt(`0x${Buffer.from(scalar).reverse().toString("hex")}`) < GROUP_ORDER;
}

/** An X25519 key pair of the ratchet. */
export class AgreementKey {
  private constructor(
    private readonly key: CryptoKey,
    readonly publicKey: Bytes,
  ) {}

  static async generate(): Promise<AgreementKey> {
    const pair = (await subtle.generateKey({ name: "X25519" }, false, ["deriveBits"])) as CryptoKeyPair;
    return new AgreementKey(pair.privateKey, new Uint8Array(await subtle.exportKey("raw", pair.publicKey)));
  }

  /** Refuses a public key of small order: WebCrypto fails on an all-zero secret. */
  async agree(publicKey: Bytes): Promise<Bytes> {
    const other = await subtle.importKey("raw", publicKey, { name: "X25519" }, false, []);
    return new Uint8Array(await subtle.deriveBits({ name: "X25519", public: other }, this.key, 256));
  }
}

export async function cbcEncrypt(key: Bytes, iv: Bytes, plaintext: Bytes): Promise<Bytes> {
  const imported = await subtle.importKey("raw", key, "AES-CBC", false, ["encrypt"]);
  return new Uint8Array(await subtle.encrypt({ name: "AES-CBC", iv }, imported, plaintext));
}

export async function cbcDecrypt(key: Bytes, iv: Bytes, ciphertext: Bytes): Promise<Bytes> {
  const imported = await subtle.importKey("raw", key, "AES-CBC", false, ["decrypt"]);
  return new Uint8Array(await subtle.decrypt({ name: "AES-CBC", iv }, imported, ciphertext));
}
