// The program: a linked device, spoken with over lines of JSON. It keeps nothing on disk: it has one life.
//
//   link RELAY [DUMP]      links and goes online; prints {"event":..} lines, reads lines (see member.ts), and
//                          {"type":"123 456"} while it asks for the check code
//   check FILE             repeats the pairing of a vector and says whether every byte is the same

import { readFileSync } from "node:fs";

import { link } from "./link.js";
import { listen, say } from "./lines.js";
import { Member } from "./member.js";
import { Relay } from "./relay.js";
import { check } from "./vector.js";

const [command, argument, extra] = process.argv.slice(2);
try {
  if (command === "link" && argument !== undefined) {
    listen();
    const relay = await Relay.discover(argument);
    const linked = await link(relay, null, extra);
    if (linked !== null) await new Member(relay, linked).live();
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
