// The program: a linked device for one link, spoken with over lines of JSON.
//
//   link RELAY [DUMP]      links; prints {"event":..} lines, reads lines {"type":"123 456"}, {"send":"text"},
//                          {"report":true}, {"report":true,"received":9}, {"quit":true}
//   check FILE             repeats the pairing of a vector and says whether every byte is the same

import { createInterface } from "node:readline";
import { readFileSync, writeFileSync } from "node:fs";

import { equal, hex, must, type Bytes } from "./bytes.js";
import { holds, verifySuccessor, type Account } from "./account.js";
import { check } from "./vector.js";
import { Displayed, drawnToJson, type Certified } from "./pairing.js";
import { Relay, type Socket } from "./relay.js";
import * as records from "./records.js";
import { Conversation } from "./session.js";
import { Reporter, type SessionCounts } from "./standing.js";

function say(event: Record<string, unknown>): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

const typed: Record<string, unknown>[] = [];
let woken: (() => void) | null = null;

function listen(): void {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => {
    typed.push(JSON.parse(line) as Record<string, unknown>);
    woken?.();
  });
  lines.on("close", () => {
    typed.push({ quit: true });
    woken?.();
  });
}

async function input(): Promise<Record<string, unknown>> {
  for (;;) {
    const line = typed.shift();
    if (line !== undefined) return line;
    await new Promise<void>((resolve) => (woken = resolve));
  }
}

async function link(url: string, dump: string | undefined): Promise<void> {
  listen();
  const relay = await Relay.discover(url);
  const socket = await relay.link();
  const displayed = await Displayed.make("Interop laptop");
  const { slot } = displayed.keys;
  let seq = 0;
  const send = (body: Bytes) => socket.send(records.SlotSend.encode({ slot, seq: seq++, body }));
  const end = (reason: number) => socket.send(records.CancelSlot.encode({ slot, reason }));

  socket.send(records.OpenSlot.encode({ slot, offerCt: displayed.offerCt }));
  const opened = records.SlotOpened.decode(await expect(socket, 1, 30_000));
  const context = opened.context.payload;
  say({ event: "code", text: displayed.text });
  records.SlotClaimed.decode(await expect(socket, 2, 60_000));
  say({ event: "claimed" });

  let nextIn = 0;
  const message = async (ms: number): Promise<Bytes> => {
    for (;;) {
      const msg = records.SlotMsg.decode(await expect(socket, 3, ms));
      if (!equal(msg.slot, slot) || msg.seq < nextIn) continue;
      must(msg.seq === nextIn, "the relay dropped a message");
      nextIn += 1;
      return msg.body;
    }
  };

  const said: Record<string, Bytes> = {};
  let certified: Certified;
  try {
    said.m1 = await message(180_000);
    const { keyed, m2 } = await displayed.receiveM1(context, said.m1);
    said.m2 = m2;
    send(m2);
    say({ event: "enter_check_code" });
    for (let tries = 3; ; ) {
      const right = keyed.matches(String((await input()).type));
      if (right === true) break;
      if (right === false && --tries === 0) {
        send(await keyed.refuse());
        end(4);
        return say({ event: "failed", reason: "WrongCheckCode" });
      }
      say({ event: "wrong_check_code", triesLeft: tries });
    }
    let { confirmed, m2b } = await keyed.confirm();
    said.m2b = m2b;
    send(m2b);
    let next = await message(180_000);
    if (records.tagOf(next) === 7) {
      say({ event: "asked_for_evidence" });
      ({ confirmed, m2b } = await confirmed.receiveNeed(next));
      send(m2b);
      next = await message(180_000);
    }
    said.m3 = next;
    const step = await confirmed.receiveM3(said.m3);
    said.m4 = step.m4;
    send(step.m4);
    certified = step.certified;
    if (dump !== undefined) {
      said.m5 = await message(20_000);
      const vector = {
        made_by: "tests/interop",
        ...drawnToJson(displayed.drawn),
        offer: hex(displayed.offer),
        offer_ct: hex(displayed.offerCt),
        qr: displayed.text,
        context: hex(context),
        check_code: keyed.checkCode,
        th2: hex(keyed.th2),
        messages: Object.fromEntries(Object.entries(said).map(([name, bytes]) => [name, hex(bytes)])),
      };
      writeFileSync(dump, `${JSON.stringify(vector, null, 1)}\n`);
    }
  } catch (error) {
    end(3);
    say({ event: "failed", reason: "Tampered", why: String(error) });
    return;
  }

  // From here on only a list of the account decides.
  let { account } = certified;
  try {
    account = await certified.receiveM5(said.m5 ?? (await message(20_000)));
  } catch {
    for (let tries = 0; !(await holds(account.list, account)); tries++) {
      must(tries < 120, "the list never came");
      if (tries > 0) await new Promise((resolve) => setTimeout(resolve, 5_000));
      const chain = await relay.lists(account, displayed.device);
      for (const list of chain?.lists ?? []) {
        const ops = chain?.ops ?? account.ops;
        account = { ...account, list: await verifySuccessor(account.list, list, ops) };
      }
    }
  }
  socket.close();
  say({ event: "linked", device: hex(account.device), account: hex(account.id), epoch: account.list.list.epoch });

  const chain = await relay.lists(account, displayed.device);
  must(chain !== null && chain.lists.length === 0, "the relay's list is not the newest");
  const stream = await relay.stream(account, displayed.device);
  const conversation = new Conversation(account.device, account.primary, certified.session);
  const tenant = { account, reporter: new Reporter(displayed.device) };
  await Promise.race([converse(stream, conversation, tenant), speak(stream, conversation, tenant)]);
  stream.close();
}

