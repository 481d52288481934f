/** What a client tries again, what it does not, and what it says of it. */
import assert from "node:assert/strict";
import { type AddressInfo, createServer } from "node:net";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import {
  CommitResponseSchema,
  GetResponseSchema,
  IncrementResponseSchema,
  SetResponseSchema,
  UploadResponseSchema,
} from "../../gen/kvix/v1/kvix_pb.js";
import { connect, errorCatalogue, KvixError, type Reason } from "../../src/client/connect.js";
import { mayRepeat } from "../../src/client/retries.js";
import { refusal } from "../conformance/suite.js";
import { startFakeKv } from "./fake-kv.js";

const timeout = 60_000;
const found = () => create(GetResponseSchema, { record: { value: Buffer.from("v") } });

function client(t: TestContext, address: string, options: object = {}) {
  const made = connect({ address, batching: false, ...options });
  t.after(() => made.close());
  return made;
}

/** Fails so often, and then succeeds. */
function failing<Answer>(times: number, fail: () => unknown, answer: () => Answer) {
  let calls = 0;
  const handler = async (): Promise<Answer> => {
    calls += 1;
    if (calls > times) return answer();
    throw await fail();
  };
  return { handler, calls: () => calls };
}

test("a refusal that the catalogue calls after-delay is tried again, a write too (G-CLIENT-3)", {
  timeout,
}, async (t) => {
  const get = failing(2, () => new KvixError("OVERLOADED"), found);
  const set = failing(
    1,
    () => new KvixError("STORE_CLOSING"),
    () => create(SetResponseSchema, { applied: true, version: 7n }),
  );
  const { address } = await startFakeKv(t, { get: get.handler, set: set.handler });
  const kvix = client(t, address);
  assert.equal((await kvix.get("k"))?.text(), "v");
  assert.equal(get.calls(), 3);
  assert.equal((await kvix.set("k", "v")).version, 7);
  assert.equal(set.calls(), 2);
});

test("a refusal that is final is told at once, as the server threw it (G-CLIENT-2)", {
  timeout,
}, async (t) => {
  const get = failing(9, () => new KvixError("RECORD_CORRUPT", "segment 3"), found);
  const { address } = await startFakeKv(t, { get: get.handler });
  const error = await refusal(client(t, address).get("k"), "RECORD_CORRUPT");
  assert.match(error.message, /segment 3$/);
  assert.equal(get.calls(), 1);
});

test("after the last attempt the last refusal is told (G-CLIENT-3)", { timeout }, async (t) => {
  const get = failing(9, () => new KvixError("OVERLOADED"), found);
  const { address } = await startFakeKv(t, { get: get.handler });
  await refusal(client(t, address, { attemptsMax: 3 }).get("k"), "OVERLOADED");
  assert.equal(get.calls(), 3);
});

test("what is read is read again when the connection breaks; a write of unknown outcome is not repeated (G-CLIENT-4)", {
  timeout,
}, async (t) => {
  const broken = () => {
    fake.cut();
    return new Promise(() => undefined);
  };
  const get = failing(1, broken, found);
  const set = failing(1, broken, () => create(SetResponseSchema, { applied: true }));
  const fake = await startFakeKv(t, { get: get.handler, set: set.handler });
  for (const batching of [false]) {
    const kvix = client(t, fake.address, { batching });
    assert.equal((await kvix.get("k"))?.text(), "v");
    assert.equal(get.calls(), 2);
    const error = await refusal(kvix.set("k", "v"), "CONNECTION_LOST");
    assert.equal(error.outcome, "unknown");
    assert.equal(set.calls(), 1);
    assert.equal((await kvix.set("k", "v")).applied, true, "the next call has a connection again");
  }
});

test("of batched calls, too, reads are repeated when the connection breaks and writes are not (G-CLIENT-4)", {
  timeout,
}, async (t) => {
  let streams = 0;
  const fake = await startFakeKv(t, {
    pipeline: {
      begin: (stream) => {
        streams += 1;
        stream.more();
        return {
          onRequest: () => fake.cut(),
          onHalfClose: () => undefined,
          onStop: () => undefined,
        };
      },
    },
  });
  const kvix = client(t, fake.address, { batching: true, attemptsMax: 2 });
  const write = refusal(kvix.set("k", "v"), "CONNECTION_LOST");
  const read = refusal(kvix.get("k"), "CONNECTION_LOST");
  assert.equal((await write).outcome, "unknown");
  assert.equal((await read).outcome, "none");
  // Both were in the first message; the read alone was sent again.
  assert.equal(streams, 2);
});

