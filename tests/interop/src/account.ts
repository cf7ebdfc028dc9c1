// Sections 7.5 and 11.2: what a linked device checks before it believes an account.

import { ascii, compare, equal, must, type Bytes } from "./bytes.js";
import { sha256, verify } from "./primitives.js";
import {
  Certificate,
  DeviceList,
  Lease,
  OpsCertificate,
  RecoveryRecord,
  RootRotation,
  type M3Body,
  type Signed,
} from "./records.js";

const OPS_LEASES = 1;
const OPS_REMOVES = 2;
const OPS_REPEATS = 4;

export async function accountIdOf(rootPk: Bytes): Promise<Bytes> {
  return (await sha256(ascii("pairlight/v1/account\0"), rootPk)).slice(0, 16);
}

export async function deviceIdOf(devicePk: Bytes): Promise<Bytes> {
  return (await sha256(ascii("pairlight/v1/device\0"), devicePk)).slice(0, 16);
}

export async function keyIdOf(publicKey: Bytes): Promise<Bytes> {
  return (await sha256(publicKey)).slice(0, 8);
}

export async function digestOf(signed: Signed): Promise<Bytes> {
  return sha256(signed.payload, signed.sig);
}

export async function isSignedBy(signed: Signed, publicKey: Bytes, label: string): Promise<boolean> {
  if (!equal(signed.kid, await keyIdOf(publicKey))) return false;
  return verify(publicKey, `pairlight/v1/${label}`, signed.payload, signed.sig);
}

type Ops = ReturnType<typeof OpsCertificate.decode>;

/** The ops key's certificate, if the root key signed it for the account. */
async function openOps(ops: Signed, rootPk: Bytes, account: Bytes): Promise<Ops> {
  must(await isSignedBy(ops, rootPk, "ops-cert"), "an ops certificate that the root key did not sign");
  const opened = OpsCertificate.decode(ops.payload);
  must(equal(opened.account, account), "an ops certificate of another account");
  return opened;
}

export interface VerifiedList {
  list: DeviceList;
  hash: Bytes;
}

function sorted(ids: Bytes[]): boolean {
  return ids.every((id, i) => i === 0 || compare(ids[i - 1]!, id) < 0);
}

async function openRecovery(signed: Signed, rootPk: Bytes, account: Bytes): Promise<Bytes> {
  must(await isSignedBy(signed, rootPk, "recovery"), "a recovery record that the root key did not sign");
  const record = RecoveryRecord.decode(signed.payload);
  must(equal(record.account, account), "a recovery record of another account");
  return record.recoveryPk;
}

async function openRotation(signed: Signed, account: Bytes): Promise<ReturnType<typeof RootRotation.decode>> {
  const rotation = RootRotation.decode(signed.payload);
  const { recovery, fromPk } = rotation;
  const signer = recovery === null ? fromPk : await openRecovery(recovery, fromPk, account);
  must(await isSignedBy(signed, signer, "root-rotate"), "a rotation that nobody of the account signed");
  must(equal(rotation.account, account), "a rotation of another account");
  return rotation;
}

/** 11.5: the rotations lead from the key that named the account to the present one. */
async function rootsLead(list: DeviceList): Promise<void> {
  let reached: Bytes | null = null;
  for (const signed of list.roots) {
    const rotation = await openRotation(signed, list.account);
    const follows: boolean =
      reached === null ? equal(await accountIdOf(rotation.fromPk), list.account) : equal(rotation.fromPk, reached);
    must(follows, "a rotation that does not follow");
    reached = rotation.toPk;
  }
  const arrives = reached === null ? equal(await accountIdOf(list.rootPk), list.account) : equal(reached, list.rootPk);
  must(arrives, "rotations that do not lead to the root key");
}

async function wellFormed(list: DeviceList): Promise<void> {
  await rootsLead(list);
  if (list.recovery !== null) await openRecovery(list.recovery, list.rootPk, list.account);
  must(list.epoch >= 1, "epochs begin at 1");
  must(list.epoch !== 1 || equal(list.prev, new Uint8Array(32)), "the first list follows nothing");
  const entries = list.entries.map((entry) => entry.device);
  const removed = list.tombstones.map((tombstone) => tombstone.device);
  must(sorted(entries) && sorted(removed), "devices are sorted and unique");
  must(!entries.some((id) => removed.some((other) => equal(id, other))), "a removed device is not listed");
  for (const entry of list.entries) {
    must(equal(entry.device, await deviceIdOf(entry.devicePk)), "a device is the hash of its key");
  }
}

async function accepted(entry: DeviceList["entries"][number]): Promise<void> {
  const label = "pairlight/v1/device-accept";
  must(await verify(entry.devicePk, label, entry.certDigest, entry.acceptSig), "a device that did not accept");
}

/** A list by itself. */
export async function verifyList(signed: Signed, ops: Signed | null): Promise<VerifiedList> {
  const list = DeviceList.decode(signed.payload);
  await wellFormed(list);
  if (!(await isSignedBy(signed, list.rootPk, "device-list"))) {
    must(ops !== null, "a list that the root key did not sign");
    const opened = await openOps(ops, list.rootPk, list.account);
    must(await isSignedBy(signed, opened.opsPk, "device-list"), "a list that nobody of the account signed");
  }
  for (const entry of list.entries) await accepted(entry);
  return { list, hash: await sha256(signed.payload) };
}

