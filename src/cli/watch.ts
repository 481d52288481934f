/** `kvix watch`: every change, as it becomes durable, until it is stopped. */
import { KvixError } from "../base/kvix-error.js";
import { VERSION_MAX } from "../base/limits.js";
import { NodeClock } from "../host/node-clock.js";
import type { ByteFormat } from "./byte-text.js";
import { addClientFlags, type ClientFlags, NO_TIMEOUT, readSession } from "./client-session.js";
import { exitCodesHelp } from "./exit-code.js";
import { CommandEnd, explainFailure } from "./failure.js";
import { addFormatFlags, type FormatFlags, readFormat, readKey } from "./key-flags.js";
import { addRangeFlags, type RangeFlags, readRange } from "./range-flags.js";
import { StopSignal } from "./stop-signal.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";
import { type Listener, type Watched, WatchFollower } from "./watch-follower.js";
import { eventLine } from "./watch-lines.js";
import { readCount } from "./write-flags.js";

const help = `
One change a line: its version, set, delete or expire, the key, and of a set the
value. Each comes once, in version order, and only when it is durable. With
--include-current the records that stand come first, as current. Without --after it
begins with what changes from now on; --after 0 is all that the log still has.

After a loss of the connection it goes on by itself, and stderr says so. Ctrl-C, or
--timeout, ends it with 0, and stderr says with which --after to go on. The code is
7 if the changes after a version are no longer all there: begin with
--include-current.

Examples:
  kvix watch
  kvix watch --prefix user: --json | jq -r .key
  kvix watch config --include-current
  kvix watch --after 4711 --limit 100
${exitCodesHelp}`;

const clock = new NodeClock();

type WatchFlags = ClientFlags &
  FormatFlags &
  RangeFlags & {
    readonly after?: string;
    readonly includeCurrent?: true;
    readonly keysOnly?: true;
    readonly limit?: string;
  };

/** `kvix watch [KEY]`. */
export const declareWatch: DeclareVerb = (command, context) => {
  addRangeFlags(addFormatFlags(command).argument("[KEY]", "only this key"))
    .option("--after <VERSION>", "the changes after this version; 0: all that the log has")
    .option("--include-current", "first the records that stand")
    .option("--keys-only", "print no values")
    .option("--limit <N>", "end after so many lines");
  addClientFlags(command, NO_TIMEOUT)
    .addHelpText("after", help)
    .action((key: string | undefined, flags: WatchFlags) => watch(key, flags, context));
};

async function watch(
  keyText: string | undefined,
  flags: WatchFlags,
  { out, err, environment }: VerbContext,
): Promise<void> {
  const faults = new FaultList();
  const { timeoutMs, ...server } = readSession(flags, environment, faults, NO_TIMEOUT);
  const format = readFormat(flags, faults);
  const watched = readWatched(keyText, flags, format, faults);
  const most = Number.MAX_SAFE_INTEGER;
  const limit =
    flags.limit === undefined ? most : readCount("--limit", flags.limit, 1, most, faults);
  faults.throwIfAny();
  const style = { format, isJson: flags.json === true, keysOnly: flags.keysOnly === true };
  const listener: Listener = {
    tell: (events, isCurrent) =>
      out.write(events.map((event) => eventLine(event, isCurrent, style)).join("")),
    note: (text) => err.line(`kvix watch: ${text}`),
  };
  const follower = new WatchFollower(watched, listener, limit);
  const stop = new StopSignal();
  if (timeoutMs !== undefined) void clock.sleep(timeoutMs, stop.signal).then(stop.stop);
  try {
    await follower.follow({ ...server, timeoutMs: undefined }, stop.signal);
  } catch (error) {
    throw goingOn(error, follower.version);
  } finally {
    stop.end();
  }
  const { version } = follower;
  await listener.note(
    version === undefined
      ? "ended before there was a version to go on from"
      : `ended; go on with --after ${version}`,
  );
}

function readWatched(
  keyText: string | undefined,
  flags: WatchFlags,
  format: ByteFormat,
  faults: FaultList,
): Watched {
  const { after, includeCurrent } = flags;
  const range = readRange(flags, format, faults);
  if (keyText !== undefined && (flags.prefix ?? flags.start ?? flags.end) !== undefined) {
    faults.add("KEY", "does not go together with --prefix, --start or --end");
  }
  if (after !== undefined && includeCurrent === true) {
    faults.add("--after", "does not go together with --include-current");
  }
  return {
    ...range,
    ...(keyText !== undefined && { key: readKey(keyText, format, faults) }),
    keysOnly: flags.keysOnly === true,
    includeCurrent: includeCurrent === true,
    ...(after !== undefined && {
      afterVersion: BigInt(readCount("--after", after, 0, VERSION_MAX, faults)),
    }),
  };
}

/** The same end, with where to go on, where that makes sense. */
function goingOn(error: unknown, version: bigint | undefined): unknown {
  const isKvix = error instanceof KvixError;
  if (version === undefined || (isKvix && error.reason === "HISTORY_LOST")) return error;
  if (!isKvix && !(error instanceof CommandEnd)) return error;
  const { message, exitCode } = explainFailure(error);
  const told = `${message.replace(/\.$/, "")}. Go on with --after ${version}`;
  return new CommandEnd(exitCode, told);
}
