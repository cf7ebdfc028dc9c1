// Sections 4 and 5: deterministic CBOR arrays, each position with its type and limit.

import { decode as cborDecode, encode as cborEncode } from "cborg";

import { equal, must, type Bytes } from "./bytes.js";

type Item = unknown;
/** Checks one position and gives it back typed. */
export type Field<T> = (item: Item) => T;

export const bstr =
  (least: number, most: number): Field<Bytes> =>
  (item) => {
    must(item instanceof Uint8Array && item.length >= least && item.length <= most, "a byte string of another length");
    return new Uint8Array(item);
  };
export const b8 = bstr(8, 8);
export const b16 = bstr(16, 16);
export const b32 = bstr(32, 32);
export const b64 = bstr(64, 64);

export const tstr =
  (most: number): Field<string> =>
  (item) => {
    must(typeof item === "string" && Buffer.byteLength(item) <= most, "a text that is too long");
    return item;
  };

/** Up to 2^64 - 1; a bigint above 2^53. */
export const uint: Field<number | bigint> = (item) => {
  must((typeof item === "number" && Number.isInteger(item) && item >= 0) || (typeof item === "bigint" && item >= 0n), "no unsigned integer");
  return item as number | bigint;
};

export const number: Field<number> = (item) => {
  must(typeof item === "number" && Number.isInteger(item) && item >= 0, "no small unsigned integer");
  return item;
};

export const below =
  (limit: number): Field<number> =>
  (item) => {
    const value = number(item);
    must(value < limit, "a number outside its enumeration");
    return value;
  };

export const bool: Field<boolean> = (item) => {
  must(typeof item === "boolean", "no boolean");
  return item;
};

export const nullable =
  <T>(field: Field<T>): Field<T | null> =>
  (item) =>
    item === null ? null : field(item);

export const list =
  <T>(field: Field<T>, most: number): Field<T[]> =>
  (item) => {
    must(Array.isArray(item) && item.length <= most, "no list, or one that is too long");
    return item.map(field);
  };

type Shape = Record<string, Field<unknown>>;
type Fields<S extends Shape> = { [K in keyof S]: ReturnType<S[K]> };

/** A record: an array whose first item is `tag`, if it has one. */
export class Layout<S extends Shape> {
  constructor(
    private readonly tag: number | null,
    private readonly shape: S,
  ) {}

  encode(value: Fields<S>): Bytes {
    return new Uint8Array(cborEncode(this.items(value)));
  }

  /** As a position of another record. */
  items(value: Fields<S>): unknown[] {
    const fields = Object.keys(this.shape).map((name) => flat(value[name]));
    return this.tag === null ? fields : [this.tag, ...fields];
  }

  readonly field: Field<Fields<S>> = (item) => {
    const names = Object.keys(this.shape);
    const extra = this.tag === null ? 0 : 1;
    must(Array.isArray(item) && item.length === names.length + extra, "an array of another length");
    must(this.tag === null || item[0] === this.tag, "another record, or another version of it");
    const out: Record<string, unknown> = {};
    names.forEach((name, i) => (out[name] = this.shape[name]!(item[i + extra])));
    return out as Fields<S>;
  };

  decode(bytes: Uint8Array): Fields<S> {
    const value = this.field(read(bytes));
    return value;
  }
}

/** Records inside records lie as plain arrays; see `nested`. */
function flat(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(flat);
  if (value !== null && typeof value === "object" && !(value instanceof Uint8Array)) return Object.values(value).map(flat);
  return value;
}

/** One item that fills the bytes and is in its one encoding. */
export function read(bytes: Uint8Array): unknown {
  let item: unknown;
  try {
    item = cborDecode(bytes, { strict: true, allowBigInt: true, allowIndefinite: false });
  } catch (error) {
    must(false, `not CBOR: ${String(error)}`);
  }
  must(equal(new Uint8Array(cborEncode(item)), bytes), "not in its deterministic encoding");
  return item;
}

