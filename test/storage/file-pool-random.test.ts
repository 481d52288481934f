/** A pool under random reads, writes, seals and closes, in every order that a seed gives. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { File } from "../../src/host/file-system.js";
import { FilePool } from "../../src/storage/file-pool.js";
import { patternBytes } from "../support/file-contract.js";
import { SimFileSystem } from "../support/sim-file-system.js";
import { openHandles } from "../support/sim-handles.js";
import { SimRandom } from "../support/sim-random.js";
import { SeededScheduler } from "../support/sim-scheduler.js";

const ROUNDS = 60;
const STEPS = 250;
const LENGTH = 64;

/** A file, and what may still be asked of it. */
interface Subject {
  readonly file: File;
  readonly bytes: Uint8Array;
  isWritten: boolean;
  /** Reads under way. */
  reads: number;
  /** It was sealed while it was read, and is read since then. */
  isSealedInUse: boolean;
  isClosed: boolean;
}

async function checkRead(subject: Subject, random: SimRandom): Promise<void> {
  const { file, bytes } = subject;
  const position = random.below(LENGTH);
  const target = new Uint8Array(1 + random.below(LENGTH - position));
  if (random.chance(0.5)) {
    assert.equal(file.readSync(target, position), target.length);
  } else {
    const reading = file.read(target, position);
    subject.reads += 1;
    assert.equal(await reading, target.length);
    subject.reads -= 1;
    if (subject.reads === 0) subject.isSealedInUse = false;
  }
  assert.deepEqual(target, bytes.subarray(position, position + target.length));
}

/** One pool from its first file to its last; answers with how often a file was opened. */
async function live(seed: number): Promise<number> {
  const random = new SimRandom(seed);
  const files = new SimFileSystem({ seed, scheduler: new SeededScheduler(seed) });
  await files.makeDirectory("/d");
  const openMax = 1 + random.below(4);
  const pool = new FilePool(files, openMax);
  const subjects: Subject[] = [];
  const underWay: Promise<unknown>[] = [];
  const apart = (): number =>
    subjects.filter(({ isWritten, isSealedInUse }) => isWritten || isSealedInUse).length;
  let opened = 0;
  files.onOperation = ({ op }) => {
    if (op === "open") opened += 1;
    const handles = openHandles(files.disk);
    assert.ok(handles <= openMax + apart() + 1, `${handles} of ${openMax} are open`);
    return undefined;
  };
  const add = async (): Promise<void> => {
    const bytes = patternBytes(LENGTH, subjects.length * 1000);
    const file = pool.adopt(await files.open(`/d/${subjects.length}`, "create"));
    file.writeSync(bytes, 0);
    subjects.push({
      file,
      bytes,
      isWritten: true,
      reads: 0,
      isSealedInUse: false,
      isClosed: false,
    });
  };
  for (let index = 0; index < 6; index += 1) await add();
  for (let step = 0; step < STEPS; step += 1) {
    const subject = random.pick(subjects);
    if (random.chance(0.02)) await add();
    else if (subject.isClosed) await assert.rejects(checkRead(subject, random), { code: "EBADF" });
    else if (subject.isWritten && random.chance(0.2)) {
      subject.isWritten = false;
      subject.isSealedInUse = subject.reads > 0;
      pool.seal(subject.file);
    } else if (random.chance(0.03)) {
      subject.isClosed = true;
      underWay.push(subject.file.close().then(() => (subject.isWritten = false)));
    } else underWay.push(checkRead(subject, random));
    if (random.chance(0.3)) await new Promise((resolve) => setImmediate(resolve));
  }
  await Promise.all(underWay);
  assert.ok(pool.openFiles <= openMax + apart(), "what is idle is within the bound");
  for (const { file } of subjects) await file.close();
  assert.equal(pool.openFiles, 0);
  assert.equal(openHandles(files.disk), 0);
  return opened;
}

it("files of a pool keep within its bound, read what was written and leak nothing, in any order (M11, V11)", async () => {
  let opened = 0;
  for (let seed = 1; seed <= ROUNDS; seed += 1) opened += await live(seed);
  assert.ok(opened > ROUNDS * 20, `files are closed and opened again: ${opened}`);
});
