/**
 * The part `pause`: the process stands still for a while, and does not know it.
 *
 *     SIGSTOP -> time passes, deadlines of clients too -> SIGCONT -> all goes on
 *             -> another server is refused the directory
 *             -> kill -9
 *
 * A pause of the second kind lasts until every call that has a deadline has been
 * given up: a client that did not keep its deadlines would hang the run.
 */
import assert from "node:assert/strict";
import { runKvix } from "../../support/server-process.js";
import type { Life } from "./life.js";
import { sleep } from "./load.js";

const PAUSE_MS_MIN = 100;
const PAUSE_MS_SPAN = 2400;
const TIMEOUT_MS = 300;
const ACKNOWLEDGED_BEFORE = 40;
const ACKNOWLEDGED_AFTER = 40;
/** What a paused server has to make up for may take a busy machine a while. */
const AFTER_MS_MAX = 240_000;

/** A life with a few pauses. */
export async function pauseLife(life: Life, pauses: number): Promise<void> {
  const { random } = life;
  life.flags = [
    ...["--lift-floors", "--segment-bytes-max", "32768"],
    ...["--compaction", "manual", "--watch-retention", "0ms"],
  ];
  await life.start();
  for (let pause = 0; pause < pauses; pause += 1) {
    const load = life.load(life.plan({ timeoutMs: TIMEOUT_MS }));
    const isLast = pause === pauses - 1;
    await life.under(load, load.acknowledgedBy(ACKNOWLEDGED_BEFORE), async () => {
      life.server.signal("SIGSTOP");
      life.counts.add("pauses");
      await passTime(life);
      if (isLast) return await life.kill();
      const before = load.acknowledged;
      life.server.signal("SIGCONT");
      const after = load.acknowledgedBy(before + ACKNOWLEDGED_AFTER).then(() => true);
      const isAwake = await Promise.race([after, sleep(AFTER_MS_MAX).then(() => false)]);
      assert.ok(isAwake, "the server did not go on after a pause");
    });
    // Half of the later pauses hit a server that has just been started.
    if (isLast || random.chance(0.3)) {
      if (!isLast) await life.kill();
      await life.start();
    }
  }
}

async function passTime(life: Life): Promise<void> {
  const { random, counts } = life;
  switch (random.below(3)) {
    case 0:
      await sleep(PAUSE_MS_MIN + random.below(PAUSE_MS_SPAN));
      return;
    case 1:
      await giveUpCalls(life);
      return;
    default: {
      const { code, stderr } = await runKvix(
        ...["serve", "--data-dir", life.dataDir, "--listen", "127.0.0.1:0"],
      );
      assert.equal(code, 1, `a second server on a stopped one's directory: ${stderr}`);
      assert.match(stderr, /STORE_LOCKED/);
      counts.add("second servers refused");
    }
  }
}

/** Calls of every kind that nobody answers end by their deadlines. */
async function giveUpCalls(life: Life): Promise<void> {
  const { random } = life;
  const session = life.session();
  const calls = life.keys
    .slice(0, 6)
    .map((key, index) =>
      index % 2 === 0
        ? session.read(key, TIMEOUT_MS)
        : session.write(
            key,
            { kind: "delete" },
            { isSync: random.chance(0.5), timeoutMs: TIMEOUT_MS },
          ),
    );
  for (const result of await Promise.all([...calls, session.sync(TIMEOUT_MS)])) {
    assert.equal(result, "deadline", "a call was answered by a server that stands still");
    life.counts.add("deadlines kept");
  }
  session.close();
}