/** This device's place in the account, which a lease renews. */
interface Tenant {
  account: Account;
  reporter: Reporter;
}

/** Reads the stream: welcome, mail, acknowledgements. */
async function converse(stream: Socket, conversation: Conversation, tenant: Tenant): Promise<void> {
  for (;;) {
    const frame = await stream.next(600_000);
    switch (records.tagOf(frame)) {
      case 2:
        say({ event: "welcome", epoch: records.Welcome.decode(frame).epoch });
        break;
      case 3:
        say({ event: "accepted", reference: Number(records.Accepted.decode(frame).reference) });
        break;
      case 4: {
        const { number, envelope } = records.Deliver.decode(frame);
        const { kind, body } = await conversation.open(envelope);
        if (kind === 3) {
          const { account, lease, standing, because } = await tenant.reporter.take(tenant.account, body);
          tenant.account = account;
          stream.send(records.RenewLease.encode({ lease: account.lease }));
          const [ctr, scope] = [Number(lease.ctr), Number(lease.scope)];
          const { epoch } = account.list.list;
          say({ event: "leased", ctr, scope, until: lease.notAfter, epoch, standing, because });
        } else {
          say({ event: "message", kind, body: new TextDecoder().decode(body) });
        }
        if (number !== 0) stream.send(records.AckEnvelopes.encode({ upTo: number }));
        break;
      }
      case 7: {
        const refused = records.Refused.decode(frame);
        must(false, `refused with ${refused.code}: ${refused.words}`);
        break;
      }
      default:
        say({ event: "news", tag: records.tagOf(frame) });
    }
  }
}

/** What to say of the session: the truth, unless the line says otherwise. */
function counts(conversation: Conversation, line: Record<string, unknown>): SessionCounts {
  const { received } = line;
  return typeof received === "number" ? { ...conversation.counts, received } : conversation.counts;
}

async function speak(stream: Socket, conversation: Conversation, tenant: Tenant): Promise<void> {
  let reference = crypto.getRandomValues(new Uint32Array(1))[0]!;
  for (;;) {
    const line = await input();
    if (line.quit === true) return;
    const envelope =
      line.report === true
        ? await tenant.reporter.report(tenant.account, counts(conversation, line))
        : await conversation.seal(0, new TextEncoder().encode(String(line.send)));
    stream.send(records.PostEnvelope.encode({ to: conversation.peer, reference: reference++, envelope }));
  }
}

/** The next frame of the link socket, which must begin with `tag`; an end or a refusal ends here too. */
async function expect(socket: Socket, tag: number, ms: number): Promise<Bytes> {
  for (;;) {
    const frame = await socket.next(ms);
    const found = records.tagOf(frame);
    if (found === tag) return frame;
    if (found === 4) must(false, `ended with reason ${records.SlotEnded.decode(frame).reason}`);
    if (found === 7) must(false, `refused with ${records.Refused.decode(frame).code}`);
    // A second scanner changes nothing once M1 was opened; before, it ends the pairing.
    if (found === 5) must(tag === 3, "a second scanner");
  }
}

const [command, argument, extra] = process.argv.slice(2);
try {
  if (command === "link" && argument !== undefined) {
    await link(argument, extra);
  } else if (command === "check" && argument !== undefined) {
    await check(JSON.parse(readFileSync(argument, "utf8")) as Record<string, unknown>, say);
  } else {
    console.error("usage: node out/main.js link RELAY-URL [DUMP.json] | check VECTOR.json");
    process.exitCode = 2;
  }
} catch (error) {
  say({ event: "failed", reason: "Error", why: String(error) });
  process.exitCode = 1;
}
process.stdin.pause();
