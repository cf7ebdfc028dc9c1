// One pairing, from the code to the published list.

import { writeFileSync } from "node:fs";

import { equal, hex, must, type Bytes } from "./bytes.js";
import { holds, verifySuccessor, type Account } from "./account.js";
import { input, say } from "./lines.js";
import type { Session } from "./olm.js";
import { Displayed, drawnToJson, type Certified } from "./pairing.js";
import type { SigningKey } from "./primitives.js";
import type { Relay, Socket } from "./relay.js";
import * as records from "./records.js";

/** A device that stands on the list. */
export interface Linked {
  account: Account;
  seed: Bytes;
  device: SigningKey;
  session: Session;
}

/** `null` when the pairing ended otherwise, which it has said. `seed` is the key of a device that comes back. */
export async function link(relay: Relay, seed: Bytes | null, dump: string | undefined): Promise<Linked | null> {
  const socket = await relay.link();
  const displayed = await Displayed.make("Interop laptop", seed);
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
        say({ event: "failed", reason: "WrongCheckCode" });
        return null;
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
    return null;
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
  return { account, seed: displayed.drawn.deviceSeed, device: displayed.device, session: certified.session };
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
