// What is said when something ends, and what this browser calls itself.

import type { EndReason, FaultKind } from "../src/index.js";
import { t } from "./language.js";

export interface Ending { title: string; what: string; help: string; again: string }

/** After these a person tries again what failed; after the others only a new code helps. */
const TRY_AGAIN = new Set<EndReason>(["Tampered", "Refused", "StorageFailed", "Outdated", "NotPublished", "RateLimited", "Unreachable"]);

/** A time to wait, rounded up. */
export const span = (ms: number): string => (ms <= 90_000 ? t.seconds(Math.ceil(ms / 1000)) : t.minutes(Math.ceil(ms / 60_000)));

export const ending = (reason: EndReason): Ending =>
  ({ ...(t.endings[reason] ?? t.endings.TimedOut), again: TRY_AGAIN.has(reason) ? t.again : t.link.showNew });

/** Why a call failed, in the language of the page. What the core says of it is English: it goes to the browser's console. */
export function why(error: unknown): string {
  const { name, message } = error as Error;
  console.info(`${name}: ${message}`);
  return t.faults[Object.hasOwn(t.faults, name) ? (name as FaultKind) : "Failed"];
}

/** What this browser calls itself until a person says otherwise. */
export function ownName(): { name: string; os: string; app: string } {
  const agent = navigator.userAgent;
  const of = (pairs: [RegExp, string][], other: string) => pairs.find(([pattern]) => pattern.test(agent))?.[1] ?? other;
  const app = of([[/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\//, "Firefox"], [/Chrom(e|ium)\//, "Chrome"], [/Safari\//, "Safari"]], t.aBrowser);
  const os = of([[/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Windows/, "Windows"], [/Mac OS/, "macOS"], [/CrOS/, "ChromeOS"], [/Linux/, "Linux"]], "");
  return { name: os ? t.ownName(app, os) : app, os, app };
}
