// Bytes and numbers as the protocol writes them: all integers big-endian.

export type Bytes = Uint8Array<ArrayBuffer>;

export class ProtocolError extends Error {}

/** Ends the pairing as Tampered when a check fails. */
export function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new ProtocolError(what);
}

export function ascii(text: string): Bytes {
  return new TextEncoder().encode(text);
}

export function concat(...parts: Uint8Array[]): Bytes {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

export function unhex(text: string): Bytes {
  must(/^([0-9a-f]{2})*$/i.test(text), "not hexadecimal");
  return new Uint8Array(Buffer.from(text, "hex"));
}

export function u32(n: number): Bytes {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, n);
  return out;
}

export function u64(n: number | bigint): Bytes {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(n));
  return out;
}

/** Comparison whose time does not depend on where two byte strings of one length differ. */
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  let different = a.length ^ b.length;
  for (let i = 0; i < Math.min(a.length, b.length); i++) different |= a[i]! ^ b[i]!;
  return different === 0;
}

/** Order of byte strings of one length. */
export function compare(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b);
}

export function random(n: number): Bytes {
  return crypto.getRandomValues(new Uint8Array(n));
}
