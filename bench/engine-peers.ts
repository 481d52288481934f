/**
 * The other stores as contenders, each in its own durable mode and in the manner
 * in which it was found to be fastest. They live in bench/peers, a package of its
 * own, so their few calls that are used here are declared here.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { repositoryRoot } from "../test/support/paths.js";
import { type OpenContender, runsOf } from "./engine-contender.js";

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
      load: "`putSync`s in one `transactionSync`, then `flushed`",
    },
    put: async (index) => {
      await store.put(records.key(index), records.value(index));
      await store.flushed;
    },
    get: (index) => store.getBinary(records.key(index)),
    load: async () => {
      store.transactionSync(() => {
        for (let index = 0; index < records.count; index++) {
          store.putSync(records.key(index), records.value(index));
        }
      });
      await store.flushed;
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
      load: "chained `batch` of 1,000, the last one sync",
    },
    put: (index) => store.put(records.key(index), records.value(index), { sync: true }),
    get: (index) => store.getSync(records.key(index)),
    load: async () => {
      for (const [first, end] of runsOf(records, 1000)) {
        const batch = store.batch();
        for (let index = first; index < end; index++) {
          batch.put(records.key(index), records.value(index));
        }
        await batch.write({ sync: end === records.count });
      }
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
      load: "`INSERT`s in one transaction",
    },
    put: (index) => {
      put.run(records.key(index), records.value(index));
      return undefined;
    },
    get: (index) => get.get(records.key(index)),
    load: async () => {
      store.exec("BEGIN");
      for (let index = 0; index < records.count; index++) {
        put.run(records.key(index), records.value(index));
      }
      store.exec("COMMIT");
    },
    settle: async () => {
      store.pragma("wal_checkpoint(TRUNCATE)");
    },
    close: async () => store.close(),
  };
};
