/**
 * The parts `descriptors` and `memory`: a server that runs out of something.
 *
 *     few from the start   -> it says why it ends, or it serves
 *     fewer while it runs  -> calls are refused, or it ends; never a wrong answer
 *     enough again         -> it goes on without a restart, unless it says that it is latched
 *     kill -9, restart     -> everything acknowledged is there
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { AdminService, ServerState } from "../../../gen/kvix/v1/kvix_pb.js";
import type { Reason } from "../../../src/base/error-catalogue.js";
import { StartFailure } from "../../support/server-process.js";
import type { Life } from "./life.js";
import { sleep } from "./load.js";

/** What a server may say that gets no descriptor from the system. */
const outOfDescriptors: readonly Reason[] = [
  "READ_FAILED",
  "WRITE_FAILED",
  "SYNC_FAILED",
  "STORE_READ_ONLY",
];

/** From what Node takes to load its modules up to what is enough. */
const START_DESCRIPTORS_MIN = 24;
const START_DESCRIPTORS_SPAN = 76;
/** How many descriptors an opening store has left, at most. */
const OPENING_DESCRIPTORS_SPAN = 7;
const ENOUGH_DESCRIPTORS = 1024;
const STARVED_MS = 1200;
const TRIES_MAX = 200;
const TRY_MS = 50;

/** Few descriptors from the start, then fewer than there are while it runs. */
export async function descriptorLife(life: Life, rounds: number): Promise<void> {
  const { random } = life;
  life.flags = [
    ...["--lift-floors", "--segment-bytes-max", "8192"],
    ...["--max-open-files", String(random.pick([1, 4, 512]))],
    ...["--compaction", "manual", "--watch-retention", "0ms"],
  ];
  for (let round = 0; round < rounds; round += 1) {
    await startWithFew(life, random.chance(0.3) ? "at once" : "when it opens");
    await life.start();
    const plan = life.plan({ isPatient: true, mayCompactionFail: true });
    const load = life.load(plan, outOfDescriptors);
    await life.under(load, load.acknowledgedBy(150), async () => {
      const { pid } = life.server;
      const inUse = readdirSync(`/proc/${pid}/fd`).length;
      limit(pid, "nofile", Math.max(3, inUse - random.below(6)));
      life.counts.add("descriptor limits lowered");
      await sleep(STARVED_MS);
      limit(pid, "nofile", ENOUGH_DESCRIPTORS);
      const isAlive = !(await hasEnded(life));
      if (isAlive) await goesOn(life);
      else life.counts.add("ends for want of descriptors");
      load.end();
    });
    await life.kill();
  }
  await life.start();
}

/** A start that may fail, but not without a word, and not for ever. */
async function startWithFew(life: Life, since: "at once" | "when it opens"): Promise<void> {
  const { random } = life;
  const descriptors = START_DESCRIPTORS_MIN + random.below(START_DESCRIPTORS_SPAN);
  const wrapper = ["prlimit", "--core=0", "--"];
  if (since === "at once") wrapper.splice(1, 0, `--nofile=${descriptors}:${descriptors}`);
  const server = life.launch({ wrapper });
  if (since === "when it opens") {
    while (!server.log.some(({ msg }) => msg === "listening")) await sleep(1);
    const inUse = readdirSync(`/proc/${server.pid}/fd`).length;
    limit(server.pid, "nofile", inUse + random.below(OPENING_DESCRIPTORS_SPAN));
  }
  life.counts.add("starts with few descriptors");
  try {
    await server.serving;
  } catch (error) {
    assert.ok(error instanceof StartFailure && error.ending !== undefined, String(error));
    assert.ok(server.log.length > 0, "for want of descriptors a start ended without a word");
    life.counts.add("starts refused for want of descriptors");
    life.judgeCrashLog(server);
    return;
  }
  const load = life.load(life.plan({ isPatient: true, mayCompactionFail: true }), outOfDescriptors);
  // It serves: the oracle hears of what it answers, but need not be shown all.
  await life.under(load, load.acknowledgedBy(100), () => life.kill(), STARVED_MS);
}

