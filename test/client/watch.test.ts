/** A watch that goes on by itself, and one that cannot. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  WatchEventKind,
  type WatchRequest,
  type WatchResponse,
  WatchResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import {
  connect,
  KvixError,
  type WatchBatch,
  type WatchOptions,
} from "../../src/client/connect.js";
import { refusal } from "../conformance/suite.js";
import { startFakeKv } from "./fake-kv.js";

const timeout = 60_000;

interface Told {
  readonly keys: readonly string[];
  readonly version: number;
  readonly current?: boolean;
  readonly continues?: boolean;
}

const message = ({ keys, version, current = false, continues = false }: Told): WatchResponse =>
  create(WatchResponseSchema, {
    events: keys.map((key) => ({
      kind: WatchEventKind.SET,
      record: { key: Buffer.from(key), value: Buffer.from(key), version: BigInt(version) },
    })),
    version: BigInt(version),
    current,
    continues,
    storeVersion: 99n,
  });

/** A client of a server that tells `lives`, one after the other, and breaks the connection between. */
async function watching(
  t: TestContext,
  lives: readonly (readonly Told[] | KvixError)[],
  options: WatchOptions,
) {
  const requests: WatchRequest[] = [];
  const fake = await startFakeKv(t, {
    watch: async function* (request: WatchRequest) {
      const life = lives[requests.length];
      requests.push(request);
      if (life instanceof KvixError) throw life;
      for (const told of life ?? []) yield message(told);
      if (requests.length < lives.length) fake.cut();
      await new Promise(() => undefined);
    } as never,
  });
  const kvix = connect({ address: fake.address });
  t.after(() => kvix.close());
  return { requests, watch: kvix.watch(options) };
}

async function take(watch: AsyncGenerator<WatchBatch>, count: number): Promise<string[]> {
  const told: string[] = [];
  while (told.length < count) {
    const { value } = await watch.next();
    const { events, version, isRestart } = value as WatchBatch;
    const keys = events.map((event) => event.keyText()).join("+");
    told.push(`${keys} @${version}${isRestart ? " again" : ""}`);
  }
  return told;
}

test("after a broken connection a watch goes on behind what it has told (G-CLIENT-8)", {
  timeout,
}, async (t) => {
  const { watch, requests } = await watching(
    t,
    [
      [
        { keys: [], version: 4 },
        { keys: ["a"], version: 5 },
      ],
      [{ keys: ["b"], version: 6 }],
    ],
    {},
  );
  assert.deepEqual(await take(watch, 3), [" @4", "a @5", "b @6"]);
  assert.equal(requests[0]?.afterVersion, undefined);
  assert.equal(requests[1]?.afterVersion, 5n);
  await watch.return(undefined);
});

test("a watch that begins in an empty store goes on from there (G-CLIENT-8)", {
  timeout,
}, async (t) => {
  for (const includeCurrent of [false, true]) {
    const { watch, requests } = await watching(
      t,
      [[{ keys: [], version: 0 }], [{ keys: ["a"], version: 1 }]],
      { includeCurrent },
    );
    assert.deepEqual(await take(watch, 2), [" @0", "a @1"]);
    // To begin anew would be to miss what was written meanwhile.
    assert.deepEqual([requests[1]?.afterVersion, requests[1]?.includeCurrent], [0n, false]);
    await watch.return(undefined);
  }
});

test("a commit that was told in part is told once, and whole (G-CLIENT-8)", {
  timeout,
}, async (t) => {
  const { watch, requests } = await watching(
    t,
    [
      [
        { keys: ["a"], version: 5 },
        { keys: ["b", "c"], version: 5, continues: true },
      ],
      [
        { keys: ["b"], version: 5, continues: true },
        { keys: ["c", "d"], version: 9 },
      ],
    ],
    { afterVersion: 3 },
  );
  assert.deepEqual(await take(watch, 2), ["a @5", "b+c+d @9"]);
  assert.deepEqual(
    requests.map(({ afterVersion }) => afterVersion),
    [3n, 5n],
  );
  await watch.return(undefined);
});

test("a current state that was told in part is told anew, and the watch says so (G-CLIENT-9)", {
  timeout,
}, async (t) => {
  const { watch, requests } = await watching(
    t,
    [
      [{ keys: ["a"], version: 0, current: true }],
      [
        { keys: ["a"], version: 0, current: true },
        { keys: ["b"], version: 7, current: true },
      ],
      [{ keys: ["c"], version: 8 }],
    ],
    { includeCurrent: true },
  );
  assert.deepEqual(await take(watch, 4), ["a @0", "a @0 again", "b @7", "c @8"]);
  assert.deepEqual(
    requests.map(({ includeCurrent, afterVersion }) => [includeCurrent, afterVersion]),
    [
      [true, undefined],
      [true, undefined],
      [false, 7n],
    ],
  );
  await watch.return(undefined);
});

test("a watch that cannot go on throws, and says from where on the history is whole (G-CLIENT-9)", {
  timeout,
}, async (t) => {
  const resume = { afterVersion: 4, historyFloor: 20 };
  const lost = new KvixError("HISTORY_LOST", "", { resume });
  const { watch } = await watching(t, [[{ keys: ["a"], version: 4 }], lost], {});
  assert.deepEqual(await take(watch, 1), ["a @4"]);
  const error = await refusal(watch.next(), "HISTORY_LOST");
  assert.equal(error.resume?.historyFloor, 20);
});

test("a server that stops, and one that is starting, are waited for (G-CLIENT-8)", {
  timeout,
}, async (t) => {
  const { watch, requests } = await watching(
    t,
    [
      [{ keys: ["a"], version: 4 }],
      new KvixError("STORE_CLOSING"),
      new KvixError("STORE_STARTING"),
      [{ keys: ["b"], version: 6 }],
    ],
    {},
  );
  assert.deepEqual(await take(watch, 2), ["a @4", "b @6"]);
  assert.equal(requests.length, 4);
  await watch.return(undefined);
});
