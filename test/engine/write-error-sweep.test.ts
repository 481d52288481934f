/**
 * Every mutating file operation of a store's life fails, once or from then on,
 * with EIO or ENOSPC; then the power goes, or the process alone. What was
 * acknowledged as durable is there, what was said not to be applied is not.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import { systemError } from "../../src/host/system-error.js";
import { eventfulLife } from "../support/crash-life.js";
import { CrashRun } from "../support/crash-run.js";
import { isMutating } from "../support/file-operation.js";
import type { SimHook } from "../support/sim-hook.js";
import { simHost } from "../support/sim-host.js";
import { type CrashPolicy, crashPolicies } from "../support/sim-survival.js";

/** The error an operation ends with. EIO leaves a part of a write, and a sync forgets. */
type Code = "EIO" | "ENOSPC";

function failFrom(first: number, code: Code, isSticky: boolean): SimHook {
  return ({ op, index, path }) => {
    const isHit = isMutating(op) && (isSticky ? index >= first : index === first);
    if (!isHit) return undefined;
    if (code === "ENOSPC") throw systemError(code, path, "an injected fault");
    return "fail";
  };
}

/** The life, up to where the store refuses to open or to close. */
async function tolerantLife(run: CrashRun): Promise<void> {
  try {
    await eventfulLife(run);
  } catch (error) {
    assert.ok(error instanceof KvixError, `not a KvixError: ${String(error)}`);
    const expected = ["OPEN_FAILED", "SYNC_FAILED", "WRITE_FAILED", "NO_SPACE"];
    assert.ok(expected.includes(error.reason), error.message);
  }
}

async function countOperations(): Promise<number> {
  const run = new CrashRun();
  await run.live(tolerantLife);
  return run.host.files.mutations;
}

async function judge(run: CrashRun, policy: CrashPolicy | undefined, where: string): Promise<void> {
  const { files: dying, clock } = run.host;
  dying.onOperation = undefined;
  const files = policy === undefined ? dying.kill() : dying.crash(policy, dying.mutations);
  const next = run.next(simHost({ seed: 7, files, clock }));
  await next.openAndJudge(where);
  await next.set("after", "1");
  await next.close();
  const again = next.next(next.host);
  await again.openAndJudge(`${where}, opened again`);
  await again.close();
}

for (const code of ["EIO", "ENOSPC"] as const) {
  for (const isSticky of [false, true]) {
    const times = isSticky ? "from then on" : "once";
    test(`V1 V8 D3 D6 B3: ${code} at any file operation, ${times}, loses nothing acknowledged`, async (t) => {
      const operations = await countOperations();
      let failures = 0;
      for (let index = 0; index < operations; index += 1) {
        const run = new CrashRun();
        await run.live(tolerantLife, failFrom(index, code, isSticky));
        if (run.host.files.mutations > index) failures += 1;
        const defects = run.host.log.lines.filter(({ fields }) =>
          /defect/.test(`${fields["why"]}`),
        );
        assert.deepEqual(defects, [], `${code} ${times} at ${index}`);
        // Every way to end has its turn, the kill of the process among them.
        const policy = crashPolicies[index % (crashPolicies.length + 1)];
        const end =
          policy === undefined ? "killed" : `bytes ${policy.bytes}, names ${policy.names}`;
        await judge(run, policy, `${code} ${times} at ${index}, ${end}`);
      }
      assert.equal(failures, operations);
      t.diagnostic(`${operations} file operations`);
    });
  }
}
