// Sections 7.1 to 7.7: the messages of a linked device, one step after the other, without sockets or clocks.

import { ascii, concat, equal, hex, must, random, unhex, type Bytes } from "./bytes.js";
import * as channel from "./channel.js";
import * as code from "./code.js";
import { digestOf, holds, verifyM3, verifySuccessor, type Account } from "./account.js";
import { RatchetAccount, type Session } from "./olm.js";
import { openOnce, sealOnce, SigningKey } from "./primitives.js";
import { M1, M1Body, M2, M2Body, M2b, M2bBody, M3, M3Body, M4, M4Body, M5, M5Body, Need, NeedBody, Offer } from "./records.js";

const { transcript } = channel;

const RELINK = 1;
const KNOWN_DEVICE = 6;

/** Everything that was drawn at random, so that a vector can repeat a pairing. */
export interface Drawn {
  deviceSeed: Bytes;
  kemSecret: Bytes;
  qrSecret: Bytes;
  nonceO: Bytes;
  respNonce: Bytes;
  nonceS: Bytes;
}

/** A code that can be shown. */
export class Displayed {
  private constructor(
    readonly drawn: Drawn,
    readonly device: SigningKey,
    readonly keys: channel.CodeKeys,
    readonly offer: Bytes,
    readonly offerCt: Bytes,
    readonly qr: Bytes,
  ) {}

  /** `deviceSeed`: the key of a device that was linked before and comes back as itself. */
  static async make(name: string, deviceSeed: Bytes | null): Promise<Displayed> {
    const kem = await channel.generateKemKey();
    const drawn = {
      deviceSeed: deviceSeed ?? random(32),
      kemSecret: kem.secret,
      qrSecret: random(32),
      nonceO: random(32),
      respNonce: random(32),
      nonceS: random(32),
    };
    const device = await SigningKey.fromSeed(drawn.deviceSeed);
    const offer = Offer.encode({
      kemPk: kem.publicKey,
      devicePk: device.publicKey,
      nonceO: drawn.nonceO,
      clientKind: 1,
      name,
      os: process.platform,
      app: "pairlight-interop",
      caps: 0,
    });
    return Displayed.of(drawn, offer);
  }

  /** With an offer that is known already. */
  static async of(drawn: Drawn, offer: Bytes): Promise<Displayed> {
    const device = await SigningKey.fromSeed(drawn.deviceSeed);
    const keys = await channel.codeKeys(drawn.qrSecret);
    const offerCt = await sealOnce(keys.offer, keys.slot, offer);
    const qr = code.payload(0, drawn.qrSecret, await channel.commitOf(offer));
    return new Displayed(drawn, device, keys, offer, offerCt, qr);
  }

  get text(): string {
    return code.text(this.qr);
  }

  /** M1 in, M2 out. `context` is the payload of the relay's statement. */
  async receiveM1(context: Bytes, m1: Bytes): Promise<{ keyed: Keyed; m2: Bytes }> {
    const { enc, ct } = M1.decode(m1);
    const th0 = await transcript.th0(this.qr, this.offer, context);
    const fromPrimary = await channel.FromPrimary.accept(this.drawn.kemSecret, enc, this.keys, th0);
    const body = M1Body.decode(await fromPrimary.open(ascii("m1"), ct));
    const secret = await fromPrimary.export("pairlight/v1/response");
    const toPrimary = await channel.ToPrimary.derive(secret, enc, this.drawn.respNonce);
    const th1 = await transcript.th1(th0, m1);
    const plaintext = M2Body.encode({ nonceP: body.nonceP, nonceS: this.drawn.nonceS, caps: 0 });
    const m2 = M2.encode({
      respNonce: this.drawn.respNonce,
      ct: await toPrimary.seal(concat(ascii("m2"), th1), plaintext),
    });
    const th2 = await transcript.th2(th0, m1, m2);
    const checkCode = await channel.checkCode(th2, await fromPrimary.export("pairlight/v1/sas"));
    // 10.4: whom P knows, with a lease that has lapsed, says so with its key.
    const proofs = body.purpose === RELINK ? [{ bit: KNOWN_DEVICE, proof: await this.device.sign("pairlight/v1/known-device", th2) }] : [];
    return { keyed: new Keyed(this.device, fromPrimary, toPrimary, th2, checkCode, proofs), m2 };
  }
}

/** The check code is known; the person types it. */
export class Keyed {
  constructor(
    private readonly device: SigningKey,
    private readonly fromPrimary: channel.FromPrimary,
    private readonly toPrimary: channel.ToPrimary,
    readonly th2: Bytes,
    readonly checkCode: string,
    private readonly proofs: { bit: number; proof: Bytes }[],
  ) {}

  /** `null` for anything but six digits: no try. */
  matches(typed: string): boolean | null {
    const digits = typed.replace(/[ -]/g, "");
    return /^[0-9]{6}$/.test(digits) ? equal(ascii(digits), ascii(this.checkCode)) : null;
  }

