/**
 * The other stores as contenders, each in its own durable mode and in the manner
 * in which it was found to be fastest. They live in bench/peers, a package of its
 * own, so their few calls that are used here are declared here.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { repositoryRoot } from "../test/support/paths.js";
import {
  batchesInFlight,
  batchRecords,
  loadInFlight,
  type OpenContender,
  runsOf,
} from "./engine-contender.js";

const requirePeer = createRequire(join(repositoryRoot, "bench", "peers", "package.json"));

interface Lmdb {
  open(options: Record<string, unknown>): LmdbStore;
}

interface LmdbStore {
  readonly flushed: PromiseLike<unknown>;
  put(key: Buffer, value: Buffer): Promise<boolean>;
  getBinary(key: Buffer): Buffer | undefined;
  putSync(key: Buffer, value: Buffer): boolean;
  transactionSync<T>(action: () => T): T;
  close(): Promise<void>;
}

/** LMDB through lmdb-js. Its put resolves when committed, which is before the sync. */
export const openLmdb: OpenContender = async (directory, records) => {
  const { open } = requirePeer("lmdb") as Lmdb;
  const store = open({ path: directory, keyEncoding: "binary", encoding: "binary" });
  return {
    manner: {
      put: "`put`, then `flushed`",
      get: "`getBinary`",
      "load each": `\`putSync\`s in a \`transactionSync\` of ${batchRecords}, then \`flushed\`, ${batchesInFlight} in flight`,
      "load end": "`putSync`s in one `transactionSync`, then `flushed`",
    },
    put: async (index) => {
      await store.put(records.key(index), records.value(index));
      await store.flushed;
    },
    get: (index) => store.getBinary(records.key(index)),
    load: async (durability) => {
      const write = async (first: number, end: number): Promise<void> => {
        store.transactionSync(() => {
          for (let index = first; index < end; index++) {
            store.putSync(records.key(index), records.value(index));
          }
        });
        await store.flushed;
      };
      if (durability === "each") await loadInFlight(records, write);
      else await write(0, records.count);
    },
    settle: async () => {},
    close: () => store.close(),
  };
};

interface ClassicLevel {
  ClassicLevel: new (directory: string, options: Record<string, unknown>) => LevelStore;
}

interface LevelBatch {
  put(key: Buffer, value: Buffer): this;
  write(options: { sync: boolean }): Promise<void>;
}

interface LevelStore {
  open(): Promise<void>;
  put(key: Buffer, value: Buffer, options: { sync: boolean }): Promise<void>;
  getSync(key: Buffer): Buffer | undefined;
  batch(): LevelBatch;
  compactRange(start: Buffer, end: Buffer): Promise<void>;
  close(): Promise<void>;
}

/** LevelDB through classic-level. */
export const openClassicLevel: OpenContender = async (directory, records) => {
  const { ClassicLevel } = requirePeer("classic-level") as ClassicLevel;
  const store = new ClassicLevel(directory, { keyEncoding: "buffer", valueEncoding: "buffer" });
  await store.open();
  return {
    manner: {
      put: "`put`, sync",
      get: "`getSync`",
      "load each": `chained \`batch\` of ${batchRecords}, sync, ${batchesInFlight} in flight`,
      "load end": `chained \`batch\` of ${batchRecords}, the last one sync`,
    },
    put: (index) => store.put(records.key(index), records.value(index), { sync: true }),
    get: (index) => store.getSync(records.key(index)),
    load: async (durability) => {
      const write = (first: number, end: number): Promise<void> => {
        const batch = store.batch();
        for (let index = first; index < end; index++) {
          batch.put(records.key(index), records.value(index));
        }
        return batch.write({ sync: durability === "each" || end === records.count });
      };
      if (durability === "each") return loadInFlight(records, write);
      for (const [first, end] of runsOf(records, batchRecords)) await write(first, end);
    },
    settle: () => store.compactRange(Buffer.alloc(1), Buffer.alloc(17, 0xff)),
    close: () => store.close(),
  };
};

type Sqlite = new (file: string) => SqliteStore;

interface SqliteStore {
  pragma(text: string): unknown;
  exec(text: string): void;
  prepare(text: string): SqliteStatement;
  close(): void;
}

interface SqliteStatement {
  run(...values: readonly Buffer[]): unknown;
  get(...values: readonly Buffer[]): Buffer | undefined;
  pluck(): SqliteStatement;
}

/** SQLite through better-sqlite3, which is synchronous: one write at a time. */
export const openBetterSqlite: OpenContender = async (directory, records) => {
  const Database = requirePeer("better-sqlite3") as Sqlite;
  const store = new Database(join(directory, "store.db"));
  store.pragma("journal_mode = WAL");
  store.pragma("synchronous = FULL");
  store.exec("CREATE TABLE records (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID");
  const put = store.prepare("INSERT OR REPLACE INTO records VALUES (?, ?)");
  const get = store.prepare("SELECT value FROM records WHERE key = ?").pluck();
  return {
    manner: {
      put: "WAL, synchronous FULL, one `INSERT` at a time",
      get: "prepared `SELECT`",
      "load each": `WAL, synchronous FULL, \`INSERT\`s in transactions of ${batchRecords}`,
      "load end": "`INSERT`s in one transaction",
    },
    put: (index) => {
      put.run(records.key(index), records.value(index));
      return undefined;
    },
    get: (index) => get.get(records.key(index)),
    load: async (durability) => {
      const size = durability === "each" ? batchRecords : records.count;
      for (const [first, end] of runsOf(records, size)) {
        store.exec("BEGIN");
        for (let index = first; index < end; index++) {
          put.run(records.key(index), records.value(index));
        }
        store.exec("COMMIT");
      }
    },
    settle: async () => {
      store.pragma("wal_checkpoint(TRUNCATE)");
    },
    close: async () => store.close(),
  };
};
