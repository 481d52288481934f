/**
 * The servers that the pipeline benches write to, and the load: the same number of
 * connections and of operations in flight for all of them, in messages of 100 writes
 * each, which were encoded before the clock runs. The client does no more with an answer
 * than to count what it acknowledges, so it costs every side as little as it can.
 */
import { connect as connectSocket, type Socket } from "node:net";
import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter } from "@bufbuild/protobuf/wire";
import { Client, credentials } from "@grpc/grpc-js";
import { PipelineRequestSchema } from "../gen/kvix/v1/kvix_pb.js";
import { ServerProcess } from "../test/support/server-process.js";
import { Records } from "./engine-records.js";
import { startEtcd } from "./etcd-peer.js";
import { startRedis } from "./redis-peer.js";

export const connections = 4;
export const writesPerMessage = 100;
export const messagesInFlight = 10;
/** So many different messages are sent, again and again: 20,000 keys a connection. */
const messagesPerConnection = 200;

/** One connection to a server: sends a message, and calls back when all of it is acknowledged. */
export interface Lane {
  send(message: number, done: () => void): void;
  close(): void;
}

/** A server under load. */
export interface PipelineSide {
  readonly name: string;
  readonly manner: string;
  readonly lanes: readonly Lane[];
  end(): Promise<void>;
}

/** Writes for so long over all lanes; how many a second were acknowledged. */
export async function writeFor(side: PipelineSide, milliseconds: number): Promise<number> {
  const startMs = performance.now();
  const endMs = startMs + milliseconds;
  let written = 0;
  const run = (lane: Lane): Promise<void> =>
    new Promise((resolve) => {
      let open = 0;
      let next = 0;
      const more = (): void => {
        while (open < messagesInFlight && performance.now() < endMs) {
          open += 1;
          lane.send(next++ % messagesPerConnection, () => {
            open -= 1;
            written += writesPerMessage;
            more();
          });
        }
        if (open === 0) resolve();
      };
      more();
    });
  await Promise.all(side.lanes.map(run));
  return (written / (performance.now() - startMs)) * 1000;
}

/** The records of one message of one connection. */
function* recordsOf(records: Records, connection: number, message: number) {
  const first = (connection * messagesPerConnection + message) * writesPerMessage;
  for (let at = first; at < first + writesPerMessage; at += 1) {
    yield { key: records.key(at), value: records.value(at) };
  }
}

/** The messages of all connections, made by `encode`. */
function messages(encode: (pairs: Iterable<{ key: Buffer; value: Buffer }>) => Buffer): Buffer[][] {
  const records = new Records(connections * messagesPerConnection * writesPerMessage);
  return Array.from({ length: connections }, (_, connection) =>
    Array.from({ length: messagesPerConnection }, (__, message) =>
      encode(recordsOf(records, connection, message)),
    ),
  );
}

/** kvix: Set operations on a Pipeline. */
export async function openKvix(dataDir: string): Promise<PipelineSide> {
  const server = await ServerProcess.start(dataDir);
  const lanes = messages((pairs) => {
    const operations = [...pairs].map(({ key, value }, at) => ({
      id: BigInt(at + 1),
      operation: { case: "set", value: { key, value } } as const,
    }));
    return Buffer.from(
      toBinary(PipelineRequestSchema, create(PipelineRequestSchema, { operations })),
    );
  }).map((own) => pipelineLane(server.address, own));
  return {
    name: "kvix",
    manner: `Pipeline, ${writesPerMessage} sets a message, durability sync`,
    lanes,
    end: async () => {
      for (const lane of lanes) lane.close();
      await server.end("SIGTERM");
    },
  };
}

function pipelineLane(address: string, own: readonly Buffer[]): Lane {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const path = "/kvix.v1.KvService/Pipeline";
  const call = client.makeBidiStreamRequest(path, asItIs, asItIs);
  const waiting: (() => void)[] = [];
  let answered = 0;
  call.on("data", (message: Buffer) => {
    answered += resultsIn(message);
    for (; answered >= writesPerMessage; answered -= writesPerMessage) waiting.shift()?.();
  });
  call.on("error", (error: Error) => {
    if (!/CANCELLED/.test(error.message)) throw error;
  });
  return {
    send: (message, done) => {
      waiting.push(done);
      call.write(own[message] as Buffer);
    },
    close: () => {
      call.cancel();
      client.close();
    },
  };
}