test("increments and commits bear an id of their own, and are repeated with it when the connection breaks (G-CLIENT-11)", {
  timeout,
}, async (t) => {
  const ids: string[] = [];
  const once = () => {
    let calls = 0;
    return async ({ requestId }: { readonly requestId: Uint8Array }) => {
      calls += 1;
      ids.push(Buffer.from(requestId).toString("hex"));
      if (calls % 2 === 0) return undefined;
      fake.cut();
      return new Promise<never>(() => undefined);
    };
  };
  const [adding, committing] = [once(), once()];
  const fake = await startFakeKv(t, {
    increment: async (request) => {
      await adding(request);
      return create(IncrementResponseSchema, { value: 7n });
    },
    commit: async (request) => {
      await committing(request);
      return create(CommitResponseSchema, { applied: true });
    },
  });
  const kvix = client(t, fake.address);
  assert.equal((await kvix.increment("n")).value, 7n);
  assert.equal((await kvix.commit([{ kind: "delete", key: "k" }])).applied, true);
  assert.equal((await kvix.increment("n")).value, 7n);
  assert.deepEqual([ids[0], ids[2], ids[4]], [ids[1], ids[3], ids[5]]);
  assert.equal(new Set(ids).size, 3);
  assert.ok(ids.every((id) => id.length === 32));
});

test("a request id of the caller is what goes out each time, and one that is none is refused (G-CLIENT-11)", {
  timeout,
}, async (t) => {
  const ids: string[] = [];
  const fake = await startFakeKv(t, {
    increment: async ({ requestId }) => {
      ids.push(Buffer.from(requestId).toString("latin1"));
      memory.fill("2");
      if (ids.length === 2) return create(IncrementResponseSchema, { value: 7n });
      fake.cut();
      return new Promise<never>(() => undefined);
    },
  });
  const kvix = client(t, fake.address);
  const memory = Buffer.alloc(16, "1");
  assert.equal((await kvix.increment("n", 1, { requestId: memory })).value, 7n);
  assert.deepEqual(ids, Array(2).fill("1".repeat(16)));
  // On the wire an empty id is none: a repeat would be another request.
  for (const requestId of [new Uint8Array(0), new Uint8Array(15), new Uint8Array(65)]) {
    const refused = await refusal(kvix.increment("n", 1, { requestId }), "FIELD_INVALID");
    assert.match(refused.message, /request_id must be 16 to 64 bytes, or left out/);
    await refusal(kvix.commit([{ kind: "delete", key: "k" }], { requestId }), "FIELD_INVALID");
  }
  assert.equal(ids.length, 2);
});

test("an upload of a value at hand is tried again, one of pieces that come once is not (G-CLIENT-3)", {
  timeout,
}, async (t) => {
  const uploads = failing(
    1,
    () => new KvixError("OVERLOADED"),
    () => create(UploadResponseSchema, { applied: true, version: 3n }),
  );
  const again = failing(9, () => new KvixError("OVERLOADED"), found);
  const handlers = { upload: uploads.handler as () => Promise<never> };
  const fake = await startFakeKv(t, handlers);
  const kvix = client(t, fake.address);
  assert.equal((await kvix.upload("k", "value")).version, 3);
  assert.equal(uploads.calls(), 2);
  handlers.upload = again.handler as () => Promise<never>;
  async function* pieces() {
    yield Buffer.from("value");
  }
  await refusal(kvix.upload("k", pieces(), { valueBytes: 5 }), "OVERLOADED");
  assert.equal(again.calls(), 1);
});

test("a server that is not there is UNREACHABLE, nothing was written, and it is looked for again (G-CLIENT-3)", {
  timeout,
}, async (t) => {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, "127.0.0.1", resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise<void>((resolve) => probe.close(() => resolve()));
  for (const batching of [false, true]) {
    const kvix = client(t, `127.0.0.1:${port}`, { batching, attemptsMax: 2 });
    const error = await refusal(kvix.set("k", "v"), "UNREACHABLE");
    assert.equal(error.outcome, "not-applied");
    assert.equal(error.retry, "after-delay");
  }
});

