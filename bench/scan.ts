/**
 * scan: keys per second of an ordered scan of a prefix over gRPC, from the first record
 * to the last, at one point in time: kvix's Scan against etcd's Range in pages, all of
 * them at the revision of the first. Each server has a process of its own; the client is
 * the same for all, and does no more with an answer than to find its records: it steps from
 * field to field over the bytes, by one function for both. Its window is 1 MiB for both:
 * with the 64 KiB that grpc-js begins with, a server waits for its client in the midst of
 * every message. What of the time of a round the client computed itself is told beside each
 * side's rate: where that is near all of it, the client is what is measured.
 *
 * Etcd is asked in its quickest manner (serializable), with pages of 1,000 and, because
 * it counts the whole range anew for each page, of 10,000: the better one counts. The more
 * keys, the more that favours kvix; 200,000 is what a service may well have under a prefix.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import { Client, credentials } from "@grpc/grpc-js";
import { openStore } from "../src/engine/open-store.js";
import { nodeHost } from "../src/host/node-host.js";
import { repositoryRoot } from "../test/support/paths.js";
import { ServerProcess } from "../test/support/server-process.js";
import type { BenchResult } from "./bench-result.js";
import { keyBytes, Records, valueBytes } from "./engine-records.js";
import { median } from "./engine-rounds.js";
import { startEtcd } from "./etcd-peer.js";
import { sizeFrom } from "./index-keys.js";

const PREFIX = Buffer.from("bench/");
/** The first key above all that begin with the prefix: "/" + 1 is "0". */
const PREFIX_END = Buffer.from("bench0");
const PAGES = [1_000, 10_000] as const;
/** What etcd takes in one transaction by default is 128. */
const PUTS_PER_TXN = 100;
const TXNS_IN_FLIGHT = 32;
const SETS_PER_BATCH = 1_000;
/** A wire type. */
const LENGTH_DELIMITED = 2;
const CLIENT_OPTIONS = {
  "grpc.max_receive_message_length": -1,
  "grpc-node.flow_control_window": 1024 * 1024,
};

/** One side: scans all, and answers how many records it was told. */
interface Side {
  readonly name: string;
  readonly rates: number[];
  /** Of each turn: the share of its time that this process computed. */
  readonly clientShares: number[];
  scan(): Promise<number>;
}

/** Scans by turns, KVIX_BENCH_ROUNDS turns a side, KVIX_BENCH_KEYS keys. */
export async function run(): Promise<BenchResult> {
  const count = sizeFrom("KVIX_BENCH_KEYS", 200_000);
  const rounds = sizeFrom("KVIX_BENCH_ROUNDS", 5);
  const parent = process.env["KVIX_BENCH_DIR"] ?? join(repositoryRoot, "node_modules", ".cache");
  mkdirSync(parent, { recursive: true });
  const home = mkdtempSync(join(parent, "kvix-scan-"));
  const endings: (() => unknown)[] = [];
  try {
    const records = new Records(count);
    for (let at = 0; at < count; at += 1) records.key(at).set(PREFIX);
    await loadKvix(join(home, "kvix"), records);
    const kvix = await ServerProcess.start(join(home, "kvix"));
    endings.push(() => kvix.end("SIGTERM"));
    const etcd = await startEtcd(join(home, "etcd"));
    endings.push(() => etcd.end());
    const ours = connect(kvix.address);
    const theirs = connect(etcd.address);
    endings.push(
      () => ours.close(),
      () => theirs.close(),
    );
    await loadEtcd(theirs, records);
    const sides: Side[] = [
      { name: "kvix", rates: [], clientShares: [], scan: () => scanKvix(ours) },
      ...PAGES.map((page) => ({
        name: `etcd, pages of ${page.toLocaleString("en")}`,
        rates: [],
        clientShares: [],
        scan: () => scanEtcd(theirs, page),
      })),
    ];
    for (const side of sides) await turn(side, count);
    for (const side of sides) {
      side.rates.length = 0;
      side.clientShares.length = 0;
    }
    for (let round = 0; round < rounds; round += 1) {
      for (let at = 0; at < sides.length; at += 1) {
        await turn(sides[(at + round) % sides.length] as Side, count);
      }
    }
    return resultOf(sides, { etcd: etcd.version, records: count, rounds });
  } finally {
    for (const end of endings.reverse()) await end();
    rmSync(home, { recursive: true, force: true });
  }
}

function resultOf(sides: readonly Side[], detail: Record<string, unknown>): BenchResult {
  const [kvix, ...others] = sides as [Side, ...Side[]];
  const best = others.reduce((one, other) =>
    median(other.rates) > median(one.rates) ? other : one,
  );
  const ratios = kvix.rates.map((rate, round) => rate / (best.rates[round] ?? Number.NaN));
  return {
    name: "scan",
    ours: Math.round(median(kvix.rates)),
    theirs: Math.round(median(best.rates)),
    ratio: rounded(median(kvix.rates) / median(best.rates)),
    spread: [rounded(Math.min(...ratios)), rounded(Math.max(...ratios))],
    unit: "keys/s",
    detail: {
      best: best.name,
      ...detail,
      keyBytes,
      valueBytes,
      sides: sides.map(({ name, rates, clientShares }) => ({
        name,
        manner: name === "kvix" ? "Scan" : "Range, serializable, at one revision",
        median: Math.round(median(rates)),
        lowest: Math.round(Math.min(...rates)),
        highest: Math.round(Math.max(...rates)),
        clientShare: rounded(median(clientShares)),
      })),
    },
  };
}

