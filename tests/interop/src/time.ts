// The clock of this device, which a test moves on.

let ahead = 0;

export function now(): number {
  return Date.now() + ahead;
}

export function pass(ms: number): void {
  ahead += ms;
}
