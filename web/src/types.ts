// What the worker says. Ids and hashes are hexadecimal digits, times are ms since 1970. Texts come from other devices: show
// them as text, never as markup.

/** What happens while this device is linked. */
export type LinkEvent =
  /** Draw this: `size` modules a side, row by row, "1" = dark; with four modules of margin, dark on light. `text` is a secret. */
  | { type: "code"; size: number; modules: string; shownMs: number; text: string }
  /** No code is live; offer a button that calls `showAgain`. */
  | { type: "paused" }
  /** The relay is out of reach; tried again by itself. */
  | { type: "reconnecting"; afterMs: number }
  /** "Phone connected, confirm there." */
  | { type: "claimed" }
  /** Ask for the six digits that the phone shows. */
  | { type: "enter-check-code" }
  | { type: "wrong-check-code"; triesLeft: number }
  /** The digits were right; the phone decides. */
  | { type: "check-code-accepted" }
  /** The account asks for a passkey; `givePasskey` answers, or `giveNothing`. */
  | { type: "evidence-wanted"; passkey: PasskeyWanted | null }
  /** Somebody else tried to scan the code and was refused. */
  | { type: "second-scanner" }
  /** The last event. */
  | { type: "linked"; device: string }
  /** The last event. */
  /** The relay takes no more attempts from here for so long; `failed` follows. */
  | { type: "too-many-attempts"; retryAfterMs: number }
  | { type: "failed"; reason: EndReason };

/** Why a link ended without one. The same word on both devices. */
export type EndReason =
  | "Cancelled" | "Declined" | "TimedOut" | "Tampered" | "WrongCheckCode" | "Conflict" | "Expired" | "Refused"
  | "StorageFailed" | "Outdated" | "Superseded" | "NotPublished" | "RateLimited" | "Unreachable";

/** What to ask `navigator.credentials.get` for. */
export interface PasskeyWanted { rpId: string; credentials: string[]; challenge: string }

/** What happens while this device is online. */
export type LineEvent =
  | { type: "online" }
  /** Out of reach; tried again by itself. */
  | { type: "offline"; retryMs: number }
  /** These records changed here. */
  | { type: "changed"; records: { collection: string; id: string; group: string | null }[] }
  /** The history moved on: ask `history`. */
  | { type: "history" }
  /** Something changed about the file with this hash: ask `file`. */
  | { type: "file"; hash: string }
  /** Updates were too many: read everything that is on the screen anew, histories and files too. */
  | { type: "missed" }
  /** This device may stay until then; `restriction` says why it may not do everything. */
  | { type: "leased"; untilMs: number; restriction: Discrepancy | null }
  /** The phone has been silent for long. */
  | { type: "silent"; forMs: number }
  /** Something happened to a device of the account. `words` is the same in English. */
  | { type: "notice"; kind: NoticeKind; discrepancy: Discrepancy | null; removal: RemovalReason | null; words: string }
  | { type: "devices-changed" }
  /** Somebody shows different devices different lists. */
  | { type: "forked"; epoch: number; ours: string; theirs: string }
  | { type: "rolled-back" }
  /** The permission has ended. The last event: open the device anew and link it again. */
  | { type: "locked"; reason: Discrepancy }
  /** This device was removed, and what it knew is erased. The last event. */
  | { type: "removed"; reason: RemovalReason }
  /** The relay refuses this device. The last event. */
  | { type: "refused"; reason: RefusalCode }
  /** The line cannot go on. `words` is English, for a log. The last event. */
  | { type: "failed"; reason: FaultKind; words: string }
  | { type: "other" };

/** What does not add up about a device. */
export type Discrepancy =
  | "CounterRepeated" | "CopyForked" | "ListDiffers" | "ListStale" | "PlatformChanged" | "CountersImpossible" | "BadSignatures"
  | "Undecryptable" | "LeaseEnded" | "TwoSockets" | "CountryChanged" | "Removed";

/** Why a device left the account's list. */
export type RemovalReason = "Revoked" | "LoggedOut" | "Cloned" | "Abandoned" | "RemovedAll" | "Discrepancy" | "Recovered" | "Lapsed";

/** What happened to a device of the account. */
export type NoticeKind = "Linked" | "Relinked" | "Removed" | "Discrepancy" | "RootChanged" | "RecoveryChanged";

/** Why the relay refuses. `Duplicate`: another browser went online with a copy of this one's keys. */
export type RefusalCode =
  | "Protocol" | "Removed" | "LeaseExpired" | "TimedOut" | "Conflict" | "Duplicate" | "Outdated" | "RateLimited" | "NotFound"
  | "NotAllowed" | "TooLarge" | "Overflow" | "Unavailable" | "Gone";

export interface Attachment { name: string; mediaType: string; size: number; hash: string }

