/** That the instrument hits what it says, knows what may be left, and sees what must not be. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { openStore } from "../../../src/engine/open-store.js";
import { nodeHost } from "../../../src/host/node-host.js";
import { SimRandom } from "../../support/sim-random.js";
import { parseTrace } from "../../support/syscall-trace.js";
import { seededState, smallStates } from "./crash-states.js";
import { digestOf } from "./disk-files.js";
import { faultPoints, hittableCalls, type NumberedCall } from "./fault-points.js";
import { runFault } from "./fault-run.js";
import { judgeRemains } from "./judge.js";
import { ReplayedDisk } from "./replayed-disk.js";
import { type SceneRun, Stage } from "./scene.js";
import { judgeTold, type Line, Listener, oracleOf } from "./transcript.js";

const root = mkdtempSync(join(tmpdir(), "kvix-syscalls-test-"));
after(() => rmSync(root, { recursive: true }));

const asked = (n: number, key: string, value: string): Line => ({
  at: "ask",
  n,
  what: { kind: "set", key, value, expiresAtMs: 0 },
});
const acknowledged = (n: number, version: number): Line => ({
  at: "ack",
  n,
  isDurable: true,
  versions: [version],
});

describe("what was told", () => {
  const latched: Line[] = [
    { at: "opened" },
    asked(0, "a", "1"),
    { at: "reject", n: 0, reason: "SYNC_FAILED", outcome: "unknown" },
    asked(1, "b", "1"),
  ];

  it("must not have an acknowledgement after a failed sync, until the store is opened again (V10, D3)", () => {
    assert.throws(() => oracleOf([...latched, acknowledged(1, 2)]), /V10/);
    const reopened: Line[] = [
      { at: "opened" },
      { at: "state", nowMs: 0, version: 9, records: [] },
      asked(2, "c", "1"),
      acknowledged(2, 10),
    ];
    const listener = new Listener();
    for (const line of [...latched.slice(0, 3), ...reopened]) listener.hear(line);
    assert.deepEqual([listener.acknowledged, listener.rejected], [1, 1]);
    assert.deepEqual([...listener.oracle.latest().keys()], ["c"]);
  });

  it("must not have a version twice (V15), nor one that goes back", () => {
    const lines = [asked(0, "a", "1"), acknowledged(0, 7), asked(1, "a", "2")];
    assert.throws(() => oracleOf([...lines, acknowledged(1, 7)]), /V15/);
    const older: Line = { at: "state", nowMs: 0, version: 6, records: [["a", "1", 0]] };
    assert.throws(() => oracleOf([...lines, { at: "opened" }, older]), /went back/);
  });

  it("must have been there while the store was open (D6)", () => {
    const lines = [asked(0, "a", "1"), acknowledged(0, 7)];
    const seen = (records: readonly [string, string, number][]): Line => ({
      at: "state",
      nowMs: 0,
      version: 7,
      records,
    });
    judgeTold([...lines, seen([["a", "1", 0]])]);
    assert.throws(() => judgeTold([...lines, seen([])]), /none that the store may be in/);
  });
});

/** A file that is made, written and named; the directory is synced last. */
const log = `
10 mkdir("/r/d", 0700) = 0
10 openat(AT_FDCWD</>, "/r/d/new", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 5</r/d/new>
10 pwrite64(5</r/d/new>, "one", 3, 0) = 3
11 fdatasync(5</r/d/new>) = 0
10 pwrite64(5</r/d/new>, "two", 3, 3) = 3
10 write(1<pipe:[3]>, "told\\n", 5) = 5
11 rename("/r/d/new", "/r/d/file") = 0
11 openat(AT_FDCWD</>, "/r/d", O_RDONLY|O_CLOEXEC) = 6</r/d>
11 fsync(6</r/d>) = 0
11 pwrite64(5</r/d/file>, "six", 3, 6) = -1 EIO (Input/output error) (INJECTED)
11 fdatasync(5</r/d/file>) = -1 EIO (Input/output error) (INJECTED)
`.slice(1);
const calls = parseTrace(log);

/** The disk after so many calls. */
function played(count: number): ReplayedDisk {
  const replayed = new ReplayedDisk("/r", undefined);
  for (const call of calls.slice(0, count)) {
    replayed.begin(call);
    replayed.end(call);
  }
  return replayed;
}

/** What may be left, in words: names and their bytes. */
function leftAfter(count: number): string[] {
  const shown = [...smallStates(played(count).disk)].map(({ disk }) => {
    const directory = disk.root.current.get("d");
    if (directory?.kind !== "directory") return "nothing";
    const names = [...directory.current].map(([name, node]) =>
      node.kind === "file"
        ? `${name}=${Buffer.from(node.current.copy()).toString("latin1")}`
        : name,
    );
    return names.sort().join(" ") || "empty";
  });
  return [...new Set(shown)].sort();
}