  async refuse(): Promise<Bytes> {
    const zero = new Uint8Array(32);
    return this.m2b(M2bBody.encode({ checkCodeOk: false, evidence: [], olmIk: zero, olmOtk: zero }));
  }

  async confirm(): Promise<{ confirmed: Confirmed; m2b: Bytes }> {
    const ratchet = await RatchetAccount.generate();
    const m2b = await this.m2b(
      M2bBody.encode({
        checkCodeOk: true,
        evidence: this.proofs,
        olmIk: ratchet.identity.publicKey,
        olmOtk: ratchet.oneTime.publicKey,
      }),
    );
    return { confirmed: new Confirmed(this.device, this.fromPrimary, this.toPrimary, this.th2, m2b, ratchet), m2b };
  }

  private async m2b(body: Bytes): Promise<Bytes> {
    return M2b.encode({ ct: await this.toPrimary.seal(concat(ascii("m2b"), this.th2), body) });
  }
}

/** Opens M3 without believing it. */
export async function openM3(fromPrimary: channel.FromPrimary, th2: Bytes, m3: Bytes): Promise<M3Body> {
  const key = await channel.keyOfM3(th2, await fromPrimary.export("pairlight/v1/m3"));
  return M3Body.decode(await openOnce(key, concat(ascii("m3"), th2), M3.decode(m3).ct));
}

/** The certificate is on its way. */
export class Confirmed {
  constructor(
    private readonly device: SigningKey,
    private readonly fromPrimary: channel.FromPrimary,
    private readonly toPrimary: channel.ToPrimary,
    private readonly th2: Bytes,
    private readonly m2b: Bytes,
    private readonly ratchet: RatchetAccount,
    private readonly said: Bytes | null = null,
  ) {}

  /** Need in, the second M2b out. This program has no evidence to give, and says so. */
  async receiveNeed(need: Bytes): Promise<{ confirmed: Confirmed; m2b: Bytes }> {
    must(this.said === null, "a second Need");
    NeedBody.decode(await this.fromPrimary.open(concat(ascii("need"), this.th2), Need.decode(need).ct));
    const zero = new Uint8Array(32);
    const body = M2bBody.encode({ checkCodeOk: true, evidence: [], olmIk: zero, olmOtk: zero });
    const m2b = M2b.encode({ ct: await this.toPrimary.seal(concat(ascii("m2b"), this.th2), body) });
    const said = await transcript.saidAfterNeed(this.m2b, need, m2b);
    const { device, fromPrimary, toPrimary, th2, ratchet } = this;
    return { confirmed: new Confirmed(device, fromPrimary, toPrimary, th2, this.m2b, ratchet, said), m2b };
  }

  /** M3 in, M4 out, after all checks of 7.5. */
  async receiveM3(m3: Bytes): Promise<{ certified: Certified; m4: Bytes }> {
    const body = await openM3(this.fromPrimary, this.th2, m3);
    const account = await verifyM3(body, this.device.publicKey, this.th2);
    const { session, plaintext } = await this.ratchet.join(body.olmIk, body.olmPrekey);
    must(equal(plaintext, this.th2), "a ratchet of another pairing");
    const said = this.said ?? (await transcript.said(this.m2b));
    const th3 = await transcript.th3(this.th2, said, m3);
    const acceptSig = await this.device.sign("pairlight/v1/device-accept", await digestOf(account.cert));
    const m4 = M4Body.encode({ acceptSig, olmMsg: (await session.seal(this.th2)).bytes });
    const sealed = M4.encode({ ct: await this.toPrimary.seal(concat(ascii("m4"), th3), m4) });
    return { certified: new Certified(this.fromPrimary, th3, account, session), m4: sealed };
  }
}

/** Signed for: only a list of the account decides now. */
export class Certified {
  constructor(
    private readonly fromPrimary: channel.FromPrimary,
    private readonly th3: Bytes,
    readonly account: Account,
    readonly session: Session,
  ) {}

  async receiveM5(m5: Bytes): Promise<Account> {
    const body = M5Body.decode(await this.fromPrimary.open(concat(ascii("m5"), this.th3), M5.decode(m5).ct));
    const list = await verifySuccessor(this.account.list, body.list, this.account.ops);
    must(await holds(list, this.account), "a published list without this device");
    return { ...this.account, list };
  }
}

export function drawnToJson(drawn: Drawn): Record<string, string> {
  return Object.fromEntries(Object.entries(drawn).map(([name, bytes]) => [name, hex(bytes as Bytes)]));
}

export function drawnFromJson(json: Record<string, string>): Drawn {
  const names = ["deviceSeed", "kemSecret", "qrSecret", "nonceO", "respNonce", "nonceS"] as const;
  return Object.fromEntries(names.map((name) => [name, unhex(json[name] ?? "")])) as unknown as Drawn;
}
