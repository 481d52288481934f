/**
 * Sessions of a web service in an embedded kvix: each lives for a while after
 * it was last seen, survives a restart, and ends for good at a logout.
 *
 *     node dist/examples/session-store.js DIRECTORY
 */
import { randomUUID } from "node:crypto";
import { pathToFileURL } from "node:url";
import { type Kvix, open } from "kvix";

/** How long a session lives after it was last seen. */
const SESSION_TTL_MS = 30 * 60 * 1000;

/** What a session remembers. */
export interface Session {
  readonly user: string;
  readonly cart: readonly string[];
}

/** Sessions by id. */
export class SessionStore {
  readonly #kvix: Kvix;

  constructor(kvix: Kvix) {
    this.#kvix = kvix;
  }

  /** Starts a session and answers its id. Once this resolves, no crash takes it away. */
  async start(session: Session): Promise<string> {
    const id = randomUUID();
    await this.#kvix.setX(keyOf(id), JSON.stringify(session), SESSION_TTL_MS, { ifAbsent: true });
    return id;
  }

  /** The session, if it has not ended. */
  async find(id: string): Promise<Session | undefined> {
    const record = await this.#kvix.get(keyOf(id));
    return record === undefined ? undefined : (JSON.parse(record.text()) as Session);
  }

  /** Changes a session and prolongs it; two changes at once never undo each other. */
  async change(id: string, edit: (session: Session) => Session): Promise<Session | undefined> {
    for (;;) {
      const record = await this.#kvix.get(keyOf(id));
      if (record === undefined) return undefined;
      const next = edit(JSON.parse(record.text()) as Session);
      const options = { ttlMs: SESSION_TTL_MS, ifVersion: record.version };
      const { applied } = await this.#kvix.set(keyOf(id), JSON.stringify(next), options);
      if (applied) return next;
    }
  }

  /** Ends a session; answers whether there was one. */
  async end(id: string): Promise<boolean> {
    return (await this.#kvix.delete(keyOf(id))).deleted;
  }
}

function keyOf(id: string): string {
  return `session:${id}`;
}

/** Shows all of it, over a restart. */
export async function main(dataDir: string, print: (line: string) => void): Promise<void> {
  let id: string;
  {
    await using kvix = await open({ dataDir });
    const sessions = new SessionStore(kvix);
    id = await sessions.start({ user: "ada", cart: [] });
    await Promise.all(
      ["book", "lamp", "tea"].map((item) =>
        sessions.change(id, ({ user, cart }) => ({ user, cart: [...cart, item] })),
      ),
    );
    print(`started: ${await kvix.exists(keyOf(id))}`);
  }
  await using kvix = await open({ dataDir });
  const sessions = new SessionStore(kvix);
  const session = await sessions.find(id);
  print(`after a restart: ${session?.user} with ${session?.cart.length} items`);
  print(`ended: ${await sessions.end(id)}`);
  print(`found after the end: ${(await sessions.find(id)) !== undefined}`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  await main(process.argv[2] ?? "./data", console.log);
}
