// Section 13: envelopes between two linked devices.

import { concat, equal, must, random, type Bytes } from "./bytes.js";
import type { Session } from "./olm.js";
import { openOnce, sealOnce, sha256 } from "./primitives.js";
import { Envelope, EnvelopeHeader } from "./records.js";

export class Conversation {
  private nextSeq = 0;
  private received = 0;

  constructor(
    private readonly own: Bytes,
    readonly peer: Bytes,
    private readonly ratchet: Session,
  ) {}

  /** What a check-in says of this session: one more than the highest number, each way. */
  get counts(): { id: string; received: number; sent: number } {
    return { id: this.ratchet.id, received: this.received, sent: this.nextSeq };
  }

  erase(): void {
    this.ratchet.erase();
  }

  /** For a test: see {@link Session.spoil}. */
  async spoil(): Promise<void> {
    await this.ratchet.spoil();
  }

  async seal(kind: number, body: Bytes): Promise<Bytes> {
    const header = { kind, from: this.own, to: this.peer, seq: this.nextSeq };
    const hdr = EnvelopeHeader.encode(header);
    const ck = random(32);
    const { type, bytes } = await this.ratchet.seal(concat(ck, await sha256(hdr)));
    this.nextSeq += 1;
    return Envelope.encode({ ...header, olmType: type, olmCt: bytes, bodyCt: await sealOnce(ck, hdr, body) });
  }

  async open(bytes: Bytes): Promise<{ kind: number; seq: number; body: Bytes }> {
    const { kind, from, to, seq, olmType, olmCt, bodyCt } = Envelope.decode(bytes);
    must(equal(from, this.peer) && equal(to, this.own), "an envelope between other devices");
    const hdr = EnvelopeHeader.encode({ kind, from, to, seq });
    const plaintext = await this.ratchet.open(olmType, olmCt);
    must(plaintext.length >= 64 && equal(plaintext.slice(32), await sha256(hdr)), "an envelope with another header");
    this.received = Math.max(this.received, seq + 1);
    return { kind, seq, body: await openOnce(plaintext.slice(0, 32), hdr, bodyCt) };
  }
}
