/**
 * Uploads of one client: a value that comes in pieces, with pauses, and is finished, given
 * up, cancelled, or not what was announced. The history hears of a write when it is
 * finished; whoever sees its value before has seen what was not there. When none is under
 * way no staging file is left, in no life.
 */
import { strict as assert } from "node:assert";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { Upload, UploadResult, UploadStart } from "../../../src/engine/store.js";
import { crc32 } from "../../../src/format/checksum.js";
import { type Ask, bytesOf } from "./call.js";
import { type Caller, conditionOf, single } from "./caller.js";
import { directoryAt } from "./disk-places.js";
import type { Life } from "./life.js";

const valueLengths = [0, 1, 30, 200, 900] as const;

/** One upload, in one way or another. */
export async function upload(life: Life, caller: Caller, key: string): Promise<void> {
  const { random } = life.world;
  const value = life.nextValue(key, random.pick(valueLengths));
  const demands = caller.demand(key, 0.2);
  const durability = caller.durability();
  const expiry = caller.expiry();
  const stop = random.chance(0.1) ? new AbortController() : undefined;
  const options = { condition: conditionOf(demands), durability, signal: stop?.signal };
  const bytes = bytesOf(value);
  const begin = (): Promise<UploadStart> => {
    return life.store.upload(bytesOf(key), bytes.length, expiry, options);
  };
  const begun =
    demands.length === 0
      ? await foreseen(life, stop, begin())
      : await check(life, caller, { changes: [], demands, durability }, begin, stop);
  if (begun?.kind !== "begun") return;
  const staged = begun.upload;
  life.counts.uploads += 1;
  if (!(await send(life, staged, bytes, stop))) return;
  const ask = { changes: [{ kind: "set", key, value, expiry }], demands, durability } as const;
  const isDamaged = random.chance(0.1);
  const isSpoilt = life.plan.spoilsStaging && random.chance(0.3) && spoilStaging(life, bytes);
  const checksum = isDamaged ? crc32(bytes) ^ 1 : crc32(bytes);
  if (random.chance(0.15)) {
    await staged.abort();
    await life.unlessDead();
    life.got("abort", 0);
  } else if (isDamaged) {
    const error = await staged.finish(checksum >>> 0).then(
      () => undefined,
      (why: unknown) => why,
    );
    await life.unlessDead();
    assert.ok(error, "an upload that is not what was announced is refused");
    const isMismatch = error instanceof KvixError && error.reason === "UPLOAD_MISMATCH";
    if (!isMismatch) life.requireForeseen(error, stop?.signal.aborted === true, "upload");
  } else {
    const finish = async () => answerOf(await staged.finish(checksum));
    const answer = await caller.hear(ask, finish, stop?.signal);
    assert.ok(
      !(isSpoilt && answer?.applied),
      "V2 V13: an upload is applied that the disk has spoilt",
    );
    caller.met(key, answer?.results[0]?.version ?? 0);
  }
}

/** Begins on a condition: that it is looked at is a call of its own. */
async function check(
  life: Life,
  caller: Caller,
  ask: Ask,
  begin: () => Promise<UploadStart>,
  stop: AbortController | undefined,
): Promise<UploadStart | undefined> {
  let start: UploadStart | undefined;
  const call = async () => {
    start = await begin();
    if (start.kind === "unmet") return answerOf(start.result);
    return { applied: true, results: [], unmet: [], previous: undefined };
  };
  await caller.hear(ask, call, stop?.signal);
  await life.unlessDead();
  return start;
}

/** Sends the bytes in pieces; false: it is over. */
async function send(
  life: Life,
  staged: Upload,
  bytes: Uint8Array,
  stop: AbortController | undefined,
): Promise<boolean> {
  const { random } = life.world;
  const cutAt = stop === undefined ? undefined : random.below(bytes.length + 1);
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + 1 + random.below(400));
    const piece = staged.write(bytes.subarray(at, end)).then(() => true);
    if (!(await foreseen(life, stop, piece))) return false;
    life.got("piece", end);
    if (cutAt !== undefined && end >= cutAt) stop?.abort();
    at = end;
    await life.pause();
    await life.unlessDead();
  }
  if (cutAt !== undefined) stop?.abort();
  return true;
}

/** Flips a bit in the file where a value waits for its place in the log. */
function spoilStaging(life: Life, bytes: Uint8Array): boolean {
  const { random, files } = life.world;
  const names = directoryAt(files.disk, life.segmentDir, "current")?.current ?? [];
  for (const [name, node] of names) {
    if (node.kind !== "file" || !name.startsWith("upload_")) continue;
    if (node.current.length !== bytes.length || !node.current.includes(bytes)) continue;
    const position = random.below(bytes.length);
    const flipped = (bytes[position] as number) ^ (1 << random.below(8));
    node.current.write(Uint8Array.of(flipped), position);
    life.hasSpoiltStaging = true;
    return true;
  }
  return false;
}

async function foreseen<Result>(
  life: Life,
  stop: AbortController | undefined,
  result: Promise<Result>,
): Promise<Result | undefined> {
  try {
    const settled = await result;
    await life.unlessDead();
    return settled;
  } catch (error) {
    await life.unlessDead();
    life.requireForeseen(error, stop?.signal.aborted === true, "upload");
    return undefined;
  }
}

function answerOf({ applied, version, expiresAtMs, current }: UploadResult) {
  return single(applied, { version, found: applied, expiresAtMs }, undefined, current);
}

/** Nothing is left of uploads that are over; a disk that refuses may keep a file until the next opening. */
export function requireNoStaging({ world, segmentDir, hasFailed }: Life): void {
  if (hasFailed) return;
  const names = directoryAt(world.files.disk, segmentDir, "current")?.current.keys() ?? [];
  const staged = Array.from(names).filter((name) => name.startsWith("upload_"));
  assert.deepEqual(staged, [], "an upload that is over has left a file");
}
