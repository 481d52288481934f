/**
 * A short, eventful life of a store: groups, runs, rollover, batches, TTL, touches and
 * the sweep, buffered writes, a clean close and a second session.
 */
import type { CrashRun } from "./crash-run.js";

const long = "x".repeat(90);

/** The first session; ends with a clean close. */
async function firstSession(run: CrashRun): Promise<void> {
  await run.open();
  await run.set("a", "1");
  await Promise.all([run.set("b", "1"), run.set("c", "1"), run.delete("a"), run.set("b", "2")]);
  await run.batch([
    { key: "d", value: "1" },
    { key: "e", value: long },
    { key: "c", value: undefined },
  ]);
  await Promise.all([
    run.set("a", long, { durability: "buffered" }),
    run.set("f", "1"),
    run.set("g", "1", { durability: "buffered" }),
  ]);
  await Promise.all([
    run.sets([
      ["r", "1"],
      ["f", long],
      ["r", "2"],
    ]),
    run.set("r", "3", { durability: "buffered" }),
    run.sets([["q", long]], "buffered"),
  ]);
  await run.set("t", "short", { expiry: { kind: "ttl", ttlMs: 500 } });
  for (const key of ["h", "i", "j", "k"]) await run.set(key, long);
  await Promise.all([
    run.set("h", "2"),
    run.touch("h", { kind: "ttl", ttlMs: 3_600_000 }),
    run.touch("i", { kind: "ttl", ttlMs: 400 }, "buffered"),
    run.touch("t", { kind: "never" }),
  ]);
  await run.set("big", "y".repeat(1500));
  await run.touch("big", { kind: "ttl", ttlMs: 3_600_000 });
  await run.set("u", "1", { durability: "buffered" });
  await run.host.clock.advance(700);
  await run.touch("i", { kind: "never" });
  await run.delete("big");
  await run.set("t", "again", { expiry: { kind: "ttl", ttlMs: 3_600_000 } });
  await run.close();
}

/** The second session, over what the first left; stays open. */
async function secondSession(run: CrashRun): Promise<void> {
  await run.open();
  await Promise.all([run.set("a", "3"), run.set("l", long), run.set("m", long)]);
  await run.batch([
    { key: "a", value: "4" },
    { key: "b", value: undefined },
    { key: "n", value: "1" },
  ]);
  await Promise.all([
    run.touch("l", { kind: "ttl", ttlMs: 3_600_000 }),
    run.set("m", "2"),
    run.touch("m", { kind: "ttl", ttlMs: 7_200_000 }),
    run.touch("n", { kind: "at", atMs: 1 }),
    run.touch("t", { kind: "never" }, "buffered"),
  ]);
  await run.set("v", "1", { durability: "buffered" });
  await run.host.clock.advance(50);
  await run.set("w", "1", { durability: "buffered" });
  await Promise.all([run.delete("h"), run.set("i", "5"), run.delete("nothing")]);
}

/** Both sessions. */
export async function eventfulLife(run: CrashRun): Promise<void> {
  await firstSession(run);
  await secondSession(run);
}

/**
 * Two sessions with compactions, alone and beside writes: over records that were
 * overwritten, deleted, batched, and that expired.
 */
export async function compactedLife(run: CrashRun): Promise<void> {
  await run.open();
  await Promise.all(["a", "b", "c", "d"].map((key) => run.set(key, long)));
  await run.set("t", long, { expiry: { kind: "ttl", ttlMs: 300 } });
  await run.batch([
    { key: "a", value: "2" },
    { key: "e", value: long },
    { key: "b", value: undefined },
  ]);
  await Promise.all([run.set("c", long), run.delete("d"), run.set("f", long)]);
  await run.host.clock.advance(400);
  await run.compact();
  await Promise.all([
    run.compact(),
    run.set("a", "3", { durability: "buffered" }),
    run.set("e", "2", { durability: "buffered" }),
    run.delete("f"),
  ]);
  await run.set("g", long);
  await run.close();
  await run.open();
  await Promise.all([run.set("c", "4", { durability: "buffered" }), run.delete("g")]);
  await run.set("h", long);
  await run.compact();
}
