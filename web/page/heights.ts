// How high the items of a list are: where one begins, and which one lies at a height, in steps that grow with the logarithm of
// their number. A Fenwick tree (Fenwick 1994, "A new data structure for cumulative frequency tables") with room at both ends.

const LEAST = 256;

export class Heights {
  /** By slot: items stand side by side somewhere in the middle, all other slots are 0. */
  #each = new Float64Array(LEAST);
  /** `#sums[at]` is that of the slots before `at`, back to where the lowest set bit of `at` is taken away. */
  #sums = new Float64Array(LEAST + 1);
  #from = LEAST / 2;
  #to = LEAST / 2;
  #total = 0;

  get length(): number { return this.#to - this.#from; }
  /** Of all items. */
  get total(): number { return this.#total; }

  /** Adds items before the first one. */
  prepend(heights: readonly number[]): void {
    if (this.#from < heights.length) this.#move(heights.length);
    this.#from -= heights.length;
    heights.forEach((height, at) => this.#put(this.#from + at, height));
  }

  /** Adds items behind the last one. */
  append(heights: readonly number[]): void {
    if (this.#to + heights.length > this.#each.length) this.#move(heights.length);
    heights.forEach((height, at) => this.#put(this.#to + at, height));
    this.#to += heights.length;
  }

  /** Drops all items from here on. */
  cut(from: number): void {
    for (let slot = this.#from + from; slot < this.#to; slot++) this.#put(slot, 0);
    this.#to = Math.min(this.#to, this.#from + from);
  }

  of(at: number): number {
    return this.#each[this.#from + at] as number;
  }

  set(at: number, height: number): void {
    this.#put(this.#from + at, height);
  }

  /** Where an item begins: the height of all before it. */
  before(at: number): number {
    let sum = 0;
    for (let node = this.#from + at; node > 0; node -= node & -node) sum += this.#sums[node] as number;
    return sum;
  }

  /** Which item lies at this height: the last that begins at it or before; the first or the last where there is none. */
  at(height: number): number {
    let [slot, left] = [0, height];
    for (let step = this.#each.length; step > 0; step >>= 1) {
      const sum = this.#sums[slot + step];
      if (sum === undefined || sum > left) continue;
      slot += step;
      left -= sum;
    }
    return Math.max(0, Math.min(slot - this.#from, this.length - 1));
  }

  #put(slot: number, height: number): void {
    const more = height - (this.#each[slot] as number);
    this.#each[slot] = height;
    this.#total += more;
    for (let node = slot + 1; node < this.#sums.length; node += node & -node) this.#sums[node] = (this.#sums[node] as number) + more;
  }

  /** Makes room for so many more at each end; seldom, because the room doubles. */
  #move(more: number): void {
    const kept = this.#each.slice(this.#from, this.#to);
    let size = this.#each.length;
    while (size < 2 * (kept.length + 2 * more)) size *= 2;
    this.#each = new Float64Array(size);
    this.#from = (size - kept.length) >> 1;
    this.#to = this.#from + kept.length;
    this.#each.set(kept, this.#from);
    this.#sums = new Float64Array(size + 1);
    this.#sums.set(this.#each, 1);
    for (let node = 1; node <= size; node++) {
      const parent = node + (node & -node);
      if (parent <= size) this.#sums[parent] = (this.#sums[parent] as number) + (this.#sums[node] as number);
    }
    // What was rounded on the way is forgotten.
    this.#total = this.before(this.length);
  }
}
