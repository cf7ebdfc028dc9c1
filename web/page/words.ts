// What is said when something ends. Each says what happened, what to do, and what is safe.

import type { EndReason } from "../src/index.js";

export interface Ending { title: string; what: string; help: string; again: string }

const SAFE = "Nothing was linked, and your other devices are safe.";

const ENDINGS: Record<EndReason, Ending> = {
  Cancelled: { title: "The link was cancelled", what: `Somebody closed the screen, here or on the phone. ${SAFE}`, help: "Begin again when you are ready.", again: "Show a new code" },
  Declined: { title: "The phone said no", what: `The link was declined on the phone. ${SAFE}`, help: "If that was you, all is well. If you want to link this browser, scan a new code and approve it there.", again: "Show a new code" },
  TimedOut: { title: "It took too long", what: `One of the two devices waited in vain. ${SAFE}`, help: "Keep the phone at hand with its screen on, and try again.", again: "Show a new code" },
  Tampered: { title: "A message did not pass its check", what: `Something between this browser and the phone changed what they said. The link was stopped. ${SAFE}`, help: "Try again in another network. If it happens again, do not link here.", again: "Try again" },
  WrongCheckCode: { title: "The digits were wrong three times", what: `The digits that were typed are not those of the phone. ${SAFE}`, help: "Scan a new code, and type the six digits that the phone shows then.", again: "Show a new code" },
  Conflict: { title: "Somebody else scanned this code", what: `A second device scanned the same code. ${SAFE}`, help: "Make sure that nobody photographs this screen, then try again.", again: "Show a new code" },
  Expired: { title: "The code is too old", what: `A code lives for a minute, and this one was used or ran out. ${SAFE}`, help: "Scan a fresh one.", again: "Show a new code" },
  Refused: { title: "The link was refused", what: `The rules of the account ask for more proof, or the relay does not let one of the two in. ${SAFE}`, help: "Be in the same network as the phone, scan with its camera and not from a picture, or use a passkey. If it stays so, ask who runs the relay.", again: "Try again" },
  StorageFailed: { title: "A device could not store its keys", what: `This browser or the phone has no room, or may not store. ${SAFE}`, help: "Leave private browsing, free some space, and try again.", again: "Try again" },
  Outdated: { title: "The two do not speak the same version", what: `The phone's app or this page is too old. ${SAFE}`, help: "Update the app, reload this page, and try again.", again: "Try again" },
  Superseded: { title: "A newer code took the place of this one", what: SAFE, help: "Scan the code that is on the screen now.", again: "Show a new code" },
  NotPublished: { title: "The account could not be changed", what: `The phone approved, but its list of devices could not be published. ${SAFE}`, help: "Check the phone's network and try again.", again: "Try again" },
  RateLimited: { title: "Too many attempts", what: `The relay asks for patience. ${SAFE}`, help: "Wait a few minutes, then try again.", again: "Try again" },
  Unreachable: { title: "The relay is out of reach", what: `The network, or the relay, is away. ${SAFE}`, help: "Check the network of this computer and of the phone.", again: "Try again" },
};

/** A time to wait, rounded up. */
export const span = (ms: number): string => (ms <= 90_000 ? `${Math.ceil(ms / 1000)} s` : `${Math.ceil(ms / 60_000)} min`);

export const ending = (reason: EndReason): Ending => ENDINGS[reason] ?? ENDINGS.TimedOut;

/** What this browser calls itself until a person says otherwise. */
export function ownName(): { name: string; os: string; app: string } {
  const agent = navigator.userAgent;
  const of = (pairs: [RegExp, string][], other: string) => pairs.find(([pattern]) => pattern.test(agent))?.[1] ?? other;
  const app = of([[/Edg\//, "Edge"], [/OPR\//, "Opera"], [/Firefox\//, "Firefox"], [/Chrom(e|ium)\//, "Chrome"], [/Safari\//, "Safari"]], "Browser");
  const os = of([[/Android/, "Android"], [/iPhone|iPad/, "iOS"], [/Windows/, "Windows"], [/Mac OS/, "macOS"], [/CrOS/, "ChromeOS"], [/Linux/, "Linux"]], "");
  return { name: os ? `${app} on ${os}` : app, os, app };
}
