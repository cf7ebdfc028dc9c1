// Conversations: the list, the messages of one, search, progress of the history, sending.

import type { Attachment, Conversation, FileState, LineEvent, Message, PairlightDevice } from "../src/index.js";
import { make, say, screen, show, size } from "./dom.js";
import { day, hour, number, t } from "./language.js";
import { openScan } from "./scan.js";
import { VirtualList } from "./virtual.js";
import { why } from "./words.js";

const PAGE = 100;
const LONGEST_FILE = 64 * 1024 * 1024;
/** Of a message, in UTF-8. */
const LONGEST_TEXT = 32 * 1024;
/** What whoever uses this browser is called in their own messages, in every language. */
const SENDER = "Me";

const when = (ms: number) => {
  const date = new Date(ms);
  return date.toDateString() === new Date().toDateString() ? hour().format(date) : day().format(date);
};

/** Work that nobody waits for. When it fails the line has ended, and whoever ended it shows why. */
const quietly = (work: Promise<unknown>) => void work.catch(() => {});

function noticed({ kind, discrepancy, removal }: Extract<LineEvent, { type: "notice" }>): string {
  const reason = discrepancy ? t.discrepancies[discrepancy] : removal ? t.removals[removal] : undefined;
  return reason === undefined ? t.chats.noticedAlone(t.notices[kind]) : t.chats.noticed(t.notices[kind], reason);
}

export class Chats {
  #talks: Conversation[] = [];
  #open: Conversation | undefined;
  #messages: VirtualList<Message> | undefined;
  #online = false;
  #list = make("ul", { "aria-label": t.chats.conversations });
  #talk = make("section", { class: "talk", "aria-label": t.chats.messages });
  #state = make("span", { "data-part": "line", role: "status" });
  #progress = make("div", { class: "progress", "data-part": "history" });
  #notice = make("p", { class: "alarm", hidden: true, role: "alert", "data-part": "notice" });
  /** Apart from the notices: that a lease is renewed must not wipe an alert. */
  #restriction = make("p", { class: "alarm", hidden: true, role: "alert", "data-part": "restriction" });
  #find = make("input", { type: "search", placeholder: t.chats.search, "aria-label": t.chats.search });
  #files = new Map<string, { state: FileState | undefined; url: string | undefined }>();
  #waiting = 0;
  #left = false;

