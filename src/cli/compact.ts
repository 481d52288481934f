/**
 * `kvix compact`: has the server compact its store, shows how far it is, and says
 * what came of it. A run that goes on already is joined.
 */
import {
  AdminService,
  CompactionOutcome,
  CompactionOutcomeSchema,
  type CompactionProgress,
  CompactionProgressSchema,
  type CompactResponse,
} from "../../gen/kvix/v1/kvix_pb.js";
import { adminJson, enumName } from "./admin-json.js";
import {
  addClientFlags,
  type ClientFlags,
  NO_TIMEOUT,
  readSession,
  type Session,
  withServer,
} from "./client-session.js";
import { showWork } from "./compaction-text.js";
import { ExitCode, exitCodesHelp } from "./exit-code.js";
import { CommandEnd } from "./failure.js";
import { openProgressBar, type ProgressBar } from "./progress-bar.js";
import { StopSignal } from "./stop-signal.js";
import { FaultList } from "./usage-error.js";
import type { DeclareVerb, VerbContext } from "./verb.js";

const help = `
Brings back the space of what was deleted and overwritten. Reads and writes go on
meanwhile. It may take hours, so there is no timeout unless one is given. On a
terminal it shows a bar. Ctrl-C, or the timeout, cancels the run, unless somebody
else waits for it too or the server began it by itself; what was compacted stays so.
With --json one object at the end. A run that was declined ends with exit code 7,
one that failed or was cancelled with 1.

Examples:
  kvix compact
  kvix compact --timeout 2h --json | jq .bytesReclaimed
${exitCodesHelp}`;

const BAR_FORMAT = "compacting {bar} {percentage}% {segments}";
/** The bar is drawn in thousandths. */
const BAR_TOTAL = 1000;

interface CompactFlags extends ClientFlags {
  readonly progress?: boolean;
}

/** `kvix compact`. */
export const declareCompact: DeclareVerb = (command, context) => {
  addClientFlags(command, NO_TIMEOUT)
    .option("--no-progress", "no progress bar")
    .addHelpText("after", help)
    .action((flags: CompactFlags) => compact(flags, context));
};

async function compact(flags: CompactFlags, { out, err, environment }: VerbContext): Promise<void> {
  const faults = new FaultList();
  const session = readSession(flags, environment, faults, NO_TIMEOUT);
  faults.throwIfAny();
  const bar = await openProgressBar(err, BAR_FORMAT, flags.progress);
  const { progress, storeVersion } = await follow(session, bar);
  if (progress === undefined || progress.outcome === CompactionOutcome.UNSPECIFIED) {
    throw new CommandEnd(ExitCode.UNAVAILABLE, "the server told no end of the compaction");
  }
  if (flags.json === true) {
    const json = adminJson(CompactionProgressSchema, progress);
    await out.json({ ...json, storeVersion: Number(storeVersion) });
  } else {
    await out.write(resultText(progress));
  }
  const { outcome, why } = progress;
  const code = codeOfOutcome[outcome] ?? ExitCode.FAILURE;
  if (code === ExitCode.OK) return;
  throw new CommandEnd(code, `${enumName(CompactionOutcomeSchema, outcome)}: ${why}`);
}

const codeOfOutcome: Readonly<Record<CompactionOutcome, number>> = {
  [CompactionOutcome.UNSPECIFIED]: ExitCode.FAILURE,
  [CompactionOutcome.COMPLETED]: ExitCode.OK,
  [CompactionOutcome.NOTHING_TO_DO]: ExitCode.OK,
  [CompactionOutcome.DECLINED]: ExitCode.REFUSED,
  [CompactionOutcome.CANCELLED]: ExitCode.FAILURE,
  [CompactionOutcome.FAILED]: ExitCode.FAILURE,
};

/** The last that the server tells of the run; a signal to stop cancels the call. */
async function follow(session: Session, bar: ProgressBar): Promise<Partial<CompactResponse>> {
  const stop = new StopSignal();
  try {
    return await withServer(session, async (_call, stream) => {
      let last: Partial<CompactResponse> = {};
      for await (const answer of stream(AdminService.method.compact, {}, stop.signal)) {
        last = answer;
        draw(bar, answer.progress);
      }
      return last;
    });
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    const unless = "unless somebody else waits for it or the server began it by itself";
    throw new CommandEnd(ExitCode.FAILURE, `stopped; the compaction is cancelled, ${unless}`);
  } finally {
    stop.end();
    bar.end();
  }
}

function draw(bar: ProgressBar, progress: CompactionProgress | undefined): void {
  if (progress === undefined) return;
  const { segmentsDone, segmentsChosen, shareDone } = progress;
  const segments = `of ${segmentsChosen} segments, ${segmentsDone} done`;
  bar.update(Math.floor(shareDone * BAR_TOTAL), BAR_TOTAL, { segments });
}

/** What was done, also by a run that did not come to its end; nothing if nothing was. */
function resultText(progress: CompactionProgress): string {
  if (progress.outcome === CompactionOutcome.NOTHING_TO_DO) return "nothing to compact\n";
  const isWhole = progress.outcome === CompactionOutcome.COMPLETED;
  return isWhole || progress.segmentsDone > 0 ? `compacted ${showWork(progress)}\n` : "";
}