const RESULT_TAG = 0x0a;
const ID_TAG = 0x08;
const SET_TAG = 0x2a;

/**
 * How many results a PipelineResponse has; throws if one is no answer to a set. By hand:
 * the client is to cost every server as little as it can.
 */
function resultsIn(message: Buffer): number {
  let count = 0;
  let at = 0;
  while (at < message.length) {
    if (message[at] !== RESULT_TAG) throw new Error("no result");
    const length = message[at + 1] as number;
    let next = at + 2;
    // An answer to a set has fewer than 128 bytes, a refusal may have more.
    if (length >= 0x80 || message[next] !== ID_TAG) throw new Error("a set was refused");
    do next += 1;
    while ((message[next] as number) >= 0x80);
    if (message[next + 1] !== SET_TAG) throw new Error("a set was refused");
    at += 2 + length;
    count += 1;
  }
  return count;
}

/** etcd: transactions of 100 puts. */
export async function openEtcd(dataDir: string): Promise<PipelineSide> {
  const server = await startEtcd(dataDir);
  const lanes = messages((pairs) => {
    // TxnRequest.success = 2, RequestOp.request_put = 2, PutRequest { key = 1, value = 2 }
    const txn = new BinaryWriter();
    for (const { key, value } of pairs) {
      txn
        .tag(2, 2)
        .fork()
        .tag(2, 2)
        .fork()
        .tag(1, 2)
        .bytes(key)
        .tag(2, 2)
        .bytes(value)
        .join()
        .join();
    }
    return Buffer.from(txn.finish());
  }).map((own) => txnLane(server.address, own));
  return {
    name: "etcd",
    manner: `Txn of ${writesPerMessage} puts, etcd ${server.version}`,
    lanes,
    end: async () => {
      for (const lane of lanes) lane.close();
      await server.end();
    },
  };
}

function txnLane(address: string, own: readonly Buffer[]): Lane {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const path = "/etcdserverpb.KV/Txn";
  return {
    send: (message, done) => {
      const request = own[message] as Buffer;
      client.makeUnaryRequest(path, asItIs, asItIs, request, (error) => {
        if (error !== null) throw error;
        done();
      });
    },
    close: () => client.close(),
  };
}

/** Redis: SET commands, 100 in a piece. */
export async function openRedis(dataDir: string): Promise<PipelineSide> {
  const server = await startRedis(dataDir);
  const lanes = await Promise.all(
    messages((pairs) => {
      const parts: Buffer[] = [];
      for (const { key, value } of pairs) {
        parts.push(Buffer.from(`*3\r\n$3\r\nSET\r\n$${key.length}\r\n`), key);
        parts.push(Buffer.from(`\r\n$${value.length}\r\n`), value, Buffer.from("\r\n"));
      }
      return Buffer.concat(parts);
    }).map((own) => commandLane(server.port, own)),
  );
  return {
    name: "redis",
    manner: `SET, ${writesPerMessage} pipelined, appendfsync always, Redis ${server.version}`,
    lanes,
    end: async () => {
      for (const lane of lanes) lane.close();
      await server.end();
    },
  };
}

const OK_BYTES = "+OK\r\n".length;
const PLUS = 0x2b;

async function commandLane(port: number, own: readonly Buffer[]): Promise<Lane> {
  const socket = await new Promise<Socket>((resolve, reject) => {
    const made = connectSocket({ port, host: "127.0.0.1", noDelay: true }, () => resolve(made));
    made.once("error", reject);
  });
  const waiting: (() => void)[] = [];
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    // Every answer is "+OK": what does not begin so, where one begins, is a refusal.
    const start = (OK_BYTES - (bytes % OK_BYTES)) % OK_BYTES;
    if (start < chunk.length && chunk[start] !== PLUS) throw new Error("a set was refused");
    bytes += chunk.length;
    for (; bytes >= OK_BYTES * writesPerMessage; bytes -= OK_BYTES * writesPerMessage) {
      waiting.shift()?.();
    }
  });
  return {
    send: (message, done) => {
      waiting.push(done);
      socket.write(own[message] as Buffer);
    },
    close: () => socket.destroy(),
  };
}

const asItIs = (bytes: Buffer): Buffer => bytes;