  constructor(private device: PairlightDevice, private logOut: () => void, lock: () => void) {
    let typing = 0;
    this.#find.addEventListener("input", () => {
      clearTimeout(typing);
      typing = window.setTimeout(() => quietly(this.#search()), 200);
    });
    show("chats",
      make("header", { class: "bar" },
        make("h1", { class: "grow" }, "Pairlight"), this.#state,
        make("button", { class: "plain", onclick: () => openScan() }, t.scan.open),
        make("button", { class: "plain", onclick: lock }, t.chats.lock),
        make("button", { class: "plain", onclick: () => this.#askLogOut() }, t.chats.logOut),
        this.#notice, this.#restriction, this.#progress),
      make("nav", { class: "list", "aria-label": t.chats.conversations }, make("div", { class: "find" }, this.#find), this.#list),
      this.#talk);
    this.#line(false, t.chats.connecting);
    this.#empty();
    quietly(this.#read());
  }

  leave(): void {
    this.#left = true;
    for (const { url } of this.#files.values()) if (url) URL.revokeObjectURL(url);
  }

  hear(event: LineEvent): void {
    switch (event.type) {
      case "online": return this.#line(true, t.chats.online);
      case "offline": return this.#line(false, t.chats.offline(Math.round(event.retryMs / 1000)));
      case "changed": return this.#soon();
      case "missed":
        // The history is read with the conversations.
        for (const hash of this.#files.keys()) quietly(this.#file(hash));
        return this.#soon();
      case "history": return quietly(this.#history());
      case "file": return quietly(this.#file(event.hash));
      case "silent": return this.#tell(t.chats.silent);
      case "leased": return this.#tell(event.restriction ? t.chats.restricted(t.discrepancies[event.restriction]) : "", this.#restriction);
      case "notice": return this.#tell(noticed(event));
      case "forked": return this.#tell(t.chats.forked);
      case "rolled-back": return this.#tell(t.chats.rolledBack);
    }
  }

  #line(online: boolean, words: string): void {
    this.#online = online;
    this.#state.replaceChildren(make("span", { class: online ? "dot on" : "dot", "aria-hidden": "true" }), words);
  }

  #tell(words: string, where = this.#notice): void {
    where.textContent = words;
    where.hidden = words === "";
  }

  /** Work that a person asked for: that it failed is said. */
  #loudly(words: (why: string) => string, work: Promise<unknown>): void {
    work.catch((error: unknown) => this.#tell(words(why(error))));
  }

  /** Changes come in bursts; they are read at most four times a second. */
  #soon(): void {
    if (this.#waiting) return;
    this.#waiting = window.setTimeout(() => {
      this.#waiting = 0;
      quietly(this.#read());
    }, 250);
  }

  async #read(): Promise<void> {
    try {
      this.#talks = await this.device.conversations();
      if (this.#left) return;
      if (!this.#find.value.trim()) this.#drawList();
      await this.#history();
      const open = this.#open;
      if (!open || !this.#messages) return;
      const newest = (await this.device.messages(open.id, null, PAGE)).reverse();
      if (this.#open !== open) return;
      const known = this.#messages.length;
      this.#messages.refresh(newest);
      const last = newest.at(-1);
      if (last && known > 0 && this.#messages.isAtEnd && !document.hidden) await this.#mark(open, last);
    } catch {
      // The line ended meanwhile; whoever ended it shows why.
    }
  }

  async #history(): Promise<void> {
    const [history] = await this.device.history();
    if (this.#left) return;
    if (!history || history.state === "done") {
      this.#progress.replaceChildren();
      if (history && this.#talks.length === 0) this.#list.replaceChildren(make("li", { class: "calm" }, t.chats.none));
      return;
    }
    const words = {
      waiting: t.chats.history.waiting,
      running: t.chats.history.running(number().format(history.records), number().format(history.total)),
      held: history.untilMs ? t.chats.history.heldUntil(day().format(history.untilMs)) : t.chats.history.held,
      cancelled: t.chats.history.cancelled,
    }[history.state];
    const bar = make("progress", { max: Math.max(1, history.total), value: history.records, "aria-label": t.chats.history.label });
    this.#progress.replaceChildren(make("span", { class: "soft" }, words), ...(history.state === "running" ? [bar] : []));
  }

  #drawList(): void {
    if (this.#talks.length === 0) {
      this.#list.replaceChildren(make("li", { class: "calm" }, t.chats.soon));
      return;
    }
    this.#list.replaceChildren(...this.#talks.map((talk) => this.#entry(talk)));
  }

  #entry(talk: Conversation): HTMLElement {
    const latest = talk.latest;
    const fresh = latest && latest.sentMs > talk.readUpToMs && !this.#isOwn(latest);
    const last = latest ? `${latest.sender}: ${latest.text || (latest.attachments[0]?.name ?? "")}` : "";
    return make("li", {}, make("button", { "aria-current": talk.id === this.#open?.id ? "true" : undefined, onclick: () => quietly(this.#show(talk)) },
      make("bdi", { class: "name" }, talk.title), make("time", {}, latest ? when(latest.sentMs) : ""),
      make("bdi", { class: "last" }, last), fresh ? make("span", { class: "unread" }, t.chats.unread) : make("span")));
  }

  async #search(): Promise<void> {
    const text = this.#find.value.trim();
    if (!text) return this.#drawList();
    const found = await this.device.search(text, 100);
    if (this.#find.value.trim() !== text) return;
    say(t.chats.found(found.length));
    const titles = new Map(this.#talks.map((talk) => [talk.id, talk]));
    const entry = (message: Message) => make("li", {}, make("button", {
      onclick: () => { const talk = titles.get(message.conversation); if (talk) quietly(this.#show(talk)); },
    }, make("bdi", { class: "name" }, titles.get(message.conversation)?.title ?? ""), make("time", {}, when(message.sentMs)),
      make("bdi", { class: "last" }, `${message.sender}: ${message.text}`)));
    this.#list.replaceChildren(...(found.length > 0 ? found.map(entry) : [make("li", { class: "calm" }, t.chats.notFound)]));
  }

  #empty(): void {
    this.#talk.replaceChildren(make("p", { class: "calm" }, t.chats.choose));
  }

  #isOwn(message: Message): boolean {
    return message.sender.toLowerCase() === SENDER.toLowerCase();
  }

  async #show(talk: Conversation): Promise<void> {
    this.#open = talk;
    document.body.dataset["open"] = "";
    for (const button of this.#list.querySelectorAll("button")) button.removeAttribute("aria-current");
    const older = async (oldest: Message | undefined) =>
      (await this.device.messages(talk.id, oldest?.place ?? null, PAGE)).reverse();
    const messages = new VirtualList<Message>((message) => message.id, (message) => this.#message(message), older, t.chats.messagesOf(talk.title));
    this.#messages = messages;
    const text = make("textarea", {
      rows: 1, placeholder: t.chats.write, "aria-label": t.chats.write,
      onkeydown: (event: KeyboardEvent) => {
        if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
        event.preventDefault();
        void send();
      },
    });
    const send = async (attachments: Attachment[] = []) => {
      const words = text.value.trim();
      if (!words && attachments.length === 0) return;
      if (new TextEncoder().encode(words).length > LONGEST_TEXT) return this.#tell(t.chats.tooLongText);
      text.value = "";
      try {
        await this.device.send(talk.id, SENDER, words, attachments);
        await this.#read();
        messages.toEnd();
      } catch (error) {
        text.value = words;
        this.#tell(t.chats.notSent(why(error)));
      }
    };
    const attach = make("input", {
      type: "file", class: "unseen", "aria-label": t.chats.attach,
      onchange: () => {
        const file = attach.files?.[0];
        attach.value = "";
        if (!file) return;
        if (file.size > LONGEST_FILE) return this.#tell(t.chats.tooLong(size(LONGEST_FILE), size(file.size)));
        this.#loudly(t.chats.notAttached, add(file));
      },
    });
    const add = async (file: File) => {
      const hash = await this.device.addFile(new Uint8Array(await file.arrayBuffer()));
      await send([{ name: file.name, mediaType: file.type || "application/octet-stream", size: file.size, hash }]);
    };
    this.#talk.replaceChildren(
      make("header", {},
        make("button", { class: "back", "aria-label": t.chats.back, onclick: () => { this.#open = undefined; this.#messages = undefined; delete document.body.dataset["open"]; this.#drawList(); } }, "‹"),
        make("h2", {}, make("bdi", {}, talk.title))),
      messages.element,
      make("form", { class: "composer", onsubmit: (event: Event) => { event.preventDefault(); void send(); } },
        make("label", { class: "file", title: t.chats.attach }, "+", attach), text, make("button", { class: "main" }, t.chats.send)));
    if (!this.#find.value.trim()) this.#drawList();
    await messages.begin();
    if (talk.latest) await this.#mark(talk, talk.latest);
  }

  async #mark(talk: Conversation, last: Message): Promise<void> {
    if (last.sentMs <= talk.readUpToMs) return;
    talk.readUpToMs = last.sentMs;
    await this.device.markRead(talk.id, last.sentMs);
    // What is written here is no news to this device.
    this.#soon();
  }

  #message(message: Message): HTMLElement {
    const own = this.#isOwn(message);
    return make("article", { class: own ? "message own" : "message", "data-id": message.id },
      make("div", { class: "bubble" },
        own ? null : make("bdi", { class: "who" }, message.sender), own ? null : make("br"),
        message.text,
        ...message.attachments.map((file) => this.#attached(file)),
        make("time", { datetime: new Date(message.sentMs).toISOString() }, `${when(message.sentMs)}${message.editedMs ? ` · ${t.chats.edited}` : ""}`)));
  }

  #attached(file: Attachment): HTMLElement {
    const known = this.#files.get(file.hash);
    if (!known) {
      this.#files.set(file.hash, { state: undefined, url: undefined });
      quietly(this.#file(file.hash));
    }
    const state = known?.state;
    const save = async () => {
      const link = make("a", { href: await this.#content(file), download: file.name.replace(/[/\\]/g, "_") });
      link.click();
    };
    const get = async () => {
      await this.device.wantFile(file.hash, file.size);
      await this.#file(file.hash);
    };
    const action = state?.isComplete
      ? make("button", { onclick: () => this.#loudly(t.chats.notSaved, save()) }, t.chats.save)
      : state?.isMissing
        ? make("span", { class: "soft" }, t.chats.gone)
        : state
          ? make("span", { class: "soft" }, t.chats.part(size(state.stored), size(file.size)))
          : make("button", { onclick: () => this.#loudly(t.chats.notFetched, get()) }, t.chats.get);
    const box = make("div", { class: "attached", "data-hash": file.hash }, make("bdi", { class: "grow" }, file.name), make("span", { class: "soft" }, size(file.size)), action);
    return box;
  }

  async #content(file: Attachment): Promise<string> {
    const known = this.#files.get(file.hash);
    if (known?.url) return known.url;
    const pieces: Uint8Array[] = [];
    for (let index = 0; ; index++) {
      const piece = await this.device.filePiece(file.hash, index);
      if (!piece) break;
      pieces.push(piece);
    }
    // Never as what it says it is: a page among attachments must not run here.
    const url = URL.createObjectURL(new Blob(pieces as Uint8Array<ArrayBuffer>[], { type: "application/octet-stream" }));
    if (known) known.url = url;
    return url;
  }

  async #file(hash: string): Promise<void> {
    const state = await this.device.file(hash);
    const known = this.#files.get(hash) ?? { state: undefined, url: undefined };
    this.#files.set(hash, { ...known, state: state ?? undefined });
    this.#messages?.redraw((message) => message.attachments.some((file) => file.hash === hash));
  }

  #askLogOut(): void {
    const ask = make("dialog", { class: "card narrow ask", "aria-label": t.chats.logOut },
      make("h2", {}, t.chats.ask.title),
      make("p", {}, this.#online ? t.chats.ask.online : t.chats.ask.offline),
      make("div", { class: "buttons" },
        make("button", { class: "main", onclick: () => { ask.close(); ask.remove(); this.logOut(); } }, t.chats.logOut),
        make("button", { onclick: () => { ask.close(); ask.remove(); } }, t.chats.ask.stay)));
    screen.append(ask);
    ask.showModal();
  }
}
