/**
 * The flags of the verbs that write: expiry, precondition, durability. Read
 * into the proto's terms; every fault is noted.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { Durability, type PreconditionSchema } from "../../gen/kvix/v1/kvix_pb.js";
import { VERSION_MAX } from "../base/limits.js";
import { durationUnitNames, type Instant, parseDuration, parseInstant } from "./quantity.js";
import type { FaultList } from "./usage-error.js";

/** When a record is to expire, as flags. */
export interface ExpiryFlags {
  readonly ttl?: string;
  readonly expireAt?: string;
}

/** What must hold for a write, as flags. */
export interface ConditionFlags {
  readonly ifAbsent?: true;
  readonly ifPresent?: true;
  readonly ifVersion?: string;
}

/** When a write is to be acknowledged, as a flag. */
export interface DurabilityFlag {
  readonly durability?: string;
}

/** Declares the flags of a precondition and of durability. */
export function addWriteFlags(command: Command): Command {
  return addDurabilityFlag(
    command
      .option("--if-absent", "only if the key is absent or expired")
      .option("--if-present", "only if the key is there")
      .option("--if-version <N>", "only if the key's record has this version"),
  );
}

/** Declares the flag of durability alone. */
export function addDurabilityFlag(command: Command): Command {
  return command.option(
    "--durability <MODE>",
    "sync or buffered; default: what the server is set to",
  );
}

/** A deadline in the proto's terms. */
export type Deadline =
  | { readonly case: "ttl"; readonly value: Instant }
  | { readonly case: "expireTime"; readonly value: Instant };

/**
 * The deadline that --ttl or --expire-at asks for; undefined: neither. `other`
 * is the verb's own third way, which goes with neither.
 */
export function readDeadline(
  { ttl, expireAt }: ExpiryFlags,
  other: Readonly<Record<string, true | undefined>>,
  faults: FaultList,
): Deadline | undefined {
  onlyOne(faults, { "--ttl": ttl, "--expire-at": expireAt, ...other });
  const byTtl = ttl === undefined ? undefined : readTtl(ttl, faults);
  return expireAt === undefined ? byTtl : readInstant(expireAt, faults);
}

/** What a time to live must be, for messages. */
export const ttlRange = `more than 0, with a unit: 90s, 1h30m (${durationUnitNames})`;
/** What an instant must be, for messages. */
export const instantRange =
  "an instant with its zone: 2027-01-31T12:00:00Z or 2027-01-31T12:00:00+01:00";

/** A time to live in the proto's terms; undefined: it is none. */
export function parseTtl(text: string): Instant | undefined {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0) return undefined;
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 };
}

function readTtl(text: string, faults: FaultList): Deadline | undefined {
  const value = parseTtl(text);
  if (value !== undefined) return { case: "ttl", value };
  faults.add("--ttl", `is ${JSON.stringify(text)}; it must be ${ttlRange}`);
  return undefined;
}

function readInstant(text: string, faults: FaultList): Deadline | undefined {
  const value = parseInstant(text);
  if (value !== undefined) return { case: "expireTime", value };
  faults.add("--expire-at", `is ${JSON.stringify(text)}; it must be ${instantRange}`);
  return undefined;
}

/** The precondition that the flags ask for; undefined: none. */
export function readCondition(
  flags: ConditionFlags,
  faults: FaultList,
): MessageInitShape<typeof PreconditionSchema> | undefined {
  const { ifAbsent, ifPresent, ifVersion } = flags;
  onlyOne(faults, {
    "--if-absent": ifAbsent,
    "--if-present": ifPresent,
    "--if-version": ifVersion,
  });
  const version =
    ifVersion === undefined ? 0 : readCount("--if-version", ifVersion, 1, VERSION_MAX, faults);
  if (ifAbsent === true) return { condition: { case: "absent", value: true } };
  if (ifPresent === true) return { condition: { case: "present", value: true } };
  if (ifVersion === undefined) return undefined;
  return { condition: { case: "version", value: BigInt(version) } };
}

/** The durability that the flag asks for. */
export function readDurability({ durability }: DurabilityFlag, faults: FaultList): Durability {
  switch (durability) {
    case undefined:
      return Durability.UNSPECIFIED;
    case "sync":
      return Durability.SYNC;
    case "buffered":
      return Durability.BUFFERED;
    default:
      faults.add("--durability", `is ${JSON.stringify(durability)}; it must be sync or buffered`);
      return Durability.UNSPECIFIED;
  }
}

/** A whole number in a range; 0 after noting a fault. */
export function readCount(
  flag: string,
  text: string,
  min: number,
  max: number,
  faults: FaultList,
): number {
  const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (count >= min && count <= max) return count;
  faults.add(flag, `is ${JSON.stringify(text)}; it must be a whole number from ${min} to ${max}`);
  return 0;
}

/** Notes a fault if more than one of the flags is there. */
function onlyOne(faults: FaultList, flags: Readonly<Record<string, unknown>>): void {
  const given = Object.keys(flags).filter((flag) => flags[flag] !== undefined);
  const [first, ...others] = given;
  if (first !== undefined && others.length > 0) {
    faults.add(first, `does not go together with ${others.join(" and ")}`);
  }
}
