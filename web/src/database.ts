// IndexedDB: the sealed rows of the store, the key that guards the store's key, and the one that signs as this device.

const ROWS = "rows";
const KEYS = "keys";
/** Who may write: in KEYS, beside the guarding key and the secret. */
const OWNER = "owner";
/** Keys that sign, in KEYS, by public key. */
const SIGNS = "signs/";
const SIGNING = IDBKeyRange.bound(SIGNS, `${SIGNS}\uffff`);
const ED25519 = "Ed25519";

type Row = [Uint8Array, Uint8Array | null];

/** What guards the store's key: 32 bytes, or these sealed under a passphrase. */
export interface Secret { bytes: Uint8Array<ArrayBuffer>; isLocked: boolean }
/** The same on the disk, sealed by a key that no script can read. */
interface Sealed { nonce: Uint8Array<ArrayBuffer>; bytes: ArrayBuffer; isLocked?: boolean }

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new DOMException("the database was closed, or another tab has it", "AbortError"));
  });
}

function signs(publicKey: Uint8Array): string {
  return SIGNS + Array.from(publicKey, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export class Database {
  #db: IDBDatabase;
  #owner = crypto.randomUUID();
  /** The key of the link that is under way, until it is kept with the first rows of it. */
  #made: { name: string; key: CryptoKey } | undefined;

  private constructor(db: IDBDatabase) {
    this.#db = db;
  }

  static async open(name: string): Promise<Database> {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore(ROWS);
      request.result.createObjectStore(KEYS);
    };
    return new Database(await done(request));
  }

  /** From here on only this object writes: what another one began before is done or refused, however late it comes. */
  async own(): Promise<void> {
    const writing = this.#db.transaction([ROWS, KEYS], "readwrite", { durability: "strict" });
    writing.objectStore(KEYS).put(this.#owner, OWNER);
    await finished(writing);
  }

  /** Changes all of it or nothing, and nothing once another object owns the database; resolves when it is on the disk. */
  #write(change: (rows: IDBObjectStore, keys: IDBObjectStore) => void): Promise<void> {
    const writing = this.#db.transaction([ROWS, KEYS], "readwrite", { durability: "strict" });
    const [rows, keys] = [writing.objectStore(ROWS), writing.objectStore(KEYS)];
    const asked = keys.get(OWNER);
    asked.onsuccess = () => {
      if (asked.result === this.#owner) change(rows, keys);
      else writing.abort();
    };
    return finished(writing);
  }

  /** The same as long as the database is; made when there is none. */
  async secret(): Promise<Secret> {
    const reading = this.#db.transaction(KEYS).objectStore(KEYS);
    const [key, sealed] = await Promise.all([done(reading.get("key")), done(reading.get("secret"))]) as
      [CryptoKey | undefined, Sealed | undefined];
    if (key && sealed) {
      const bytes = await crypto.subtle.decrypt({ name: "AES-GCM", iv: sealed.nonce }, key, sealed.bytes);
      return { bytes: new Uint8Array(bytes), isLocked: sealed.isLocked ?? false };
    }
    const secret = { bytes: crypto.getRandomValues(new Uint8Array(32)), isLocked: false };
    await this.guard(secret);
    return secret;
  }

  /** Keeps a secret in the place of the one before, under a new key. */
  async guard({ bytes, isLocked }: Secret): Promise<void> {
    const key = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
    const nonce = crypto.getRandomValues(new Uint8Array(12));
    const sealed: Sealed = { nonce, bytes: await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, key, bytes), isLocked };
    await this.#write((_, keys) => {
      keys.put(key, "key");
      keys.put(sealed, "secret");
    });
  }

  /** All rows that are kept. */
  async rows(): Promise<Row[]> {
    const store = this.#db.transaction(ROWS).objectStore(ROWS);
    const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
    return keys.map((key, at) => [new Uint8Array(key as ArrayBuffer), values[at] as Uint8Array]);
  }

  /** Keeps all of these rows, or none, and with them the key of a new link; resolves when they survive the end of the browser. */
  async keep(rows: Row[]): Promise<void> {
    const made = this.#made;
    await this.#write((store, keys) => {
      if (made) {
        // There is one link, and that is the new one.
        keys.delete(SIGNING);
        keys.put(made.key, made.name);
      }
      for (const [key, value] of rows) {
        if (value) store.put(value, key as Uint8Array<ArrayBuffer>);
        else store.delete(key as Uint8Array<ArrayBuffer>);
      }
    });
    if (this.#made === made) this.#made = undefined;
  }

  /**
   * A new key that signs and that no script can read, for one link: its public key. Null where the browser has no such keys; and
   * behind a lock, because nothing but the sealed store is under the passphrase.
   */
  async makeKey(): Promise<Uint8Array | null> {
    const sealed = await done(this.#db.transaction(KEYS).objectStore(KEYS).get("secret")) as Sealed | undefined;
    if (sealed?.isLocked) return null;
    try {
      const { publicKey, privateKey } = await crypto.subtle.generateKey(ED25519, false, ["sign", "verify"]) as CryptoKeyPair;
      // Whether it signs, and can be kept, is known when it did.
      await crypto.subtle.sign(ED25519, structuredClone(privateKey), new Uint8Array());
      const raw = new Uint8Array(await crypto.subtle.exportKey("raw", publicKey));
      this.#made = { name: signs(raw), key: privateKey };
      return raw;
    } catch {
      return null;
    }
  }

  /** Signs with the key of this link. */
  async sign(publicKey: Uint8Array, message: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    const name = signs(publicKey);
    const key = this.#made?.name === name ? this.#made.key
      : await done(this.#db.transaction(KEYS).objectStore(KEYS).get(name)) as CryptoKey | undefined;
    if (!key) throw new DOMException("the key of this device is gone", "NotFoundError");
    return new Uint8Array(await crypto.subtle.sign(ED25519, key, message));
  }

  /** Erases keys that sign for no link: of one that was never completed. */
  async keepOnlyKey(publicKey: Uint8Array | undefined): Promise<void> {
    const used = publicKey && signs(publicKey);
    const names = await done(this.#db.transaction(KEYS).objectStore(KEYS).getAllKeys(SIGNING));
    const idle = names.filter((name) => name !== used);
    if (idle.length > 0) await this.#write((_, keys) => idle.forEach((name) => keys.delete(name)));
  }

  /** Forgets everything, all keys included: what lay in the database opens no more. */
  erase(): Promise<void> {
    this.#made = undefined;
    return this.#write((rows, keys) => {
      rows.clear();
      keys.clear();
      keys.put(this.#owner, OWNER);
    });
  }

  close(): void {
    this.#db.close();
  }
}
