// Lines of JSON: what this program says, and what it is told.

import { createInterface } from "node:readline";

export type Line = Record<string, unknown>;

export function say(event: Line): void {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

const typed: Line[] = [];
let woken: (() => void) | null = null;

/** As if it had been typed. */
export function type(line: Line): void {
  typed.push(line);
  woken?.();
}

export function listen(): void {
  const lines = createInterface({ input: process.stdin });
  lines.on("line", (line) => type(JSON.parse(line) as Line));
  lines.on("close", () => type({ quit: true }));
}

export async function input(): Promise<Line> {
  for (;;) {
    const line = typed.shift();
    if (line !== undefined) return line;
    await new Promise<void>((resolve) => (woken = resolve));
  }
}
