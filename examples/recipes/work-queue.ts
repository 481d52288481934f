/**
 * Jobs that are kept until somebody has finished them.
 *
 *     put -> ready -> leased to a worker -> finished: gone
 *               ^--- the lease's time is up
 *
 * A job is a record below `queue:NAME:job:`, in the order in which jobs were put. A lease
 * is a record of its own, which expires: so a worker that dies gives its job back.
 */
import { randomUUID } from "node:crypto";
import type { KeyValueStore, Mutation } from "kvix";

/** How many of the oldest jobs a worker looks at before it says that there is none. */
const LOOKED_AT_MAX = 100;

/** A job that this worker has until its lease ends. */
export interface Job {
  readonly id: string;
  readonly text: string;
  /** Larger than that of every earlier lease of this job: a fencing token. */
  readonly token: number;
}

/** A queue by its name. */
export class WorkQueue {
  readonly #kvix: KeyValueStore;
  readonly #prefix: string;

  constructor(kvix: KeyValueStore, name: string) {
    this.#kvix = kvix;
    this.#prefix = `queue:${name}:`;
  }

  /** Puts a job; once this resolves it is durable. */
  async put(text: string): Promise<string> {
    const id = `${String(Date.now()).padStart(15, "0")}-${randomUUID()}`;
    await this.#kvix.set(this.#jobKey(id), text);
    return id;
  }

  /** Leases the oldest job that nobody has, for `leaseMs`; undefined: there is none. */
  async take(leaseMs: number): Promise<Job | undefined> {
    const prefix = this.#jobKey("");
    for await (const listed of this.#kvix.scan({ prefix, limit: LOOKED_AT_MAX })) {
      const id = listed.keyText().slice(prefix.length);
      const key = this.#leaseKey(id);
      const { applied, results } = await this.#kvix.commit(
        [{ kind: "set", key, value: "", ttlMs: leaseMs }],
        {
          conditions: [
            { key, ifAbsent: true },
            { key: this.#jobKey(id), ifVersion: listed.version },
          ],
        },
      );
      const token = results[0]?.version;
      const record = listed.record ?? (await this.#kvix.get(this.#jobKey(id)));
      if (applied && token !== undefined && record !== undefined) {
        return { id, text: record.text(), token };
      }
    }
    return undefined;
  }

  /**
   * Takes the job away, together with the changes that are its result; false: the lease
   * has ended, the job is or will be another's, and nothing was changed.
   */
  async finish({ id, token }: Job, result: readonly Mutation[] = []): Promise<boolean> {
    const [job, lease] = [this.#jobKey(id), this.#leaseKey(id)];
    const { applied } = await this.#kvix.commit(
      [...result, { kind: "delete", key: job }, { kind: "delete", key: lease }],
      { conditions: [{ key: lease, ifVersion: token }] },
    );
    return applied;
  }

  #jobKey(id: string): string {
    return `${this.#prefix}job:${id}`;
  }

  #leaseKey(id: string): string {
    return `${this.#prefix}lease:${id}`;
  }
}
