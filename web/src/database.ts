// IndexedDB: the sealed rows of the store, and the key that guards the store's key.

const ROWS = "rows";
const KEYS = "keys";

type Row = [Uint8Array, Uint8Array | null];

function done<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

function finished(transaction: IDBTransaction): Promise<void> {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new DOMException("the database was closed", "AbortError"));
  });
}

export class Database {
  #db: IDBDatabase;

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

  /** 32 bytes that are the same as long as the database is. On the disk they are sealed by a key that no script can read. */
  async secret(): Promise<Uint8Array> {
    const reading = this.#db.transaction(KEYS).objectStore(KEYS);
    const [key, sealed] = await Promise.all([done(reading.get("key")), done(reading.get("secret"))]) as
      [CryptoKey | undefined, { nonce: Uint8Array<ArrayBuffer>; bytes: ArrayBuffer } | undefined];
    if (key && sealed) {
      return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv: sealed.nonce }, key, sealed.bytes));
    }
    const fresh = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
    const secret = crypto.getRandomValues(new Uint8Array(32));
    const nonce = crypto.getRandomValues(new Uint8Array(12));
    const bytes = await crypto.subtle.encrypt({ name: "AES-GCM", iv: nonce }, fresh, secret);
    const writing = this.#db.transaction(KEYS, "readwrite", { durability: "strict" });
    writing.objectStore(KEYS).put(fresh, "key");
    writing.objectStore(KEYS).put({ nonce, bytes }, "secret");
    await finished(writing);
    return secret;
  }

  /** All rows that are kept. */
  async rows(): Promise<Row[]> {
    const store = this.#db.transaction(ROWS).objectStore(ROWS);
    const [keys, values] = await Promise.all([done(store.getAllKeys()), done(store.getAll())]);
    return keys.map((key, at) => [new Uint8Array(key as ArrayBuffer), values[at] as Uint8Array]);
  }

  /** Keeps all of these rows, or none; resolves when they survive the end of the browser. */
  keep(rows: Row[]): Promise<void> {
    const writing = this.#db.transaction(ROWS, "readwrite", { durability: "strict" });
    const store = writing.objectStore(ROWS);
    for (const [key, value] of rows) {
      if (value) store.put(value, key as Uint8Array<ArrayBuffer>);
      else store.delete(key as Uint8Array<ArrayBuffer>);
    }
    return finished(writing);
  }

  /** Forgets everything, the guarding key included: what lay in the database opens no more. */
  async erase(): Promise<void> {
    const writing = this.#db.transaction([ROWS, KEYS], "readwrite", { durability: "strict" });
    writing.objectStore(ROWS).clear();
    writing.objectStore(KEYS).clear();
    await finished(writing);
  }

  close(): void {
    this.#db.close();
  }
}