const layout = <S extends Shape>(tag: number | null, shape: S) => new Layout(tag, shape);

// ---- 5.1, 5.2

export const Signed = layout(null, { kid: b8, payload: bstr(0, 16384), sig: b64 });
export type Signed = ReturnType<typeof Signed.field>;

export const Offer = layout(1, {
  kemPk: bstr(1216, 1216),
  devicePk: b32,
  nonceO: b32,
  clientKind: below(2),
  name: tstr(64),
  os: tstr(32),
  app: tstr(32),
  caps: uint,
});

// ---- 5.3

const ct = bstr(0, 12288);
export const M1 = layout(1, { enc: bstr(1120, 1120), ct });
export const M2 = layout(2, { respNonce: b32, ct });
export const M2b = layout(3, { ct });
export const M3 = layout(4, { ct });
export const M4 = layout(5, { ct });
export const M5 = layout(6, { ct });
export const Need = layout(7, { ct });

export const EvidenceItem = layout(null, { bit: below(256), proof: bstr(0, 4096) });
export const M1Body = layout(1, { purpose: below(2), nonceP: b32, minEvidence: uint, caps: uint });
export const M2Body = layout(1, { nonceP: b32, nonceS: b32, caps: uint });
export const NeedBody = layout(1, { wanted: uint, hints: list(EvidenceItem.field, 8) });
export const M2bBody = layout(1, { checkCodeOk: bool, evidence: list(EvidenceItem.field, 8), olmIk: b32, olmOtk: b32 });
export const M3Body = layout(1, {
  rootPk: b32,
  cert: Signed.field,
  ops: Signed.field,
  list: Signed.field,
  lease: Signed.field,
  labelKey: b32,
  olmIk: b32,
  olmPrekey: bstr(0, 1024),
});
export type M3Body = ReturnType<typeof M3Body.field>;
export const M4Body = layout(1, { acceptSig: b64, olmMsg: bstr(0, 1024) });
export const M5Body = layout(1, { list: Signed.field, mailbox: b16, blobBase: tstr(128) });

// ---- 5.4

export const Certificate = layout(1, {
  account: b16,
  device: b16,
  devicePk: b32,
  role: number,
  scope: uint,
  evidence: uint,
  created: uint,
  notAfter: uint,
  epoch: number,
  prevList: b32,
  linkTh: b32,
});
export const OpsCertificate = layout(1, { account: b16, opsPk: b32, notAfter: uint, caps: number });
export const Lease = layout(1, {
  account: b16,
  device: b16,
  ctr: uint,
  checkin: b32,
  epoch: number,
  listHash: b32,
  notBefore: number,
  notAfter: number,
  scope: uint,
});
export type Lease = ReturnType<typeof Lease.decode>;
export const CheckIn = layout(1, {
  device: b16,
  ctr: uint,
  prev: b32,
  epoch: number,
  listHash: b32,
  rxHw: uint,
  txHw: uint,
  platform: b8,
  time: uint,
  nonce: b16,
});
/** 12.1, inside an envelope of kind 2. */
export const Report = layout(1, { session: b8, checkIn: Signed.field });
export const LeaseGrant = layout(1, {
  lease: Signed.field,
  ops: Signed.field,
  standing: below(3),
  because: nullable(number),
  lists: list(Signed.field, 32),
});
export const Entry = layout(null, {
  device: b16,
  devicePk: b32,
  role: number,
  scope: uint,
  evidence: uint,
  created: uint,
  notAfter: uint,
  certDigest: b32,
  acceptSig: b64,
  labelCt: bstr(0, 128),
  hwSig: nullable(b64),
});
export type Entry = ReturnType<typeof Entry.field>;
export const Tombstone = layout(null, { device: b16, reason: below(8), at: uint });
export const ResetMark = layout(null, { device: b16, at: uint });
export const RecoveryRecord = layout(1, {
  account: b16,
  recoveryPk: b32,
  labelKeyCt: bstr(0, 64),
  at: uint,
});
export const RootRotation = layout(1, {
  account: b16,
  fromPk: b32,
  toPk: b32,
  at: uint,
  recovery: nullable(Signed.field),
});
export const DeviceList = layout(1, {
  account: b16,
  epoch: number,
  prev: b32,
  issued: uint,
  rootPk: b32,
  entries: list(Entry.field, 16),
  tombstones: list(Tombstone.field, 256),
  recovery: nullable(Signed.field),
  roots: list(Signed.field, 8),
  resets: list(ResetMark.field, 32),
});
export type DeviceList = ReturnType<typeof DeviceList.field>;

