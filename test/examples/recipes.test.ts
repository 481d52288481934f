/** The recipes of docs/recipes.md against a server: what each guarantees. */
import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import { takePart } from "../../examples/recipes/leader.js";
import { Lock } from "../../examples/recipes/lock.js";
import { once } from "../../examples/recipes/once.js";
import { isAllowed } from "../../examples/recipes/rate-limiter.js";
import { WorkQueue } from "../../examples/recipes/work-queue.js";
import { connect, type KvixClient } from "../../src/client/connect.js";
import { makeFolder } from "../support/folder.js";
import { ServerProcess } from "../support/server-process.js";

const HOUR_MS = 3_600_000;

const data = makeFolder();
let server: ServerProcess;
let kvix: KvixClient;

before(async () => {
  server = await ServerProcess.start(data.path);
  kvix = connect({ address: server.address });
});

after(async () => {
  await kvix.close();
  await server.end("SIGTERM");
  data.remove();
});

/** Tries until there is an answer: how long a record lives is the server's affair. */
async function eventually<Answer>(ask: () => Promise<Answer | undefined>): Promise<Answer> {
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
  }
}

test("of many who want a lock one has it, and the next holder's token is larger", async () => {
  const takers = Array.from({ length: 20 }, () => Lock.take(kvix, "one", HOUR_MS));
  const taken = (await Promise.all(takers)).filter((lock) => lock !== undefined);
  assert.equal(taken.length, 1);
  const [first] = taken as [Lock];
  assert.equal(await first.renew(), true);
  assert.equal(await first.release(), true);
  const second = await Lock.take(kvix, "one", HOUR_MS);
  assert.ok(second && second.token > first.token);
  // Whoever lost it can neither keep it nor give it away.
  assert.deepEqual([await first.renew(), await first.release()], [false, false]);
  assert.equal(await Lock.take(kvix, "one", HOUR_MS), undefined);
});

test("a lock whose holder is gone frees itself, and the late holder's commit is not made", async () => {
  const late = await Lock.take(kvix, "two", 50);
  assert.ok(late);
  const next = await eventually(() => Lock.take(kvix, "two", HOUR_MS));
  assert.ok(next.token > late.token);
  const write = (lock: Lock, value: string) =>
    kvix.commit([{ kind: "set", key: "guarded", value }], { conditions: [lock.isHeld] });
  assert.equal((await write(next, "next")).applied, true);
  assert.equal((await write(late, "late")).applied, false);
  assert.equal((await kvix.get("guarded"))?.text(), "next");
});

test("there is one leader at a time, and another after it leaves or dies", async () => {
  const stop = new AbortController();
  const led: string[] = [];
  let leading = 0;
  const candidate = (name: string) =>
    takePart(
      kvix,
      "leader",
      300,
      async (signal, lock) => {
        leading += 1;
        assert.equal(leading, 1);
        assert.ok(lock.token > 0);
        led.push(name);
        // The first one does some work and resigns; then everybody stops.
        if (led.length === 3) stop.abort();
        assert.equal(signal.aborted, led.length >= 3);
        leading -= 1;
      },
      stop.signal,
    );
  // One that died: it holds the lock, and nobody renews it.
  await Lock.take(kvix, "leader", 200);
  await Promise.all([candidate("a"), candidate("b")]);
  assert.ok(led.length >= 3);
});

test("a leader whose lock is taken away is told to stop", async () => {
  const stop = new AbortController();
  let wasTold = false;
  await takePart(
    kvix,
    "deposed",
    600,
    async (signal) => {
      await kvix.delete("lock:deposed");
      await new Promise<void>((resolve) =>
        signal.addEventListener("abort", () => resolve(), { once: true }),
      );
      wasTold = true;
      stop.abort();
    },
    stop.signal,
  );
  assert.equal(wasTold, true);
});

test("a limit holds over many who count at once, and each is counted by itself", async () => {
  const asked = Array.from({ length: 30 }, () => isAllowed(kvix, "ada", 10, HOUR_MS * 24 * 365));
  const allowed = (await Promise.all(asked)).filter(Boolean);
  assert.equal(allowed.length, 10);
  assert.equal(await isAllowed(kvix, "grace", 10, HOUR_MS * 24 * 365), true);
});

test("a request that arrives many times is done once, and every answer is the first", async () => {
  const key = randomUUID();
  const ask = (answer: string) =>
    once(kvix, key, [{ kind: "increment", key: "orders" }], answer, HOUR_MS);
  const answers = await Promise.all(["a", "b", "c", "d"].map(ask));
  assert.equal(answers.filter(({ isRepeat }) => !isRepeat).length, 1);
  const [first] = answers.filter(({ isRepeat }) => !isRepeat);
  assert.ok(answers.every(({ answer }) => answer === first?.answer));
  assert.equal((await kvix.get("orders"))?.text(), "1");
});

test("every job is finished once, whatever workers die, and its result is applied once", async () => {
  const queue = new WorkQueue(kvix, "mail");
  for (let at = 0; at < 10; at += 1) await queue.put(`job ${at}`);
  const dead = await queue.take(50);
  assert.equal(dead?.text, "job 0");
  const worker = async (): Promise<void> => {
    while ((await kvix.listPage({ prefix: "queue:mail:job:", pageSize: 1 })).records.length > 0) {
      const job = await queue.take(HOUR_MS);
      if (job !== undefined)
        await queue.finish(job, [{ kind: "increment", key: `did ${job.text}` }]);
    }
  };
  await Promise.all([worker(), worker(), worker()]);
  // The one who was thought dead comes late: its result is not applied a second time.
  assert.ok(dead);
  assert.equal(await queue.finish(dead, [{ kind: "increment", key: "did job 0" }]), false);
  for (let at = 0; at < 10; at += 1) {
    assert.equal((await kvix.get(`did job ${at}`))?.text(), "1", `job ${at}`);
  }
  assert.equal(await queue.take(HOUR_MS), undefined);
});

test("a worker whose lease has ended cannot finish the job that another has", async () => {
  const queue = new WorkQueue(kvix, "slow");
  await queue.put("job");
  const late = await queue.take(50);
  assert.ok(late);
  const next = await eventually(() => queue.take(HOUR_MS));
  assert.ok(next.id === late.id && next.token > late.token);
  const result = (value: string) => [{ kind: "set", key: "slow result", value }] as const;
  assert.equal(await queue.finish(late, result("late")), false);
  assert.equal(await queue.finish(next, result("next")), true);
  assert.equal((await kvix.get("slow result"))?.text(), "next");
});
