/**
 * One client: an operation after the other over gRPC, each told to the recorder before
 * it is sent and after its answer has come.
 *
 * A call that fails is refused if the server says that it was not applied, or if there
 * was no connection to send it on; anything else leaves its outcome unknown. Some calls
 * are given up early: cancelled when the history is a few places further, or with a
 * deadline of about what a call takes, so that it falls anywhere into its life.
 */
import { Durability, KvService } from "../../../gen/kvix/v1/kvix_pb.js";
import { StatusCode } from "../../../src/base/error-catalogue.js";
import { KvixError } from "../../../src/base/kvix-error.js";
import type { CallOptions, RpcClient } from "../../../src/rpc/client.js";
import type { SimRandom } from "../../support/sim-random.js";
import type { Answer, Call, Condition, Intent, Recorder, Shown } from "./history.js";
import type { Plan } from "./plan.js";

/** What all clients of a run share. */
export interface ClientEnvironment {
  readonly plan: Plan;
  readonly recorder: Recorder;
  readonly random: SimRandom;
  /** A fault of the server that is none of the history's. */
  readonly find: (text: string) => void;
  /** The versions that the clients last met, by key: what conditions name. */
  readonly met: number[];
  /** What a call takes, smoothed, in milliseconds. */
  callMs: number;
  /** Values given so far. */
  values: number;
}

/** How a call ended, for whoever goes on. */
export type CallEnding = "answered" | "refused" | "broken" | "given-up";

/** Reasons that a server under this load may give. */
const expectedReasons: readonly string[] = ["STORE_CLOSING", "STORE_STARTING", "CANCELLED"];

const { get, set, delete: remove } = KvService.method;
const callMsWeight = 0.05;

/** Does one operation, chosen by chance, over `rpc`. */
export async function operate(
  client: number,
  rpc: RpcClient,
  environment: ClientEnvironment,
): Promise<CallEnding> {
  const intent = intend(client, environment);
  const { random, plan } = environment;
  return await send(intent, rpc, environment, random.chance(plan.giveUpShare));
}

/** Reads a key; the answer is waited for. */
export async function survey(
  key: number,
  rpc: RpcClient,
  environment: ClientEnvironment,
): Promise<CallEnding> {
  const intent = { client: -1, key, kind: "get", value: undefined, condition: undefined } as const;
  return await send(intent, rpc, environment, false);
}

function intend(client: number, environment: ClientEnvironment): Intent {
  const { random, plan, met } = environment;
  const drawn = random.below(plan.keys);
  const key = random.chance(plan.skew) ? Math.min(drawn, random.below(plan.keys)) : drawn;
  const kind = random.pick(["get", "get", "get", "get", "set", "set", "set", "delete"] as const);
  const value = kind === "set" ? `#${++environment.values}` : undefined;
  const condition = kind === "get" ? undefined : conditionOf(random, met[key] ?? 0);
  return { client, key, kind, value, condition };
}

function conditionOf(random: SimRandom, version: number): Condition | undefined {
  const dice = random.below(10);
  if (dice < 4) return undefined;
  if (dice < 6) return { kind: "absent" };
  return dice < 7 || version === 0 ? { kind: "present" } : { kind: "version", version };
}

async function send(
  intent: Intent,
  rpc: RpcClient,
  environment: ClientEnvironment,
  isGivenUp: boolean,
): Promise<CallEnding> {
  const { recorder, random, callMs, met } = environment;
  const giveUp = isGivenUp && random.chance(0.5) ? new AbortController() : undefined;
  const patienceMs = Math.max(1, callMs * (0.1 + random.below(100) / 80));
  const places = 1 + random.below(2 * environment.plan.clients);
  const call = recorder.call(intent);
  const forget = giveUp && recorder.after(places, () => giveUp.abort());
  const startMs = performance.now();
  const isTimed = isGivenUp && giveUp === undefined;
  try {
    const options = {
      deadlineMs: isTimed ? Date.now() + patienceMs : undefined,
      ...(giveUp && { signal: giveUp.signal }),
    };
    const answer = await request(intent, rpc, environment, options);
    recorder.answered(call, answer);
    environment.callMs += callMsWeight * (performance.now() - startMs - environment.callMs);
    const version = answer.applied ? answer.version : (answer.shown?.version ?? 0);
    if (version > 0) met[intent.key] = version;
    return "answered";
  } catch (error) {
    return fail(call, error, environment);
  } finally {
    forget?.();
  }
}

async function request(
  { key, kind, value, condition }: Intent,
  rpc: RpcClient,
  { random, plan }: ClientEnvironment,
  options: CallOptions,
): Promise<Answer> {
  const name = { key: Buffer.from(`key-${key}`) };
  if (kind === "get") {
    const { record, storeVersion } = await rpc.call(get, name, options);
    return {
      applied: true,
      version: 0,
      shown: shownOf(record),
      storeVersion: Number(storeVersion),
    };
  }
  const returnPrevious = random.chance(0.5);
  const isBuffered = random.chance(plan.bufferedShare);
  const durability = isBuffered ? Durability.BUFFERED : Durability.SYNC;
  const precondition = { condition: wireCondition(condition) };
  const write = { ...name, returnPrevious, durability, precondition };
  const bytes = value === undefined ? undefined : padded(value, random.below(plan.valueBytesMax));
  const answer = await (bytes === undefined
    ? rpc.call(remove, write, options)
    : rpc.call(set, { ...write, value: bytes }, options));
  const { applied, previous, current, version, storeVersion } = answer;
  const shown = applied ? (returnPrevious ? shownOf(previous) : undefined) : shownOf(current);
  return { applied, version: Number(version), shown, storeVersion: Number(storeVersion) };
}

function fail(call: Call, error: unknown, { recorder, find }: ClientEnvironment): CallEnding {
  if (error instanceof KvixError) {
    if (!expectedReasons.includes(error.reason)) find(`the server refused: ${error.message}`);
    if (error.outcome === "not-applied" || error.outcome === "none") recorder.refused(call);
    else recorder.unknown(call);
    return "refused";
  }
  const { code, message } = error as Error & { code?: number };
  const wasNeverSent =
    code === StatusCode.UNAVAILABLE && message.includes("No connection established");
  if (wasNeverSent) recorder.refused(call);
  else recorder.unknown(call);
  if (code === StatusCode.CANCELLED || code === StatusCode.DEADLINE_EXCEEDED) return "given-up";
  if (code !== StatusCode.UNAVAILABLE) find(`the transport refused: ${message}`);
  return "broken";
}

function shownOf(
  record: { readonly value: Uint8Array; readonly version: bigint } | undefined,
): Shown | null {
  if (record === undefined) return null;
  return { value: unpadded(record.value), version: Number(record.version) };
}

/** What a value says of itself, then filler that follows from it. */
function padded(value: string, bytes: number): Buffer {
  const filler = `${value}/`.repeat(1 + Math.ceil(bytes / (value.length + 1)));
  return Buffer.from(filler.slice(0, value.length + 1 + bytes));
}

/** What it says, if it is whole; else all of it, which nobody wrote. */
function unpadded(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString("latin1");
  const value = text.slice(0, text.indexOf("/"));
  const isWhole = padded(value, text.length - value.length - 1).equals(bytes);
  return isWhole ? value : `the broken value ${JSON.stringify(text.slice(0, 80))}`;
}

function wireCondition(condition: Condition | undefined) {
  if (condition === undefined) return { case: undefined };
  if (condition.kind !== "version") return { case: condition.kind, value: true } as const;
  return { case: "version", value: BigInt(condition.version) } as const;
}
