/**
 * A store for express-session, over any store of kvix: the client of a server, or the
 * embedded one.
 *
 *     import session from "express-session";
 *     const store = sessionStore(session.Store, kvix);
 *     app.use(session({ store, secret, resave: false, saveUninitialized: false }));
 *
 * A session is one record: its key the prefix and the id, its value the session as JSON.
 * It expires with its cookie, in the store itself: nothing has to be swept.
 *
 * Invariants
 *  1. It touches no key outside its prefix.
 *  2. What was answered is durable: a logout is not undone by a crash.
 *  3. A touch changes the expiry alone. It undoes no change that another request made
 *     meanwhile, and brings back no session that was destroyed.
 *  4. A callback is called once, and what it throws is its own.
 *
 * express-session is no dependency: the class to build on is handed in, so that it is
 * the application's own (docs/decisions/0026).
 */
import type { KeyValueStore } from "../kv/key-value-store.js";
import type { KvixRecord } from "../kv/records.js";

/** How long a session lives whose cookie has no end: a day, as with other stores. */
const TTL_MS_USUAL = 24 * 60 * 60 * 1000;

/** What the store may be told. */
export interface SessionStoreOptions {
  /** What its keys begin with, at least 1 character: "session:" by default. */
  readonly prefix?: string | undefined;
  /** How long a session lives whose cookie has no end, in milliseconds; by default a day. */
  readonly ttlMs?: number | undefined;
}

/** A session as it is stored; of its cookie only the end matters here. */
export interface StoredSession {
  // biome-ignore lint/suspicious/noExplicitAny: cookies have types of express-session's own.
  cookie: any;
}

/** How express-session is answered. */
// biome-ignore lint/suspicious/noExplicitAny: what a session holds is its application's.
export type SessionCallback = (error?: any, answer?: any) => void;

/** What the store does beside what express-session's own Store does. */
export interface SessionMethods {
  /** The session; nothing if there is none. */
  get(id: string, callback: SessionCallback): void;
  /** Writes the session; it then expires with its cookie. */
  set(id: string, session: StoredSession, callback?: SessionCallback): void;
  /** Gives the session the end of this cookie; nothing else of it is written. */
  touch(id: string, session: StoredSession, callback?: SessionCallback): void;
  /** Removes the session. */
  destroy(id: string, callback?: SessionCallback): void;
  /** All sessions, each with its id as `id`. */
  all(callback: SessionCallback): void;
  /** How many sessions there are. */
  length(callback: SessionCallback): void;
  /** Removes all sessions. Not atomic. */
  clear(callback?: SessionCallback): void;
}

/** express-session's Store. */
export type SessionStoreBase = abstract new () => object;

/**
 * A session store over `kvix`, which is its caller's to close. `Base` is the `Store` of
 * the application's express-session. Throws RangeError if the prefix is empty.
 */
export function sessionStore<Base extends SessionStoreBase>(
  Base: Base,
  kvix: KeyValueStore,
  options: SessionStoreOptions = {},
): InstanceType<Base> & SessionMethods {
  const sessions = new Sessions(kvix, options);
  // A mixin must take any arguments; there are none.
  const Parent = Base as unknown as new () => object;

  class KvixSessionStore extends Parent implements SessionMethods {
    get(id: string, callback: SessionCallback): void {
      answer(sessions.get(id), callback);
    }

    set(id: string, session: StoredSession, callback?: SessionCallback): void {
      answer(sessions.set(id, session), callback);
    }

    touch(id: string, session: StoredSession, callback?: SessionCallback): void {
      answer(sessions.touch(id, session), callback);
    }

    destroy(id: string, callback?: SessionCallback): void {
      answer(sessions.destroy(id), callback);
    }

    all(callback: SessionCallback): void {
      answer(sessions.all(), callback);
    }

    length(callback: SessionCallback): void {
      answer(sessions.count(), callback);
    }

    clear(callback?: SessionCallback): void {
      answer(sessions.clear(), callback);
    }
  }
  return new KvixSessionStore() as InstanceType<Base> & SessionMethods;
}

/** Hands on what becomes of a promise, behind it: what the callback throws is no rejection. */
function answer<Answer>(promise: Promise<Answer>, callback: SessionCallback = rethrow): void {
  promise.then(
    (value) => queueMicrotask(() => callback(null, value)),
    (error: unknown) => queueMicrotask(() => callback(error)),
  );
}

/** Who gives no callback must not miss an error. */
function rethrow(error: unknown): void {
  if (error !== null) throw error;
}

/** Sessions by their ids. */
class Sessions {
  readonly #kvix: KeyValueStore;
  readonly #prefix: string;
  readonly #ttlMs: number;

  constructor(
    kvix: KeyValueStore,
    { prefix = "session:", ttlMs = TTL_MS_USUAL }: SessionStoreOptions,
  ) {
    if (prefix === "") throw new RangeError("prefix must have at least 1 character");
    this.#kvix = kvix;
    this.#prefix = prefix;
    this.#ttlMs = ttlMs;
  }

  async get(id: string): Promise<StoredSession | undefined> {
    const record = await this.#kvix.get(this.#prefix + id);
    return record && sessionOf(record);
  }

  async set(id: string, session: StoredSession): Promise<void> {
    await this.#kvix.set(this.#prefix + id, JSON.stringify(session), this.#expiryOf(session));
  }

  async touch(id: string, session: StoredSession): Promise<void> {
    await this.#kvix.touch(this.#prefix + id, this.#expiryOf(session));
  }

  async destroy(id: string): Promise<void> {
    await this.#kvix.delete(this.#prefix + id);
  }

  async all(): Promise<object[]> {
    const sessions: object[] = [];
    for await (const listed of this.#kvix.scan({ prefix: this.#prefix })) {
      const id = listed.keyText().slice(this.#prefix.length);
      const record = listed.record ?? (await this.#kvix.get(this.#prefix + id));
      if (record !== undefined) sessions.push({ ...sessionOf(record), id });
    }
    return sessions;
  }

  async count(): Promise<number> {
    let count = 0;
    for await (const _ of this.#kvix.scan({ prefix: this.#prefix, keysOnly: true })) count += 1;
    return count;
  }

  async clear(): Promise<void> {
    while ((await this.#kvix.deleteRange({ prefix: this.#prefix })).more);
  }

  /**
   * The end of the cookie. One that is past is taken too: the session is then gone at once.
   * What is no instant is no end, as it is in JSON.
   */
  #expiryOf({ cookie }: StoredSession): { expireAt: number } | { ttlMs: number } {
    const expires: unknown = cookie?.expires;
    const atMs = expires ? new Date(expires as Date | string).getTime() : Number.NaN;
    return Number.isNaN(atMs) ? { ttlMs: this.#ttlMs } : { expireAt: atMs };
  }
}

/** The session as it was written, with the end that the last touch gave it. */
function sessionOf(record: KvixRecord): StoredSession {
  const session = JSON.parse(record.text()) as StoredSession;
  if (session.cookie?.expires) session.cookie.expires = record.expireTime?.toISOString();
  return session;
}
