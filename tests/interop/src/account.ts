// Sections 7.5 and 11.2: what a linked device checks before it believes an account.

import { ascii, compare, equal, must, type Bytes } from "./bytes.js";
import { sha256, verify } from "./primitives.js";
import { Certificate, DeviceList, Lease, OpsCertificate, type M3Body, type Signed } from "./records.js";

const OPS_LEASES = 1;
const OPS_REMOVES = 2;
const OPS_REPEATS = 4;

export async function accountIdOf(rootPk: Bytes): Promise<Bytes> {
  return (await sha256(ascii("pairlight/v1/account\0"), rootPk)).slice(0, 16);
}

export async function deviceIdOf(devicePk: Bytes): Promise<Bytes> {
  return (await sha256(ascii("pairlight/v1/device\0"), devicePk)).slice(0, 16);
}

async function keyIdOf(publicKey: Bytes): Promise<Bytes> {
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

/** The ops key's certificate, if the root key signed it for its own account. */
async function openOps(ops: Signed, rootPk: Bytes): Promise<Ops> {
  must(await isSignedBy(ops, rootPk, "ops-cert"), "an ops certificate that the root key did not sign");
  const opened = OpsCertificate.decode(ops.payload);
  must(equal(opened.account, await accountIdOf(rootPk)), "an ops certificate of another account");
  return opened;
}

export interface VerifiedList {
  list: DeviceList;
  hash: Bytes;
}

function sorted(ids: Bytes[]): boolean {
  return ids.every((id, i) => i === 0 || compare(ids[i - 1]!, id) < 0);
}

async function wellFormed(list: DeviceList): Promise<void> {
  must(equal(list.account, await accountIdOf(list.rootPk)), "a list of another account than its root key's");
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
    const opened = await openOps(ops, list.rootPk);
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

/** The list after a known one. */
export async function verifySuccessor(known: VerifiedList, signed: Signed, ops: Signed | null): Promise<VerifiedList> {
  const list = DeviceList.decode(signed.payload);
  await wellFormed(list);
  must(equal(list.account, known.list.account) && equal(list.rootPk, known.list.rootPk), "a list of another account");
  must(list.epoch === known.list.epoch + 1, "not the next epoch");
  must(equal(list.prev, known.hash), "a fork");
  const isKnown = (entry: DeviceList["entries"][number]) => known.list.entries.some((other) => same(entry, other));
  if (!(await isSignedBy(signed, list.rootPk, "device-list"))) {
    must(ops !== null, "a list that the root key did not sign");
    const opened = await openOps(ops, list.rootPk);
    must(await isSignedBy(signed, opened.opsPk, "device-list"), "a list that nobody of the account signed");
    const right = list.entries.length < known.list.entries.length ? OPS_REMOVES : OPS_REPEATS;
    must(list.entries.every(isKnown) && (opened.caps & right) !== 0, "more than the ops key may do");
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
  cert: Signed;
  ops: Signed;
  lease: Signed;
  list: VerifiedList;
}

/** 7.5, items 1 to 4 and 6. */
export async function verifyM3(m3: M3Body, devicePk: Bytes, th2: Bytes): Promise<Account> {
  const device = await deviceIdOf(devicePk);
  const id = await accountIdOf(m3.rootPk);
  must(await isSignedBy(m3.cert, m3.rootPk, "device-cert"), "a certificate that the root key did not sign");
  const cert = Certificate.decode(m3.cert.payload);
  must(equal(cert.devicePk, devicePk) && equal(cert.device, device), "a certificate of another device");
  must(cert.role === 2 && equal(cert.account, id), "a certificate of another role or account");
  must(equal(cert.linkTh, th2), "a certificate of another pairing");

  const list = await verifyList(m3.list, m3.ops);
  must(equal(list.list.rootPk, m3.rootPk), "a list of another account");
  must(equal(cert.prevList, list.hash) && cert.epoch === list.list.epoch + 1, "a certificate that does not follow");

  const ops = await openOps(m3.ops, m3.rootPk);
  must((ops.caps & OPS_LEASES) !== 0, "an ops key that may not sign leases");
  must(await isSignedBy(m3.lease, ops.opsPk, "lease"), "a lease that the ops key did not sign");
  const lease = Lease.decode(m3.lease.payload);
  must(equal(lease.account, id) && equal(lease.device, device), "a lease of another device");
  must(equal(lease.listHash, list.hash), "a lease under another list");
  must(lease.notBefore < BigInt(ops.notAfter) && lease.notAfter > lease.notBefore, "a lease of no time");

  const primary = list.list.entries.find((entry) => entry.role === 1);
  must(primary !== undefined, "an account without a primary device");
  return { rootPk: m3.rootPk, id, device, primary: primary.device, cert: m3.cert, ops: m3.ops, lease: m3.lease, list };
}

/** Whether a verified list holds this device with this certificate. */
export async function holds(list: VerifiedList, account: Account): Promise<boolean> {
  const entry = list.list.entries.find((entry) => equal(entry.device, account.device));
  return entry !== undefined && equal(entry.certDigest, await digestOf(account.cert));
}

