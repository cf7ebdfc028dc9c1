// Section 13.1: a new session between two devices of the list.

import { ascii, compare, concat, equal, must, random, type Bytes } from "./bytes.js";
import { digestOf, isSignedBy, keyIdOf, type Account } from "./account.js";
import { Channel, generateKemKey, type Psk } from "./channel.js";
import { RatchetAccount, type Session } from "./olm.js";
import { hkdf, openOnce, sealOnce, type SigningKey } from "./primitives.js";
import { ResetAnswer, ResetFinish, ResetKeys, ResetOffer, ResetStart, tagOf, type Signed } from "./records.js";
import { now } from "./time.js";

const PATIENCE_MS = 600_000;

/** What a record leads to: perhaps one to send, and perhaps the new session, which counts from then on. */
export interface Step {
  reply: Signed | null;
  session: Session | null;
}

const NOTHING: Step = { reply: null, session: null };

/** The resets between this device and its primary device. */
export class Resets {
  private asked: { secret: Bytes; offer: Bytes; at: number } | null = null;
  private answered: { ratchet: RatchetAccount; finishKey: Bytes; answer: Bytes; at: number } | null = null;

  constructor(
    private readonly device: SigningKey,
    private readonly account: Account,
  ) {}

  erase(): void {
    this.asked?.secret.fill(0);
    this.answered?.finishKey.fill(0);
    this.asked = this.answered = null;
  }

  /** The first record; `null` while an earlier one may still be answered. */
  async ask(): Promise<Signed | null> {
    if (this.asked !== null && now() - this.asked.at < PATIENCE_MS) return null;
    const { secret, publicKey } = await generateKemKey();
    const at = now();
    const signed = await this.sign(ResetOffer.encode({ ...this.between(), nonce: random(16), kemPk: publicKey, at }));
    this.asked = { secret, offer: await digestOf(signed), at };
    return signed;
  }

  /** A record from the primary device, whose key the list names. */
  async take(signed: Signed, primaryPk: Bytes): Promise<Step> {
    must(await isSignedBy(signed, primaryPk, "session-reset"), "a reset that the primary device did not sign");
    switch (tagOf(signed.payload)) {
      case 1:
        return this.onOffer(signed);
      case 2:
        return this.onAnswer(signed);
      default:
        return this.onFinish(signed);
    }
  }

  private async onOffer(signed: Signed): Promise<Step> {
    const { from, to, kemPk, at } = ResetOffer.decode(signed.payload);
    this.mustBeBetween(from, to);
    if (Math.abs(now() - at) > PATIENCE_MS) return NOTHING;
    if (this.asked !== null && compare(this.account.device, this.account.primary) < 0) return NOTHING;
    this.asked = null;
    const offer = await digestOf(signed);
    const { channel, enc } = await Channel.initiate(kemPk, await this.psk(), this.info(offer));
    const ratchet = await RatchetAccount.generate();
    const keys = ResetKeys.encode({ olmIk: ratchet.identity.publicKey, olmOtk: ratchet.oneTime.publicKey });
    const ct = await channel.seal(ascii("reset-answer"), keys);
    const reply = await this.sign(ResetAnswer.encode({ ...this.between(), offer, enc, ct }));
    const answer = await digestOf(reply);
    this.answered = { ratchet, finishKey: await this.finishKey(channel, answer), answer, at: now() };
    return { reply, session: null };
  }

  private async onAnswer(signed: Signed): Promise<Step> {
    const { from, to, offer, enc, ct } = ResetAnswer.decode(signed.payload);
    this.mustBeBetween(from, to);
    const asked = this.asked;
    if (asked === null || !equal(asked.offer, offer) || now() - asked.at > PATIENCE_MS) return NOTHING;
    this.asked = null;
    const channel = await Channel.accept(asked.secret, enc, await this.psk(), this.info(offer));
    const { olmIk, olmOtk } = ResetKeys.decode(await channel.open(ascii("reset-answer"), ct));
    const answer = await digestOf(signed);
    const own = await RatchetAccount.generate();
    const session = await own.start(olmIk, olmOtk);
    const { bytes } = await session.seal(answer);
    const start = ResetStart.encode({ olmIk: own.identity.publicKey, olmPrekey: bytes });
    const sealed = await sealOnce(await this.finishKey(channel, answer), ascii("reset-finish"), start);
    return { reply: await this.sign(ResetFinish.encode({ ...this.between(), answer, ct: sealed })), session };
  }

  private async onFinish(signed: Signed): Promise<Step> {
    const { from, to, answer, ct } = ResetFinish.decode(signed.payload);
    this.mustBeBetween(from, to);
    const answered = this.answered;
    if (answered === null || !equal(answered.answer, answer) || now() - answered.at > PATIENCE_MS) return NOTHING;
    this.answered = null;
    const start = ResetStart.decode(await openOnce(answered.finishKey, ascii("reset-finish"), ct));
    const { session, plaintext } = await answered.ratchet.join(start.olmIk, start.olmPrekey);
    must(equal(plaintext, answer), "a ratchet of another reset");
    return { reply: null, session };
  }

  private between(): { from: Bytes; to: Bytes } {
    return { from: this.account.device, to: this.account.primary };
  }

  private mustBeBetween(from: Bytes, to: Bytes): void {
    const holds = equal(from, this.account.primary) && equal(to, this.account.device);
    must(holds, "a reset between other devices");
  }

  private async psk(): Promise<Psk> {
    const key = await hkdf(this.account.id, this.account.labelKey, ascii("pairlight/v1/reset-psk"), 32);
    return { key, id: this.account.id };
  }

  private info(offer: Bytes): Bytes {
    return concat(ascii("pairlight/v1/reset\0"), offer);
  }

  private async finishKey(channel: Channel, answer: Bytes): Promise<Bytes> {
    return hkdf(answer, await channel.export("pairlight/v1/reset"), ascii("pairlight/v1/reset-finish"), 32);
  }

  private async sign(payload: Bytes): Promise<Signed> {
    const sig = await this.device.sign("pairlight/v1/session-reset", payload);
    return { kid: await keyIdOf(this.device.publicKey), payload, sig };
  }
}
