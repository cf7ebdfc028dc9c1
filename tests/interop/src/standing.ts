// Section 12: check-ins, and the leases that answer them.

import { ascii, concat, equal, must, random, type Bytes } from "./bytes.js";
import { checkLease, digestOf, keyIdOf, verifySuccessor, type Account } from "./account.js";
import { gcmSeal, hkdf, sha256, type SigningKey } from "./primitives.js";
import { CheckIn, Envelope, EnvelopeHeader, Lease, LeaseGrant, Report, type Signed } from "./records.js";
import { now } from "./time.js";

const CHECK_IN = 2;

/** What a check-in says of the session that goes on. */
export interface SessionCounts {
  /** Olm's id of the session, as text. */
  id: string;
  received: number;
  sent: number;
}

/** What became of a grant. */
export interface Leased {
  account: Account;
  lease: Lease;
  standing: number;
  because: number | null;
}

/** The check-ins of this device, one after the other. */
export class Reporter {
  private ctr = 0;
  private prev: Bytes = new Uint8Array(32);

  /** 12.1: the envelope of the next check-in. It is stored before it leaves; this program stores nothing and has one life. */
  async report(device: SigningKey, account: Account, counts: SessionCounts): Promise<Bytes> {
    const platform = (await sha256(ascii("pairlight/v1/platform\0"), ascii("interop"), new Uint8Array(1), ascii("node"))).slice(0, 8);
    const payload = CheckIn.encode({
      device: account.device,
      ctr: this.ctr + 1,
      prev: this.prev,
      epoch: account.list.list.epoch,
      listHash: account.list.hash,
      rxHw: counts.received,
      txHw: counts.sent,
      platform,
      time: now(),
      nonce: random(16),
    });
    const signed: Signed = {
      kid: await keyIdOf(device.publicKey),
      payload,
      sig: await device.sign("pairlight/v1/checkin", payload),
    };
    this.ctr += 1;
    this.prev = await digestOf(signed);
    const session = (await sha256(ascii(counts.id))).slice(0, 8);
    const report = Report.encode({ session, checkIn: signed });

    const header = { kind: CHECK_IN, from: account.device, to: account.primary, seq: 0 };
    const hdr = EnvelopeHeader.encode(header);
    const key = await hkdf(account.id, account.labelKey, ascii("pairlight/v1/report"), 32);
    const nonce = random(12);
    const bodyCt = concat(nonce, await gcmSeal(key, nonce, hdr, report));
    return Envelope.encode({ ...header, olmType: 0, olmCt: new Uint8Array(0), bodyCt });
  }

  /** 12.2: what a device checks before it takes a lease. */
  async take(account: Account, body: Bytes): Promise<Leased> {
    const grant = LeaseGrant.decode(body);
    let list = account.list;
    for (const next of grant.lists) list = await verifySuccessor(list, next, grant.ops);
    const lease = await checkLease(grant.lease, grant.ops, list.list, account.device);
    const known = Lease.decode(account.lease.payload).ctr;
    const between = lease.ctr >= known && lease.ctr <= BigInt(this.ctr);
    must(equal(lease.checkin, this.prev) || between, "a lease that answers no check-in of this device");
    must(lease.epoch !== list.list.epoch || equal(lease.listHash, list.hash), "a fork");
    const taken = { ...account, list, lease: grant.lease, ops: grant.ops };
    return { account: taken, lease, standing: grant.standing, because: grant.because };
  }
}
