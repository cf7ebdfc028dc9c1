// IndexedDB: the sealed rows of the store, and the key that guards the store's key.

const ROWS = "rows";
const KEYS = "keys";
/** Who may write: in KEYS, beside the guarding key and the secret. */
const OWNER = "owner";

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

export class Database {
  #db: IDBDatabase;
  #owner = crypto.randomUUID();

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

  /** Keeps all of these rows, or none; resolves when they survive the end of the browser. */
  keep(rows: Row[]): Promise<void> {
    return this.#write((store) => {
      for (const [key, value] of rows) {
        if (value) store.put(value, key as Uint8Array<ArrayBuffer>);
        else store.delete(key as Uint8Array<ArrayBuffer>);
      }
    });
  }

  /** Forgets everything, the guarding key included: what lay in the database opens no more. */
  erase(): Promise<void> {
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