export interface Message {
  id: string;
  conversation: string;
  sender: string;
  text: string;
  sentMs: number;
  editedMs: number | null;
  replyTo: string | null;
  attachments: Attachment[];
  /** Where a listing goes on after it. */
  place: string;
}

export interface Conversation { id: string; title: string; latest: Message | null; readUpToMs: number }

/** How the transfer of history to this device is doing. */
export interface History {
  device: string;
  state: "waiting" | "running" | "held" | "cancelled" | "done";
  /** When a history that is held goes on; null = when the person frees it on the phone. */
  untilMs: number | null;
  stage: "first-screen" | "recent" | "rest" | "complete";
  records: number;
  total: number;
  bytes: number;
}

export interface FileState { hash: string; size: number; stored: number; isComplete: boolean; isMissing: boolean }

export interface Standing {
  device: string;
  isLocked: boolean;
  /** Why it may not do everything. */
  restriction: Discrepancy | null;
  endsMs: number;
  linkedMs: number | null;
  /**
   * Where the key is with which this device signs: `browser` = a CryptoKey that no script can read; `sealed` = in the sealed store,
   * because this browser had no such keys, or had a lock, when it was linked.
   */
  keyGuard: "browser" | "sealed";
}

/** What kind of error a call rejects with, as its `name`. */
export type FaultKind =
  /** The relay refuses, and says why: too many calls, for example. */
  | "Refused"
  | "Unreachable" | "Locked" | "NotLinked" | "Ended" | "Storage" | "NotAllowed" | "WrongRelay" | "Misuse" | "Failed"
  /** Another tab has the device. */
  | "InUse"
  /** This browser has a lock: give the passphrase, or erase. */
  | "PassphraseNeeded"
  | "WrongPassphrase";

export interface OpenOptions {
  /** Address of the relay: `https://relay.example`. */
  relay: string;
  /** Its attestation key, 64 hexadecimal digits. Without it the relay is asked, and believed, each time. */
  relayKey?: string;
  /** Name of the database. Default: `pairlight`. */
  database?: string;
  /** Take the device from another tab that has it. */
  takeOver?: boolean;
  /** What opens the lock, when there is one. */
  passphrase?: string;
  /** Where the worker is. Default: beside this module. */
  worker?: string | URL | Worker;
  /** Where the WebAssembly is. Default: beside this module. */
  wasm?: string;
  /** Its hash, as in an `integrity` attribute. */
  wasmIntegrity?: string;
}

/** A place in pixels of the whole frame, from its upper left corner. */
export interface Corner { x: number; y: number }

/** How careful the person should be with what a code says. */
export type Danger = "ours" | "info" | "caution" | "danger";

/** What a code means. Nothing of it is ever opened; show it and ask. No secret of the code is in it. */
export interface Meaning {
  /** Stable, for translations: `pairing_offer`, `other_service`, `web_link` and so on. */
  kind: string;
  /** A few words. */
  title: string;
  /** One or two sentences, English. */
  explanation: string;
  /** What it names, in nobody's language: a host, a service, a network; null where it names nothing. */
  about: string | null;
  danger: Danger;
  /** Whether it is an offer to link a device. */
  isOffer: boolean;
}

/** A code that was read. `bytes` is its exact content, which may be a secret; `text` the same, when it is text. */
export interface ScannedCode {
  bytes: Uint8Array;
  text: string | null;
  meaning: Meaning;
  /** Top left, top right, bottom right, bottom left of the code. */
  corners: Corner[];
  /** QR version, 1 to 40. */
  version: number;
  /** Whether this content was not announced before. */
  isNew: boolean;
}

/** What the person could do better: a stable key for translations, and the words in English. */
export interface ScanHint { key: string; text: string }

/** What became of the frames of a scanner. */
export interface ScanCounts { submitted: number; scanned: number; dropped: number }

/** What one frame gave. `width` and `height` are of the frame that the corners lie in. */
export interface ScanReport {
  codes: ScannedCode[];
  /** Why nothing was read; when something was, at most `wrong-kind`. */
  hints: ScanHint[];
  /** Whether a code seems to be in view, read or not. */
  sawCode: boolean;
  /** How many times nearer a code that is too small should appear. */
  zoom: number | null;
  /** Whether the torch would help. */
  torch: boolean;
  width: number;
  height: number;
  /** When the frame was handed over, ms since 1970. */
  takenMs: number;
  counts: ScanCounts;
}

export interface ScannerOptions {
  /** For still pictures instead of a camera: all work at once. */
  thorough?: boolean;
  /** A code that links no device is told all the same, with the hint `wrong-kind`. */
  offersOnly?: boolean;
  /** Where the scanner's worker is, or what starts one: a worker that failed is replaced. Default: beside this module. */
  worker?: string | URL | (() => Worker);
  /** Where the scanner's WebAssembly is. Default: beside this module. */
  wasm?: string;
  /** Its hash, as in an `integrity` attribute. */
  wasmIntegrity?: string;
}