describe("a replayed disk", () => {
  it("loses or keeps each name for itself until its directory is synced (D2)", () => {
    assert.deepEqual(leftAfter(1), ["empty", "nothing"]);
    // The parent was not synced either: the whole directory may be gone.
    assert.deepEqual(leftAfter(2), ["empty", "new=", "nothing"]);
  });

  it("loses or keeps bytes until their file is synced, torn in any place (D1)", () => {
    assert.deepEqual(
      leftAfter(3).filter((left) => left.startsWith("new")),
      ["new=", "new=o", "new=on", "new=one"],
    );
    assert.deepEqual(
      leftAfter(4).filter((left) => left.startsWith("new")),
      ["new=one"],
    );
  });

  it("has a renamed file under one name or the other, and no more once that is synced", () => {
    const left = leftAfter(7);
    assert.ok(left.includes("file=one") && left.includes("new=onetwo"));
    assert.ok(left.every((each) => !(each.includes("file") && each.includes("new"))));
    assert.ok(leftAfter(9).every((each) => each.startsWith("file=one") || each === "nothing"));
  });

  it("has lost for good what a failed sync was to bring (D3)", () => {
    assert.ok(leftAfter(10).includes("file=onetwo"));
    assert.ok(!leftAfter(11).includes("file=onetwo"));
    const shown = played(11).disk.root.current.get("d");
    assert.ok(shown?.kind === "directory" && shown.current.get("file")?.kind === "file");
  });

  it("is the same for the same seed", () => {
    const { disk } = played(7);
    const states = [1, 1, 2, 3, 4, 5].map((seed) => seededState(disk, new SimRandom(seed)).disk);
    const digests = states.map(digestOf);
    assert.equal(digests[0], digests[1]);
    assert.ok(new Set(digests).size > 2);
  });

  it("refuses a call that it cannot replay", () => {
    const [strange] = parseTrace("10 fallocate(5</r/d/new>, 0, 0, 4096) = 0\n");
    assert.ok(strange !== undefined);
    assert.throws(() => played(2).begin(strange), /nobody knows how to replay/);
  });
});

describe("places to be hit", () => {
  const run = { calls, mainThread: 10, poolThread: 11 } as unknown as SceneRun;
  const hittable = hittableCalls(run, "/r");

  it("are all calls that change files or tell, counted for each thread", () => {
    const shown = hittable.map(
      ({ thread, call, n }: NumberedCall) => `${thread} ${call.call} ${n}`,
    );
    assert.deepEqual(shown, [
      ...["main mkdir 1", "main openat 1", "main pwrite64 1", "pool fdatasync 1"],
      ...["main pwrite64 2", "main write 1", "pool rename 1", "pool openat 1", "pool fsync 1"],
      ...["pool pwrite64 1", "pool fdatasync 2"],
    ]);
    const kills = faultPoints(hittable).filter(({ kind }) => kind === "kill");
    assert.equal(kills.length, hittable.length);
  });

  it("must belong to threads that are known", () => {
    assert.throws(
      () => hittableCalls({ ...run, poolThread: 12 }, "/r"),
      /a thread that nobody knows makes fdatasync/,
    );
  });
});

describe("what a life has left", () => {
  it("is sound, or is told to have lost what was acknowledged (V1, D1)", async () => {
    const dataDir = join(root, "lost");
    const store = await openStore({ dataDir, liftFloors: true, diskReserveBytes: 0 }, nodeHost());
    const key = new Uint8Array([97]);
    const { version } = await store.set(key, new Uint8Array([49]), { kind: "never" });
    await store.close();
    const nowMs = Date.now() + 1000;
    const lines = [asked(0, "a", "1"), acknowledged(0, version)];
    const lost = oracleOf([...lines, asked(1, "a", "2"), acknowledged(1, version + 1)]);
    await assert.rejects(
      judgeRemains({ dataDir, oracle: lost, nowMs, isThorough: true, where: "lost" }),
      /lost: opened: the recovered state is none/,
    );
    await judgeRemains({
      dataDir,
      oracle: oracleOf(lines),
      nowMs,
      isThorough: true,
      where: "sound",
    });
  });

  it("is met at the very call, and sound, when the process was killed there (V1, V8)", async () => {
    const stage = new Stage(join(root, "stage"));
    const scene = await stage.scene("fresh");
    const treatment = {
      kind: "inject",
      injections: [{ thread: "pool", call: "fdatasync", what: "signal=SIGKILL:when=4" }],
    } as const;
    const point = {
      kind: "kill",
      call: "fdatasync",
      where: "here",
      treatment,
      isHarmless: false,
    } as const;
    const outcome = await runFault(stage, scene, point);
    assert.equal(outcome.wasMet, true);
    await assert.rejects(
      runFault(stage, scene, { ...point, kind: "error" }),
      /here: it hung, or died of SIGKILL/,
    );
    stage.close();
  });
});
