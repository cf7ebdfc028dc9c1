// A list of any length: only what is near the screen is in the document. Newest at the end; older items are asked for when
// the beginning comes near. What is on the screen does not move when something above it changes. What a frame costs does not
// depend on how long the list is: nothing here walks it but what reads a page of it, or drops it.

import { Heights } from "./heights.js";

/** So much above and below the screen is drawn, too; CSS pixels. */
const NEAR = 800;
const GUESS = 68;
/** Nearer to the end than this is at the end. */
const END = 60;

export class VirtualList<T> {
  readonly element: HTMLElement;
  #items: T[] = [];
  #heights = new Heights();
  /** Where an item stands, by its key, counted so that what comes before it changes nothing. */
  #places = new Map<string, number>();
  /** How many items came before the first that there was. */
  #before = 0;
  #shown = new Map<string, HTMLElement>();
  #above: HTMLElement;
  #body: HTMLElement;
  #below: HTMLElement;
  #loading = false;
  #complete = false;
  #frame = 0;
  #width = 0;
  /** How far it is scrolled, and whether the newest is seen then: as it was before the room changed. */
  #top = 0;
  #atEnd = true;

  constructor(
    private key: (item: T) => string,
    private render: (item: T) => HTMLElement,
    private older: (oldest: T | undefined) => Promise<T[]>,
    label: string,
  ) {
    const part = () => document.createElement("div");
    [this.element, this.#above, this.#body, this.#below] = [part(), part(), part(), part()];
    this.element.className = "messages";
    this.element.tabIndex = 0;
    this.element.setAttribute("role", "log");
    this.element.setAttribute("aria-live", "off");
    this.element.setAttribute("aria-label", label);
    this.element.append(this.#above, this.#body, this.#below);
    this.element.addEventListener("scroll", () => this.#soon(), { passive: true });
    new ResizeObserver(() => this.#resized()).observe(this.element);
  }

  get length(): number { return this.#items.length; }

  /** Whether the newest is on the screen. */
  get isAtEnd(): boolean {
    return this.#heights.total - this.element.scrollTop - this.element.clientHeight < END;
  }

  /** Reads from the newest on. */
  async begin(): Promise<void> {
    await this.#more();
    this.toEnd();
  }

  toEnd(): void {
    // Twice: what is measured only now moves the end.
    for (let round = 0; round < 2; round++) this.#layout(this.#heights.total - this.element.clientHeight);
    this.element.scrollTop = this.element.scrollHeight;
    this.#atEnd = true;
  }

  /** The newest page was read anew: takes what is new or changed in it, and drops what is gone. */
  refresh(newest: T[]): void {
    const stay = this.isAtEnd;
    // More may have come before the beginning too: a history arrives newest first.
    this.#complete = false;
    // A page that begins with an unknown item has a gap before it: everything older is asked for anew.
    const from = newest[0] === undefined ? 0 : (this.#place(this.key(newest[0])) ?? 0);
    const heights = newest.map((item) => {
      const key = this.key(item);
      const at = this.#place(key);
      if (at === undefined) return GUESS;
      // What says the same stays as it is, with the focus and what is marked in it.
      if (JSON.stringify(this.#items[at]) !== JSON.stringify(item)) this.#drop(key);
      return this.#heights.of(at);
    });
    for (const item of this.#items.splice(from)) this.#places.delete(this.key(item));
    this.#heights.cut(from);
    newest.forEach((item, at) => this.#places.set(this.key(item), from + at - this.#before));
    this.#items.push(...newest);
    this.#heights.append(heights);
    if (stay) this.toEnd();
    else this.#layout();
    this.#soon();
  }

  /** Draws an item anew. */
  redraw(match: (item: T) => boolean): void {
    for (const key of [...this.#shown.keys()]) {
      const at = this.#place(key);
      if (at !== undefined && match(this.#items[at] as T)) this.#drop(key);
    }
    this.#soon();
  }

  #place(key: string): number | undefined {
    const place = this.#places.get(key);
    return place === undefined ? undefined : place + this.#before;
  }

  #drop(key: string): void {
    this.#shown.get(key)?.remove();
    this.#shown.delete(key);
  }

  /** Another width is other heights; another height is another end. */
  #resized(): void {
    const width = this.element.clientWidth;
    if (width !== this.#width) for (const key of [...this.#shown.keys()]) this.#drop(key);
    this.#width = width;
    if (this.#atEnd) this.toEnd();
    else this.#layout(this.#top);
    this.#soon();
  }

  #soon(): void {
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#layout();
      this.#atEnd = this.isAtEnd;
      // The line may end while older items are asked for; whoever ended it shows why.
      if (this.element.scrollTop < NEAR * 2) this.#more().catch(() => {});
    });
  }

  async #more(): Promise<void> {
    if (this.#loading || this.#complete) return;
    this.#loading = true;
    try {
      const [first] = this.#items;
      const older = await this.older(first);
      // The list was refreshed meanwhile and begins elsewhere: these do not lie before it.
      const [now] = this.#items;
      if ((first && this.key(first)) !== (now && this.key(now))) return this.#soon();
      this.#complete = older.length === 0;
      const top = this.element.scrollTop;
      this.#before += older.length;
      this.#items.unshift(...older);
      older.forEach((item, at) => this.#places.set(this.key(item), at - this.#before));
      this.#heights.prepend(older.map(() => GUESS));
      this.#layout(top + older.length * GUESS);
    } finally {
      this.#loading = false;
    }
  }

  /** Draws what is near the screen when this is scrolled so far. All that is read of the layout is read before and after all changes. */
  #layout(wanted?: number): void {
    const { scrollTop, clientHeight } = this.element;
    const top = wanted ?? scrollTop;
    const first = this.#heights.at(top - NEAR);
    const last = this.#items.length === 0 ? -1 : this.#heights.at(top + clientHeight + NEAR);
    const near = new Set<string>();
    const fresh: [number, HTMLElement][] = [];
    let before: HTMLElement | null = null;
    for (let at = first; at <= last; at++) {
      const item = this.#items[at] as T;
      const key = this.key(item);
      near.add(key);
      let element = this.#shown.get(key);
      if (!element) {
        element = this.render(item);
        this.#shown.set(key, element);
        fresh.push([at, element]);
      }
      const place: Element | null = before ? before.nextElementSibling : this.#body.firstElementChild;
      if (element !== place) this.#body.insertBefore(element, place);
      before = element;
    }
    for (const key of [...this.#shown.keys()]) if (!near.has(key)) this.#drop(key);
    const above = this.#heights.before(first);
    this.#above.style.height = `${above}px`;
    this.#below.style.height = `${this.#heights.total - this.#heights.before(last + 1)}px`;
    // What stands above the edge of the screen must not push what is on it.
    let shift = 0;
    const measured = fresh.map(([at, element]) => [at, element.getBoundingClientRect().height] as const);
    for (const [at, height] of measured) {
      const known = this.#heights.of(at);
      if (height === known || height === 0) continue;
      if (this.#heights.before(at) + known <= top + shift) shift += height - known;
      this.#heights.set(at, height);
    }
    this.#top = top + shift;
    if (this.#top !== scrollTop) this.element.scrollTop = this.#top;
  }
}
