/**
 * `kvix delete` of a range: one DeleteRange after the other until nothing of the range is
 * left. It is not atomic; what ends it early is told with how many records are gone.
 *
 * --dry-run counts the keys of the range at one point in time, by a scan: a DeleteRange
 * that only counts would count its first 10,000 again and again.
 */
import { type Durability, KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../base/kvix-error.js";
import { RANGE_DELETES_MAX } from "../base/limits.js";
import { type Call, type Session, type Stream, withServer } from "./client-session.js";
import { CommandEnd, explainFailure } from "./failure.js";
import type { KeyRange, RangeFlags } from "./range-flags.js";
import type { FaultList } from "./usage-error.js";
import type { VerbContext } from "./verb.js";
import { readCount } from "./write-flags.js";

/** The flags that go with a range alone, beside those that name it. */
export interface RangeDeleteFlags extends RangeFlags {
  readonly all?: true;
  readonly dryRun?: true;
  readonly limit?: string;
}

/** What is removed, and how. */
export interface RangeDelete extends KeyRange {
  readonly all: boolean;
  readonly isDryRun: boolean;
  /** How many records at most. */
  readonly limit: number;
  readonly durability: Durability;
}

/** How many records are gone, or would go. */
interface RangeCount {
  readonly count: number;
  readonly storeVersion: bigint;
}

/** Whether a range is to be removed, and not a key. */
export function namesRange({ prefix, start, end, all }: RangeDeleteFlags): boolean {
  return prefix !== undefined || start !== undefined || end !== undefined || all === true;
}

/** The most records that are removed. */
export function readLimit({ limit }: RangeDeleteFlags, faults: FaultList): number {
  const most = Number.MAX_SAFE_INTEGER;
  return limit === undefined ? most : readCount("--limit", limit, 1, most, faults);
}

/** Notes what does not make a range: all beside a bound, or a bound that is empty. */
export function requireRange(flags: RangeDeleteFlags, range: KeyRange, faults: FaultList): void {
  const { prefix, start, end } = flags;
  const bounds = { "--prefix": prefix, "--start": start, "--end": end };
  const given = Object.keys(bounds).filter(
    (name) => bounds[name as keyof typeof bounds] !== undefined,
  );
  if (flags.all === true && given.length > 0) {
    faults.add("--all", `does not go together with ${given.join(" and ")}`);
  }
  const isEmpty = [range.prefix, range.start, range.end].every((bound) => bound.length === 0);
  // An empty bound would mean every key; a script whose variable is unset shall not say so.
  if (flags.all !== true && isEmpty)
    faults.add(given[0] ?? "--all", "is empty; all keys are --all");
}

/** Removes the range, and prints how many records that were. */
export async function deleteRange(
  session: Session,
  asked: RangeDelete,
  isJson: boolean,
  { out }: VerbContext,
): Promise<void> {
  const { count, storeVersion } = await withServer(session, (call, stream) =>
    asked.isDryRun ? countKeys(stream, asked) : removeAll(call, asked),
  );
  if (isJson) {
    const { isDryRun: dryRun } = asked;
    return await out.json({ count, dryRun, storeVersion: Number(storeVersion) });
  }
  const records = count === 1 ? "1 record" : `${count} records`;
  await out.line(asked.isDryRun ? `would delete ${records}` : `deleted ${records}`);
}

async function removeAll(
  call: Call,
  { prefix, start, end, all, limit: most, durability }: RangeDelete,
): Promise<RangeCount> {
  let count = 0;
  let storeVersion = 0n;
  for (let more = true; more && count < most; ) {
    const limit = Math.min(RANGE_DELETES_MAX, most - count);
    try {
      const request = { prefix, start, end, all, limit, durability };
      const answer = await call(KvService.method.deleteRange, request);
      count += answer.count;
      ({ more, storeVersion } = answer);
    } catch (error) {
      throw withCount(error, count);
    }
  }
  return { count, storeVersion };
}

/** The same end, with how many records are gone for certain. */
function withCount(error: unknown, before: number): unknown {
  const isTold = error instanceof KvixError || error instanceof CommandEnd;
  const here = error instanceof KvixError ? Number(error.metadata["removed"] ?? 0) : 0;
  if (!isTold || before + here === 0) return error;
  const { message, exitCode } = explainFailure(error);
  const told = `${message.replace(/\.$/, "")}. At least ${before + here} records are deleted`;
  return new CommandEnd(exitCode, told);
}

async function countKeys(
  stream: Stream,
  { prefix, start, end, limit: most }: RangeDelete,
): Promise<RangeCount> {
  const limit = most === Number.MAX_SAFE_INTEGER ? 0n : BigInt(most);
  let count = 0;
  let storeVersion = 0n;
  const request = { prefix, start, end, keysOnly: true, limit };
  for await (const part of stream(KvService.method.scan, request)) {
    count += part.records.length;
    ({ storeVersion } = part);
  }
  return { count, storeVersion };
}