export const Notice = layout(1, {
  kind: below(6),
  device: b16,
  evidence: uint,
  removal: nullable(below(8)),
  discrepancy: nullable(number),
  at: uint,
});

// ---- 5.5

export const Envelope = layout(1, {
  kind: below(9),
  from: b16,
  to: b16,
  seq: number,
  olmType: below(256),
  olmCt: bstr(0, 2048),
  bodyCt: bstr(0, 61440),
});
export const EnvelopeHeader = layout(1, { kind: below(9), from: b16, to: b16, seq: number });

export const ResetOffer = layout(1, { from: b16, to: b16, nonce: b16, kemPk: bstr(1216, 1216), at: number });
export const ResetAnswer = layout(2, { from: b16, to: b16, offer: b32, enc: bstr(1120, 1120), ct: bstr(0, 256) });
export const ResetFinish = layout(3, { from: b16, to: b16, answer: b32, ct: bstr(0, 2048) });
export const ResetKeys = layout(1, { olmIk: b32, olmOtk: b32 });
export const ResetStart = layout(1, { olmIk: b32, olmPrekey: bstr(0, 1024) });

// ---- 5.6

const message = bstr(0, 16384);
export const OpenSlot = layout(1, { slot: b16, offerCt: bstr(0, 2048) });
export const SlotSend = layout(2, { slot: b16, seq: number, body: message });
export const CancelSlot = layout(3, { slot: b16, reason: below(14) });
export const SlotOpened = layout(1, { slot: b16, ttlMs: number, context: Signed.field });
export const SlotClaimed = layout(2, { slot: b16 });
export const SlotMsg = layout(3, { slot: b16, seq: number, body: message });
export const SlotEnded = layout(4, { slot: b16, reason: below(14) });
export const SlotConflict = layout(5, { slot: b16 });
export const Refused = layout(7, {
  code: below(13),
  retryAfterMs: number,
  words: tstr(200),
  slot: nullable(b16),
  reference: nullable(uint),
});
export const ListChain = layout(1, { lists: list(Signed.field, 256), ops: nullable(Signed.field) });
export const Challenge = layout(1, { nonce: b32 });
export const DeviceAuth = layout(1, { account: b16, device: b16, nonce: b32, epoch: number, sig: b64 });
export const RelayInfo = layout(1, { host: tstr(255), attestationPk: b32 });
export const PostEnvelope = layout(2, { to: b16, reference: uint, envelope: bstr(0, 65536) });
export const AckEnvelopes = layout(3, { upTo: uint });
export const RenewLease = layout(5, { lease: Signed.field });
export const Welcome = layout(2, { epoch: number });
export const Accepted = layout(3, { reference: uint });
export const Deliver = layout(4, { number: uint, envelope: bstr(0, 65536) });
export const ListChanged = layout(5, { epoch: number });

/** The number that a frame begins with. */
export function tagOf(bytes: Uint8Array): number {
  const item = read(bytes);
  must(Array.isArray(item) && typeof item[0] === "number", "no record");
  return item[0];
}

/** `login` holds a whole `device-auth`, with its own version. This program opens one socket: it has none before. */
export function encodeLogin(auth: ReturnType<typeof DeviceAuth.field>, lease: Signed | null): Bytes {
  const signed = lease === null ? null : Signed.items(lease);
  return new Uint8Array(cborEncode([1, DeviceAuth.items(auth), signed, null]));
}
