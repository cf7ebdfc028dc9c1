// Section 17: a whole pairing with everything that was drawn at random, as a vector of either implementation.

import { ascii, concat, equal, hex, must, unhex, type Bytes } from "./bytes.js";
import { digestOf, verifyM3, verifySuccessor, holds } from "./account.js";
import * as channel from "./channel.js";
import { Displayed, drawnFromJson, openM3 } from "./pairing.js";
import { openOnce, verify } from "./primitives.js";
import { M1, M2, M2b, M2bBody, M4, M4Body, M5, M5Body } from "./records.js";

type Say = (event: Record<string, unknown>) => void;

/** Repeats the pairing as S and compares every byte that does not depend on the ratchet's own randomness. */
export async function check(vector: Record<string, unknown>, say: Say): Promise<void> {
  const text = (name: string): string => {
    const value = vector[name];
    must(typeof value === "string", `the vector has no ${name}`);
    return value;
  };
  const messages = vector.messages as Record<string, string>;
  const message = (name: string) => unhex(messages[name] ?? "");
  const same = (name: string, made: Bytes, given: Bytes) => must(equal(made, given), `${name} differs: ${hex(made)}`);

  const drawn = drawnFromJson(vector as Record<string, string>);
  const displayed = await Displayed.of(drawn, unhex(text("offer")));
  same("offer_ct", displayed.offerCt, unhex(text("offer_ct")));
  must(displayed.text === text("qr"), `qr differs: ${displayed.text}`);
  const opened = await openOnce(displayed.keys.offer, displayed.keys.slot, displayed.offerCt);
  same("offer", opened, displayed.offer);

  const context = unhex(text("context"));
  const m1 = message("m1");
  const { keyed, m2 } = await displayed.receiveM1(context, m1);
  same("m2", m2, message("m2"));
  same("th2", keyed.th2, unhex(text("th2")));
  must(keyed.checkCode === text("check_code"), `check_code differs: ${keyed.checkCode}`);

  // Both directions once more from the start: the ratchet keys are not S's own here.
  const { th2 } = keyed;
  const th0 = await channel.transcript.th0(displayed.qr, displayed.offer, context);
  const { enc, ct } = M1.decode(m1);
  const fromPrimary = await channel.FromPrimary.accept(drawn.kemSecret, enc, displayed.keys, th0);
  await fromPrimary.open(ascii("m1"), ct);
  const secret = await fromPrimary.export("pairlight/v1/response");
  const toPrimary = await channel.ToPrimary.derive(secret, enc, drawn.respNonce);
  const th1 = await channel.transcript.th1(th0, m1);
  // The message M2 again, as number 0.
  await toPrimary.open(concat(ascii("m2"), th1), M2.decode(message("m2")).ct);
  const m2b = M2b.decode(message("m2b"));
  const m2bBody = M2bBody.decode(await toPrimary.open(concat(ascii("m2b"), th2), m2b.ct));
  must(m2bBody.checkCodeOk, "the vector's code was wrong");

  const m3 = await openM3(fromPrimary, th2, message("m3"));
  const account = await verifyM3(m3, displayed.device.publicKey, th2);
  const th3 = await channel.transcript.th3(th2, await channel.transcript.said(message("m2b")), message("m3"));
  const m4 = M4Body.decode(await toPrimary.open(concat(ascii("m4"), th3), M4.decode(message("m4")).ct));
  const digest = await digestOf(account.cert);
  const accepted = await verify(displayed.device.publicKey, "pairlight/v1/device-accept", digest, m4.acceptSig);
  must(accepted, "accept-sig does not verify");
  same("accept_sig", await displayed.device.sign("pairlight/v1/device-accept", digest), m4.acceptSig);

  const m5 = M5Body.decode(await fromPrimary.open(concat(ascii("m5"), th3), M5.decode(message("m5")).ct));
  const list = await verifySuccessor(account.list, m5.list, account.ops);
  must(await holds(list, account), "the published list does not hold the device");
  say({ event: "vector", made_by: vector.made_by, ok: true });
}
