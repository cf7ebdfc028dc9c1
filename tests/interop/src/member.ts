// A device of the account: its stream, the lists that it follows, its lease, and how it ends. Lines that it reads:
//
//   {"send":"text"}  {"report":true}  {"report":true,"received":9}    a message; a check-in, true or not
//   {"pass":MS}                                                       its clock goes on
//   {"spoil":true}                                                    breaks its session
//   {"keys":true}                                                     says where it still holds a secret
//   {"list":HEX,"ops":HEX}                                            says whether this list would follow the one it knows
//   {"link":true}                                                     links again, under the key that it has
//   {"quit":true}
//
// It makes check-ins when it is told to, so that a test can count them.

import { equal, hex, must, unhex, type Bytes } from "./bytes.js";
import { holds, verifySuccessor, type Account, type VerifiedList } from "./account.js";
import { input, say, type, type Line } from "./lines.js";
import { link, type Linked } from "./link.js";
import type { SigningKey } from "./primitives.js";
import { Socket, type Relay } from "./relay.js";
import * as records from "./records.js";
import { Resets } from "./reset.js";
import { Conversation } from "./session.js";
import { Reporter } from "./standing.js";
import { now, pass } from "./time.js";

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;
const SEND = 2n;

/** 5.4 */
const REMOVED = [
  "revoked by the person",
  "logged out by itself",
  "its check-ins show a copy",
  "its link was never completed",
  "all devices were removed",
  "its check-ins do not add up",
  "it was lost, and the account was recovered on another device",
  "it did not report for too long",
];
const LAPSED = 7;
const NOTICES = ["linked", "linked again", "removed", "discrepancy", "root key changed", "recovery key changed"];

/** What is secret. A lock leaves the key of the device, under which it can link again. */
interface Secrets {
  seed: Bytes | null;
  device: SigningKey | null;
  labelKey: Bytes | null;
  conversation: Conversation | null;
  resets: Resets | null;
}

