// Section 3: payload and text of the QR code.

import { concat, must, type Bytes } from "./bytes.js";

const DIGITS = [0, 3, 5, 8, 10, 13, 15, 17];

/** Groups of 7 bytes, each read little-endian, as decimal digits. */
export function encodeDigits(bytes: Uint8Array): string {
  let digits = "";
  for (let at = 0; at < bytes.length; at += 7) {
    const group = bytes.slice(at, at + 7);
    const value = group.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
    digits += value.toString().padStart(DIGITS[group.length]!, "0");
  }
  return digits;
}

export function decodeDigits(digits: string): Bytes {
  must(/^[0-9]*$/.test(digits), "not digits");
  const parts: Uint8Array[] = [];
  for (let at = 0; at < digits.length; at += 17) {
    const group = digits.slice(at, at + 17);
    const length = DIGITS.indexOf(group.length);
    must(length > 0, "a digit count that no byte count gives");
    let value = BigInt(group);
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) {
      bytes[i] = Number(value & 255n);
      value >>= 8n;
    }
    must(value === 0n, "a group that does not fit its bytes");
    parts.push(bytes);
  }
  return concat(...parts);
}

export function payload(relayIndex: number, qrSecret: Bytes, commit: Bytes): Bytes {
  return concat(Uint8Array.of(1, 1, relayIndex), qrSecret, commit);
}

export function text(payload: Uint8Array): string {
  return `PAIRLIGHT:/${encodeDigits(payload)}`;
}
