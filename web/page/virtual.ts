// A list of any length: only what is near the screen is in the document. Newest at the end; older items are asked for when
// the beginning comes near. What is on the screen does not move when something above it changes.

const NEAR = 800;
const GUESS = 68;

export class VirtualList<T> {
  readonly element: HTMLElement;
  #items: T[] = [];
  #heights: number[] = [];
  #shown = new Map<string, HTMLElement>();
  #above: HTMLElement;
  #body: HTMLElement;
  #below: HTMLElement;
  #loading = false;
  #complete = false;
  #frame = 0;

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
    new ResizeObserver(() => {
      // Another width is other heights.
      for (const element of this.#shown.values()) element.remove();
      this.#shown.clear();
      this.#soon();
    }).observe(this.element);
  }

  get length(): number { return this.#items.length; }

  /** Whether the newest is on the screen. */
  get isAtEnd(): boolean {
    const { scrollTop, clientHeight, scrollHeight } = this.element;
    return scrollHeight - scrollTop - clientHeight < 60;
  }

  /** Reads from the newest on. */
  async begin(): Promise<void> {
    await this.#more();
    this.toEnd();
  }

  toEnd(): void {
    this.#layout();
    this.element.scrollTop = this.element.scrollHeight;
    this.#layout();
    this.element.scrollTop = this.element.scrollHeight;
  }

  /** The newest page was read anew: takes what is new or changed in it, and drops what is gone. */
  refresh(newest: T[]): void {
    const stay = this.isAtEnd;
    const first = newest[0];
    const from = first === undefined ? 0 : this.#items.findIndex((item) => this.key(item) === this.key(first));
    // A page that begins with an unknown item has a gap before it: everything older is asked for anew.
    const keep = Math.max(0, from);
    // More may have come before the beginning too: a history arrives newest first.
    this.#complete = false;
    const heights = new Map(this.#items.map((item, at) => [this.key(item), this.#heights[at] ?? GUESS]));
    this.#items = [...this.#items.slice(0, keep), ...newest];
    this.#heights = this.#items.map((item) => heights.get(this.key(item)) ?? GUESS);
    for (const item of newest) {
      this.#shown.get(this.key(item))?.remove();
      this.#shown.delete(this.key(item));
    }
    this.#layout();
    if (stay) this.toEnd();
    this.#soon();
  }

  /** Draws an item anew. */
  redraw(match: (item: T) => boolean): void {
    for (const item of this.#items) {
      const key = this.key(item);
      if (!this.#shown.has(key) || !match(item)) continue;
      this.#shown.get(key)?.remove();
      this.#shown.delete(key);
    }
    this.#soon();
  }

  #soon(): void {
    // The line may end while older items are asked for; whoever ended it shows why.
    if (this.#frame) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      this.#layout();
      if (this.element.scrollTop < NEAR * 2) this.#more().catch(() => {});
    });
  }

  #key(item: T | undefined): string | undefined {
    return item === undefined ? undefined : this.key(item);
  }

  async #more(): Promise<void> {
    if (this.#loading || this.#complete) return;
    this.#loading = true;
    try {
      const oldest = this.#key(this.#items[0]);
      const older = await this.older(this.#items[0]);
      // The list was refreshed meanwhile and begins elsewhere: these do not lie before it.
      if (this.#key(this.#items[0]) !== oldest) return this.#soon();
      this.#complete = older.length === 0;
      this.#items.unshift(...older);
      this.#heights.unshift(...older.map(() => GUESS));
      this.element.scrollTop += older.length * GUESS;
      this.#layout();
    } finally {
      this.#loading = false;
    }
  }

  #layout(): void {
    const top = this.element.scrollTop;
    const from = top - NEAR;
    const to = top + this.element.clientHeight + NEAR;
    let [y, first, above] = [0, -1, 0];
    let last = -1;
    let bottom = 0;
    for (let at = 0; at < this.#items.length; at++) {
      const height = this.#heights[at] as number;
      if (first < 0 && y + height > from) [first, above] = [at, y];
      if (y < to) [last, bottom] = [at, y + height];
      y += height;
    }
    if (first < 0) first = 0;
    const wanted = new Set<string>();
    let before: HTMLElement | null = null;
    for (let at = first; at <= last; at++) {
      const item = this.#items[at] as T;
      const key = this.key(item);
      wanted.add(key);
      let element = this.#shown.get(key);
      if (!element) {
        element = this.render(item);
        this.#shown.set(key, element);
      }
      const place: Element | null = before ? before.nextElementSibling : this.#body.firstElementChild;
      if (element !== place) this.#body.insertBefore(element, place);
      before = element;
    }
    for (const [key, element] of this.#shown) {
      if (wanted.has(key)) continue;
      element.remove();
      this.#shown.delete(key);
    }
    this.#above.style.height = `${above}px`;
    this.#below.style.height = `${y - bottom}px`;
    // Measured now; what stands above the edge of the screen must not push what is on it.
    let shift = 0;
    let at = above;
    for (let index = first; index <= last; index++) {
      const known = this.#heights[index] as number;
      const height = this.#shown.get(this.key(this.#items[index] as T))?.offsetHeight ?? known;
      if (height !== known) {
        if (at + known <= top) shift += height - known;
        this.#heights[index] = height;
      }
      at += known;
    }
    if (shift !== 0) this.element.scrollTop = top + shift;
  }
}
