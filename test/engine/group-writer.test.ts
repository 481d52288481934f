/** Groups that are taken while others write: what fits, and who is answered before the log rotates. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { GroupWriter } from "../../src/engine/group-writer.js";
import type { Log } from "../../src/engine/log.js";
import { Staging } from "../../src/engine/staging.js";
import type { Versions } from "../../src/engine/versions.js";
import type { WriteOp } from "../../src/engine/write-op.js";

const segmentBytesMax = 1000;
const frameBytes = 400;

/** More turns of the microtask queue than lie between any two steps of a group. */
const turnsMax = 12;

/** A log with room for one frame, which rotates when it is to take more; it only counts. */
class CountingLog {
  room = frameBytes + 100;
  /** What was done, in order. */
  readonly did: string[] = [];
  onPrepare = (): void => undefined;
  readonly nextIsBarrier = false;

  isReadyFor(bytes: number): boolean {
    return bytes <= this.room;
  }

  async prepare(bytes: number): Promise<{ segment: object; room: number }> {
    this.onPrepare();
    if (bytes > this.room) {
      this.did.push("rotated");
      this.room = segmentBytesMax;
    }
    const segment = { length: 0, name: { salt: 1 }, coverTimestamp: () => undefined };
    return { segment, room: this.room };
  }

  async append(pieces: readonly Uint8Array[], beforeWaiting: () => void): Promise<void> {
    const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    assert.ok(bytes <= this.room, `${bytes} bytes where ${this.room} have room`);
    this.room -= bytes;
    this.did.push("appended");
    beforeWaiting();
  }
}

/** A writer over that log, and the means to put a frame in line for it. */
function setUp() {
  const log = new CountingLog();
  const staging = new Staging(segmentBytesMax);
  let version = 0;
  const stage = (): void => {
    version += 1;
    const op = { request: { kind: "set" }, ops: [] } as unknown as WriteOp;
    const entry = { version, at: 0, length: frameBytes } as WriteOp["entries"][number];
    staging.chunkFor(frameBytes).add(op, [entry], frameBytes, 1);
  };
  const versions = { isReserved: () => true } as unknown as Versions;
  const writer = new GroupWriter(log as unknown as Log, staging, versions);
  return { log, staging, stage, writer };
}

/** Does something after so many turns of the microtask queue. */
async function after(turns: number, act: () => void): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) await undefined;
  act();
}

test("I4: a frame that comes while the log is made ready is in the group only if there is room for it", async () => {
  for (let turns = 0; turns < turnsMax; turns += 1) {
    const { log, staging, stage, writer } = setUp();
    stage();
    log.onPrepare = () => {
      log.onPrepare = () => undefined;
      void after(turns, stage);
    };
    let frames = 0;
    await writer.write(() => undefined).then(({ bytes }) => (frames += bytes / frameBytes));
    await after(turnsMax, () => undefined);
    if (!staging.isEmpty) {
      await writer.write(() => undefined).then(({ bytes }) => (frames += bytes / frameBytes));
    }
    assert.equal(frames, 2, `after ${turns} turns`);
  }
});

test("I8 M3: whoever waits for an answer has it before the log rotates, whenever the frame comes that makes it", async () => {
  for (let turns = 0; turns < turnsMax; turns += 1) {
    const { log, stage, writer } = setUp();
    stage();
    assert.ok(writer.isReady);
    log.onPrepare = () => {
      log.onPrepare = () => undefined;
      void after(turns, stage);
    };
    await writer.write(() => log.did.push("answered"));
    const rotated = log.did.indexOf("rotated");
    if (rotated !== -1) assert.equal(log.did[rotated - 1], "answered", `after ${turns} turns`);
  }
});

test("I8 M3: one that was ready when it was looked at, and is not when it is written, answers before it rotates", async () => {
  const { log, stage, writer } = setUp();
  stage();
  assert.ok(writer.isReady);
  stage();
  assert.ok(!writer.isReady);
  await writer.write(() => log.did.push("answered"));
  assert.deepEqual(log.did, ["answered", "rotated", "appended", "answered"]);
});