async function turn(side: Side, count: number): Promise<void> {
  const startMs = performance.now();
  const before = process.cpuUsage();
  const found = await side.scan();
  const { user, system } = process.cpuUsage(before);
  const seconds = (performance.now() - startMs) / 1000;
  if (found !== count) throw new Error(`${side.name} told of ${found} records of ${count}`);
  side.rates.push(found / seconds);
  side.clientShares.push((user + system) / 1_000_000 / seconds);
}

async function loadKvix(dataDir: string, records: Records): Promise<void> {
  const quiet = () => undefined;
  const log = { debug: quiet, info: quiet, warn: quiet, error: quiet };
  const store = await openStore({ dataDir }, nodeHost({ log }));
  for (const batch of batches(records, SETS_PER_BATCH)) {
    const mutations = batch.map(
      (at) => ({ kind: "set", key: records.key(at), value: records.value(at) }) as const,
    );
    await store.commit(mutations, { durability: "buffered" });
  }
  await store.close();
}

async function loadEtcd(client: Client, records: Records): Promise<void> {
  const all = batches(records, PUTS_PER_TXN);
  const load = async (): Promise<void> => {
    for (const batch of all) await unary(client, "/etcdserverpb.KV/Txn", txnOf(batch, records));
  };
  // Each waits for a sync: several at once share them.
  await Promise.all(Array.from({ length: TXNS_IN_FLIGHT }, load));
}

/** TxnRequest.success = 2, RequestOp.request_put = 2, PutRequest { key = 1, value = 2 }. */
function txnOf(batch: readonly number[], records: Records): Uint8Array {
  const txn = new BinaryWriter();
  for (const at of batch) {
    txn.tag(2, 2).fork().tag(2, 2).fork();
    txn.tag(1, 2).bytes(records.key(at)).tag(2, 2).bytes(records.value(at));
    txn.join().join();
  }
  return txn.finish();
}

/** The numbers of all records in random order, so many at a time. */
function* batches(records: Records, size: number): Generator<number[]> {
  const order = records.shuffled();
  for (let at = 0; at < order.length; at += size) yield [...order.subarray(at, at + size)];
}

async function scanKvix(client: Client): Promise<number> {
  // ScanRequest.prefix = 1
  const request = Buffer.from(new BinaryWriter().tag(1, 2).bytes(PREFIX).finish());
  const call = client.makeServerStreamRequest("/kvix.v1.KvService/Scan", asItIs, asItIs, request);
  let found = 0;
  for await (const answer of call) found += foundIn(answer as Buffer, 1).count;
  return found;
}

async function scanEtcd(client: Client, page: number): Promise<number> {
  let found = 0;
  let revision = 0;
  let key: Uint8Array = PREFIX;
  for (;;) {
    // RangeRequest { key = 1, range_end = 2, limit = 3, revision = 4, serializable = 7 }
    const request = new BinaryWriter().tag(1, 2).bytes(key).tag(2, 2).bytes(PREFIX_END);
    request.tag(3, 0).int64(page).tag(4, 0).int64(revision).tag(7, 0).bool(true);
    const answer = await unary(client, "/etcdserverpb.KV/Range", request.finish());
    // RangeResponse { header = 1, kvs = 2, more = 3 }, ResponseHeader.revision = 3, KeyValue.key = 1
    const { count, last } = foundIn(answer, 2);
    found += count;
    if (count < page || last === undefined) return found;
    if (revision === 0) revision = Number(numberIn(fieldIn(answer, 1), 3));
    key = Buffer.concat([fieldIn(last, 1), Buffer.of(0)]);
  }
}

/**
 * How many messages of a field there are, and the last of them. Every answer has but
 * varints and fields of bytes, with numbers below 16.
 */
function foundIn(answer: Uint8Array, field: number): { count: number; last?: Uint8Array } {
  const sought = (field << 3) | LENGTH_DELIMITED;
  let count = 0;
  let lastStart = 0;
  let lastEnd = 0;
  for (let at = 0; at < answer.length; ) {
    const tag = answer[at++] as number;
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = answer[at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) break;
    }
    if ((tag & 7) !== LENGTH_DELIMITED) continue;
    if (tag === sought) {
      count += 1;
      lastStart = at;
      lastEnd = at + value;
    }
    at += value;
  }
  return count === 0 ? { count } : { count, last: answer.subarray(lastStart, lastEnd) };
}

/** The bytes of a field. */
function fieldIn(message: Uint8Array, field: number): Uint8Array {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === field) return reader.bytes();
    reader.skip(wireType);
  }
  throw new Error(`there is no field ${field}`);
}

function numberIn(message: Uint8Array, field: number): bigint {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (number === field) return BigInt(reader.int64());
    reader.skip(wireType);
  }
  throw new Error(`there is no field ${field}`);
}

function connect(address: string): Client {
  return new Client(address, credentials.createInsecure(), CLIENT_OPTIONS);
}

function unary(client: Client, path: string, request: Uint8Array): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, asItIs, asItIs, Buffer.from(request), (error, answer) => {
      if (error !== null) reject(error);
      else resolve(answer as Buffer);
    });
  });
}

const asItIs = (bytes: Buffer): Buffer => bytes;
const rounded = (ratio: number): number => Math.round(ratio * 100) / 100;