function same(a: unknown, b: unknown): boolean {
  const flat = (value: unknown) =>
    JSON.stringify(value, (_, item: unknown) =>
      item instanceof Uint8Array ? Buffer.from(item).toString("hex") : typeof item === "bigint" ? item.toString() : item,
    );
  return flat(a) === flat(b);
}

async function oneRotationMore(known: DeviceList, list: DeviceList): Promise<void> {
  const last = list.roots.at(-1);
  must(last !== undefined && same(list.roots.slice(0, -1), known.roots), "rotations that do not follow");
  const { fromPk, toPk, recovery } = await openRotation(last, list.account);
  must(equal(fromPk, known.rootPk) && equal(toPk, list.rootPk), "a rotation between other keys");
  must(recovery === null || same(recovery, known.recovery), "an older recovery key counts no more");
}

/** The list after a known one. */
export async function verifySuccessor(known: VerifiedList, signed: Signed, ops: Signed | null): Promise<VerifiedList> {
  const list = DeviceList.decode(signed.payload);
  await wellFormed(list);
  must(equal(list.account, known.list.account), "a list of another account");
  const sameKeys = equal(list.rootPk, known.list.rootPk) && same(list.roots, known.list.roots);
  if (!sameKeys) await oneRotationMore(known.list, list);
  must(list.epoch === known.list.epoch + 1, "not the next epoch");
  must(equal(list.prev, known.hash), "a fork");
  const isKnown = (entry: DeviceList["entries"][number]) => known.list.entries.some((other) => same(entry, other));
  if (!(await isSignedBy(signed, list.rootPk, "device-list"))) {
    must(ops !== null, "a list that the root key did not sign");
    const opened = await openOps(ops, list.rootPk, list.account);
    must(await isSignedBy(signed, opened.opsPk, "device-list"), "a list that nobody of the account signed");
    const right = list.entries.length < known.list.entries.length ? OPS_REMOVES : OPS_REPEATS;
    const keys = sameKeys && same(list.recovery, known.list.recovery);
    must(keys && list.entries.every(isKnown) && (opened.caps & right) !== 0, "more than the ops key may do");
  }
  for (const entry of list.entries.filter((entry) => !isKnown(entry))) await accepted(entry);
  return { list, hash: await sha256(signed.payload) };
}

/** What a linked device keeps of M3. */
export interface Account {
  rootPk: Bytes;
  id: Bytes;
  device: Bytes;
  primary: Bytes;
  /** Key of the device names, and of reports. */
  labelKey: Bytes;
  cert: Signed;
  ops: Signed;
  lease: Signed;
  list: VerifiedList;
}

/** 7.5 item 4: a lease of this device, by an ops key of the account. */
export async function checkLease(signed: Signed, ops: Signed, list: DeviceList, device: Bytes): Promise<Lease> {
  const opened = await openOps(ops, list.rootPk, list.account);
  must((opened.caps & OPS_LEASES) !== 0, "an ops key that may not sign leases");
  must(await isSignedBy(signed, opened.opsPk, "lease"), "a lease that the ops key did not sign");
  const lease = Lease.decode(signed.payload);
  must(equal(lease.account, list.account) && equal(lease.device, device), "a lease of another device");
  must(lease.notBefore < BigInt(opened.notAfter) && lease.notAfter > lease.notBefore, "a lease of no time");
  return lease;
}

/** 7.5, items 1 to 4 and 6. */
export async function verifyM3(m3: M3Body, devicePk: Bytes, th2: Bytes): Promise<Account> {
  const device = await deviceIdOf(devicePk);
  const list = await verifyList(m3.list, m3.ops);
  const id = list.list.account;
  must(await isSignedBy(m3.cert, m3.rootPk, "device-cert"), "a certificate that the root key did not sign");
  const cert = Certificate.decode(m3.cert.payload);
  must(equal(cert.devicePk, devicePk) && equal(cert.device, device), "a certificate of another device");
  must(cert.role === 2 && equal(cert.account, id), "a certificate of another role or account");
  must(equal(cert.linkTh, th2), "a certificate of another pairing");

  must(equal(list.list.rootPk, m3.rootPk), "a list of another account");
  must(equal(cert.prevList, list.hash) && cert.epoch === list.list.epoch + 1, "a certificate that does not follow");

  const lease = await checkLease(m3.lease, m3.ops, list.list, device);
  must(equal(lease.listHash, list.hash), "a lease under another list");

  const primary = list.list.entries.find((entry) => entry.role === 1);
  must(primary !== undefined, "an account without a primary device");
  const { rootPk, labelKey, cert: signed, ops, lease: first } = m3;
  return { rootPk, id, device, primary: primary.device, labelKey, cert: signed, ops, lease: first, list };
}

/** Whether a verified list holds this device with this certificate. */
export async function holds(list: VerifiedList, account: Account): Promise<boolean> {
  const entry = list.list.entries.find((entry) => equal(entry.device, account.device));
  return entry !== undefined && equal(entry.certDigest, await digestOf(account.cert));
}