/** With what it needs again, a server takes writes; or it says that it is latched. */
async function goesOn(life: Life): Promise<void> {
  const session = life.session(outOfDescriptors);
  for (let time = 0; time < TRIES_MAX; time += 1) {
    const key = life.random.pick(life.keys);
    const result = await session.write(key, { kind: "touch" });
    if (result === "done") {
      life.counts.add("servers that went on without a restart");
      session.close();
      return;
    }
    if (result === "STORE_READ_ONLY") {
      const { state, reasons } = await session.client.call(AdminService.method.getStatus, {});
      assert.equal(state, ServerState.LATCHED, "a read-only store says so");
      assert.ok(reasons.length > 0, "a latched store says why");
      life.counts.add("servers that latched");
      session.close();
      return;
    }
    await sleep(TRY_MS);
  }
  assert.fail("a server that has descriptors again takes no writes");
}

/** Little memory: a small heap, or an address space that is cut while it runs. */
export async function memoryLife(life: Life, rounds: number): Promise<void> {
  const { random } = life;
  life.flags = [
    ...["--lift-floors", "--segment-bytes-max", "1048576", "--max-message-bytes", "8MiB"],
    ...["--compaction", "manual", "--watch-retention", "0ms"],
  ];
  for (let round = 0; round < rounds; round += 1) {
    const isHeap = random.chance(0.5);
    if (isHeap) await withSmallHeap(life);
    else await withCutSpace(life);
    await life.start();
    await life.kill();
  }
  await life.start();
}

const SMALL_HEAP_MIB_MIN = 10;
const SMALL_HEAP_MIB_SPAN = 16;
const SPACE_BYTES_SPAN = 64 * 2 ** 20;
const STARVED_MEMORY_MS = 4000;

/** Large values and many calls at once are what takes memory. */
function hungryPlan(life: Life) {
  const sizes = { valueBytesMax: 200_000, largeValueBytes: 3_000_000 };
  return life.plan({ ...sizes, workersPerConnection: 24, mayCompactionFail: true });
}

async function withSmallHeap(life: Life): Promise<void> {
  const mebibytes = SMALL_HEAP_MIB_MIN + life.random.below(SMALL_HEAP_MIB_SPAN);
  const server = life.launch({
    nodeFlags: [`--max-old-space-size=${mebibytes}`],
    wrapper: ["prlimit", "--core=0", "--"],
  });
  life.counts.add("starts with a small heap");
  try {
    await server.serving;
  } catch (error) {
    assert.ok(error instanceof StartFailure && error.ending !== undefined, String(error));
    life.counts.add("ends for want of memory");
    return;
  }
  await starve(life, async () => undefined);
}

async function withCutSpace(life: Life): Promise<void> {
  await life.start();
  await starve(life, async () => {
    const { pid } = life.server;
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const usedBytes = Number(/^VmSize:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
    limit(pid, "as", usedBytes + life.random.below(SPACE_BYTES_SPAN));
    limit(pid, "core", 0);
    life.counts.add("address spaces cut");
  });
}

/** A load under which a server runs out of memory, or does not; then it is killed. */
async function starve(life: Life, cut: () => Promise<void>): Promise<void> {
  const { server } = life;
  const load = life.load(hungryPlan(life), [...outOfDescriptors, "OVERLOADED"]);
  await life.under(load, load.acknowledgedBy(20), async () => {
    await cut();
    await Promise.race([server.exited, sleep(STARVED_MEMORY_MS)]);
    if (await hasEnded(life)) life.counts.add("ends for want of memory");
    else life.counts.add("servers that got by with little memory");
    await server.end("SIGKILL");
    life.judgeCrashLog(server);
  });
}

async function hasEnded(life: Life): Promise<boolean> {
  return await Promise.race([life.server.exited.then(() => true), sleep(0).then(() => false)]);
}

/** Sets a limit of a process that runs, by prlimit's name for it; the most that it may have stays. */
function limit(pid: number, kind: "nofile" | "as" | "core", value: number): void {
  const { status, stderr } = spawnSync("prlimit", ["--pid", String(pid), `--${kind}=${value}:`], {
    encoding: "utf8",
  });
  // The process may have ended meanwhile.
  assert.ok(status === 0 || /No such process|failed to get/.test(stderr), stderr);
}