test("a call whose time is over ends as DEADLINE_PASSED, and says what may have happened (G-CLIENT-5)", {
  timeout,
}, async (t) => {
  let arrived = 0;
  const never = () => {
    arrived += 1;
    return new Promise<never>(() => undefined);
  };
  const fake = await startFakeKv(t, {
    get: never,
    set: never,
    pipeline: {
      begin: (stream) => {
        stream.more();
        return { onRequest: never, onHalfClose: () => undefined, onStop: () => undefined };
      },
    },
  });
  for (const batching of [false, true]) {
    arrived = 0;
    const kvix = client(t, fake.address, { batching, timeoutMs: 1000 });
    const read = refusal(kvix.get("k"), "DEADLINE_PASSED");
    const write = refusal(kvix.set("k", "v"), "DEADLINE_PASSED");
    assert.equal((await read).outcome, "none");
    const { outcome } = await write;
    // What has arrived may have been done; of what was never sent that need not be said.
    assert.ok(outcome === "unknown" || (outcome === "not-applied" && arrived === 0), outcome);
    const own = await refusal(kvix.get("k", { timeoutMs: 1 }), "DEADLINE_PASSED");
    assert.equal(own.retry, "never");
  }
});

test("a call that is given up is CANCELLED: before it was sent nothing happened, later nobody knows (G-CLIENT-5)", {
  timeout,
}, async (t) => {
  let arrived: () => void = () => undefined;
  const taken = () => {
    arrived();
    return new Promise<never>(() => undefined);
  };
  const fake = await startFakeKv(t, {
    set: taken,
    pipeline: {
      begin: (stream) => {
        stream.more();
        return { onRequest: taken, onHalfClose: () => undefined, onStop: () => undefined };
      },
    },
  });
  for (const batching of [false, true]) {
    const kvix = client(t, fake.address, { batching });
    const before = AbortSignal.abort();
    const unsent = await refusal(kvix.set("k", "v", { signal: before }), "CANCELLED");
    assert.equal(unsent.outcome, "not-applied");
    const giveUp = new AbortController();
    const isThere = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const sent = refusal(kvix.set("k", "v", { signal: giveUp.signal }), "CANCELLED");
    await isThere;
    giveUp.abort();
    assert.equal((await sent).outcome, "unknown");
  }
});

test("an attempt that came to nothing does not hide one before it whose outcome is unknown (G-CLIENT-4)", {
  timeout,
}, async (t) => {
  let calls = 0;
  const fake = await startFakeKv(t, {
    set: async () => {
      calls += 1;
      // It says of itself that it may be repeated, though its outcome is not known.
      throw new KvixError("OVERLOADED", "", { outcome: calls === 1 ? "not-applied" : "unknown" });
    },
  });
  const error = await refusal(client(t, fake.address).set("k", "v"), "OVERLOADED");
  assert.equal(error.outcome, "unknown");
  assert.equal(calls, 2);
});

test("no outcome that is unknown is repeated unless the request has a name, whatever the reason (G-CLIENT-4)", () => {
  for (const reason of Object.keys(errorCatalogue) as Reason[]) {
    const unknown = new KvixError(reason, "", { outcome: "unknown" });
    assert.equal(mayRepeat(unknown, "write"), false, reason);
    const isOfTheWay = reason === "CONNECTION_LOST" || reason === "UNREACHABLE";
    assert.equal(mayRepeat(unknown, "named"), isOfTheWay, reason);
    const notApplied = new KvixError(reason, "", { outcome: "not-applied" });
    const expected = errorCatalogue[reason].retry === "after-delay";
    assert.equal(mayRepeat(notApplied, "write"), expected || false, reason);
  }
});

test("a closed client refuses, and ends what is under way", { timeout }, async (t) => {
  let arrived: () => void = () => undefined;
  const isThere = new Promise<void>((resolve) => {
    arrived = resolve;
  });
  const fake = await startFakeKv(t, {
    get: () => {
      arrived();
      return new Promise<never>(() => undefined);
    },
  });
  const kvix = client(t, fake.address);
  const call = refusal(kvix.get("k"), "CANCELLED");
  await isThere;
  await kvix.close();
  await call;
  await refusal(kvix.get("k"), "CANCELLED");
});