export class Member {
  private account: Account;
  private secrets: Secrets;
  private reporter = new Reporter();
  private stream: Socket | null = null;
  private state: "linked" | "locked" | "removed" = "linked";
  private leased = now();
  private warned = 0;
  private reference = crypto.getRandomValues(new Uint32Array(1))[0]!;
  private unreadable = { count: 0, since: 0 };
  /** Whether something was opened since a session took the place of another (13.1). */
  private heard = true;
  /** One thing after the other: a ratchet moves with each. */
  private turn: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly relay: Relay,
    linked: Linked,
  ) {
    this.account = linked.account;
    this.secrets = secretsOf(linked);
  }

  /** Until it is told to quit. */
  async live(): Promise<void> {
    await this.exclusive(() => this.connect());
    const clock = setInterval(() => void this.exclusive(() => this.look()), 1_000);
    for (;;) {
      const line = await input();
      if (line.quit === true) break;
      await this.exclusive(() => this.hear(line));
    }
    clearInterval(clock);
    this.disconnect();
  }

  private exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.turn.then(work);
    this.turn = done.catch(() => undefined);
    return done;
  }

  private get deviceKey(): SigningKey {
    must(this.secrets.device !== null, "the key of the device is erased");
    return this.secrets.device;
  }

  private async connect(): Promise<void> {
    if (!(await this.follow())) return;
    const stream = await this.relay.stream(this.account, this.deviceKey);
    this.stream = stream;
    void this.listen(stream);
  }

  private disconnect(): void {
    const stream = this.stream;
    this.stream = null;
    stream?.close();
  }

  private async listen(stream: Socket): Promise<void> {
    try {
      while (stream === this.stream) {
        const frame = await stream.next(600_000);
        await this.exclusive(async () => {
          if (stream === this.stream) await this.take(frame);
        });
      }
    } catch (error) {
      if (stream !== this.stream) return;
      say({ event: "failed", reason: "Error", why: String(error) });
      process.exitCode = 1;
      type({ quit: true });
    }
  }

  // ---- what the relay says

  private async take(frame: Bytes): Promise<void> {
    switch (records.tagOf(frame)) {
      case 2: {
        const { epoch } = records.Welcome.decode(frame);
        say({ event: "welcome", epoch });
        if (epoch > this.account.list.list.epoch) await this.follow();
        break;
      }
      case 3:
        say({ event: "accepted", reference: Number(records.Accepted.decode(frame).reference) });
        break;
      case 4: {
        const { number, envelope } = records.Deliver.decode(frame);
        await this.open(records.Envelope.decode(envelope), envelope);
        if (number !== 0) this.stream?.send(records.AckEnvelopes.encode({ upTo: number }));
        break;
      }
      case 5:
        await this.follow();
        break;
      case 7: {
        const { code, words, reference } = records.Refused.decode(frame);
        say({ event: "refused", code, words, reference: reference === null ? null : Number(reference) });
        // D12: only a signed list ends this device. What closes the socket is found out when it is closed.
        if (code === 1) await this.follow();
        break;
      }
      default:
        say({ event: "news", tag: records.tagOf(frame) });
    }
    await this.look();
  }

  private async open({ kind, bodyCt }: ReturnType<typeof records.Envelope.decode>, envelope: Bytes): Promise<void> {
    if (kind === 5) return this.reset(bodyCt);
    let opened: { kind: number; body: Bytes };
    try {
      must(this.secrets.conversation !== null, "no session");
      opened = await this.secrets.conversation.open(envelope);
    } catch (error) {
      return this.couldNotOpen(String(error));
    }
    this.unreadable = { count: 0, since: 0 };
    this.heard = true;
    const { body } = opened;
    switch (kind) {
      case 0:
        say({ event: "message", body: new TextDecoder().decode(body) });
        break;
      case 3:
        await this.lease(body);
        break;
      case 6: {
        const { kind, device, removal, discrepancy, at } = records.Notice.decode(body);
        say({ event: "notice", what: NOTICES[kind], device: hex(device), removal, discrepancy, at: Number(at) });
        break;
      }
      default:
        say({ event: "unspoken", kind });
    }
  }

  /** D8. What was sealed in a session before does not open; only the hour counts then. */
  private async couldNotOpen(why: string): Promise<void> {
    const { count, since } = this.unreadable;
    this.unreadable = { count: count + 1, since: count === 0 ? now() : since };
    say({ event: "unreadable", count: count + 1, why });
    if ((this.heard && count + 1 > 5) || now() - this.unreadable.since >= HOUR_MS) await this.askForSession();
  }

  private async askForSession(): Promise<void> {
    const offer = await this.secrets.resets?.ask();
    if (offer) this.postReset(offer);
  }

  private async reset(bodyCt: Bytes): Promise<void> {
    const primary = this.account.list.list.entries.find((entry) => equal(entry.device, this.account.primary));
    try {
      must(primary !== undefined && this.secrets.resets !== null, "a reset with nobody");
      const { reply, session } = await this.secrets.resets.take(records.Signed.decode(bodyCt), primary.devicePk);
      if (reply !== null) this.postReset(reply);
      if (session === null) return;
      this.secrets.conversation?.erase();
      this.secrets.conversation = new Conversation(this.account.device, this.account.primary, session);
      this.unreadable = { count: 0, since: 0 };
      this.heard = false;
      say({ event: "session_reset", asked: reply !== null });
    } catch (error) {
      say({ event: "reset_refused", why: String(error) });
    }
  }

  private postReset(signed: records.Signed): void {
    const { device: from, primary: to } = this.account;
    const bodyCt = records.Signed.encode(signed);
    const olmCt = new Uint8Array(0);
    this.post(records.Envelope.encode({ kind: 5, from, to, seq: 0, olmType: 0, olmCt, bodyCt }));
  }

  private post(envelope: Bytes): void {
    const { primary: to } = this.account;
    this.stream?.send(records.PostEnvelope.encode({ to, reference: this.reference++, envelope }));
  }

  private async lease(body: Bytes): Promise<void> {
    try {
      const { account, lease, standing, because } = await this.reporter.take(this.account, body);
      this.account = account;
      this.leased = now();
      this.stream?.send(records.RenewLease.encode({ lease: account.lease }));
      const [ctr, scope] = [Number(lease.ctr), Number(lease.scope)];
      const { epoch } = account.list.list;
      say({ event: "leased", ctr, scope, until: lease.notAfter, epoch, standing, because });
    } catch (error) {
      say({ event: "lease_refused", why: String(error) });
    }
  }

  /** The next list: signed with the newest ops key, or, before that was renewed, with the one that is known. */
  private async successor(known: VerifiedList, next: records.Signed, newest: records.Signed | null): Promise<VerifiedList> {
    const list = await verifySuccessor(known, next, newest).catch(() => verifySuccessor(known, next, this.account.ops));
    const own = list.list.entries.some((entry) => equal(entry.device, this.account.device));
    must(!own || (await holds(list, this.account)), "an entry of this device that it did not accept");
    return list;
  }

  /** 11.2: walks the lists that are not known yet. `false` when one of them, signed, says that this device is removed. */
  private async follow(): Promise<boolean> {
    const chain = await this.relay.lists(this.account, this.deviceKey);
    let { list } = this.account;
    const known = list.list.epoch;
    try {
      for (const next of chain?.lists ?? []) list = await this.successor(list, next, chain?.ops ?? null);
    } catch (error) {
      say({ event: "list_refused", why: String(error) });
      return true;
    }
    if (list.list.epoch === known) return true;
    const { rootPk, entries, tombstones, epoch } = list.list;
    const primary = entries.find((entry) => entry.role === 1)?.device ?? this.account.primary;
    const moved = !equal(primary, this.account.primary);
    this.account = { ...this.account, list, rootPk, primary, ops: chain?.ops ?? this.account.ops };
    say({ event: "list", epoch, devices: entries.map((entry) => hex(entry.device)) });
    const tombstone = tombstones.find((tombstone) => equal(tombstone.device, this.account.device));
    if (tombstone !== undefined) {
      this.remove(tombstone.reason);
      return false;
    }
    if (moved && this.state === "linked") {
      // 11.6: the phone is another one.
      this.secrets.conversation?.erase();
      this.secrets.conversation = null;
      this.secrets.resets = new Resets(this.deviceKey, this.account);
      await this.askForSession();
    }
    return true;
  }

  private async judge(next: records.Signed, ops: records.Signed): Promise<void> {
    try {
      await this.successor(this.account.list, next, ops);
      say({ event: "judged", follows: true });
    } catch (error) {
      say({ event: "judged", follows: false, why: String(error) });
    }
  }

  // ---- how it ends

  /** 12.3 */
  private async look(): Promise<void> {
    const silent = now() - this.leased;
    const lease = records.Lease.decode(this.account.lease.payload);
    const cert = records.Certificate.decode(this.account.cert.payload);
    const ends = Math.min(lease.notAfter, Number(cert.notAfter));
    if (this.state === "removed") return;
    if (silent >= 90 * DAY_MS) {
      this.remove(LAPSED);
    } else if (this.state === "linked" && now() >= ends + DAY_MS) {
      this.state = "locked";
      this.disconnect();
      this.erase();
      say({ event: "locked" });
    } else if (this.state === "linked" && silent >= 10 * DAY_MS && now() - this.warned >= DAY_MS) {
      this.warned = now();
      say({ event: "silent", days: Math.floor(silent / DAY_MS) });
    }
  }

  private remove(reason: number): void {
    this.state = "removed";
    this.disconnect();
    this.erase();
    this.secrets.seed?.fill(0);
    this.secrets = { seed: null, device: null, labelKey: null, conversation: null, resets: null };
    say({ event: "removed", reason, words: REMOVED[reason] });
  }

  /** All but the key of the device. */
  private erase(): void {
    const { labelKey, conversation, resets } = this.secrets;
    labelKey?.fill(0);
    conversation?.erase();
    resets?.erase();
    this.secrets = { ...this.secrets, labelKey: null, conversation: null, resets: null };
  }

  // ---- what it is told

  private async hear(line: Line): Promise<void> {
    if (typeof line.pass === "number") {
      pass(line.pass);
      await this.look();
    } else if (line.keys === true) {
      say({ event: "keys", held: held(this) });
    } else if (typeof line.list === "string" && typeof line.ops === "string") {
      await this.judge(records.Signed.decode(unhex(line.list)), records.Signed.decode(unhex(line.ops)));
    } else if (line.link === true && this.secrets.seed !== null) {
      await this.linkAgain(this.secrets.seed);
    } else if (this.state !== "linked" || this.secrets.conversation === null) {
      say({ event: "not_done", why: this.state === "linked" ? "no session" : this.state });
    } else {
      await this.speak(line, this.secrets.conversation);
    }
  }

  private async speak(line: Line, conversation: Conversation): Promise<void> {
    if (line.spoil === true) return conversation.spoil();
    if (line.report === true) {
      const { received } = line;
      const counts = typeof received === "number" ? { ...conversation.counts, received } : conversation.counts;
      return this.post(await this.reporter.report(this.deviceKey, this.account, counts));
    }
    // 12.3: not without the right, by its own lease.
    const { scope } = records.Lease.decode(this.account.lease.payload);
    if ((BigInt(scope) & SEND) === 0n) return say({ event: "not_done", why: "may not send" });
    this.post(await conversation.seal(0, new TextEncoder().encode(String(line.send))));
  }

  private async linkAgain(seed: Bytes): Promise<void> {
    this.disconnect();
    const linked = await link(this.relay, seed, undefined);
    if (linked === null) return;
    this.erase();
    this.account = linked.account;
    this.secrets = secretsOf(linked);
    this.reporter = new Reporter();
    this.unreadable = { count: 0, since: 0 };
    this.heard = false;
    this.leased = now();
    this.state = "linked";
    await this.connect();
  }
}

/** Where, from `root` on, a private key is reached, or a secret that is not all zero. */
function held(root: object): string[] {
  const found: string[] = [];
  const seen = new Set<object>();
  const visit = (value: unknown, path: string): void => {
    if (value === null || typeof value !== "object" || seen.has(value)) return;
    seen.add(value);
    if (value instanceof CryptoKey) {
      if (value.type !== "public") found.push(path);
    } else if (value instanceof Uint8Array) {
      if (SECRET.test(path) && value.some((byte) => byte !== 0)) found.push(path);
    } else if (value instanceof Map) {
      for (const [name, item] of value) visit(item, `${path}.${String(name)}.key`);
    } else if (!(value instanceof Socket)) {
      for (const [name, item] of Object.entries(value)) visit(item, path === "" ? name : `${path}.${name}`);
    }
  };
  visit(root, "");
  return found.sort();
}

const SECRET = /\.(seed|labelKey|root|key|secret|finishKey)$/;

function secretsOf({ account, seed, device, session }: Linked): Secrets {
  const conversation = new Conversation(account.device, account.primary, session);
  return { seed, device, labelKey: account.labelKey, conversation, resets: new Resets(device, account) };
}
