/** What a reader of the log tells, in short. */
import type { LogReader } from "../../src/engine/log-reader.js";

/** Everything that a reader tells now, as versions. */
export async function versionsOf(reader: LogReader): Promise<number[]> {
  const versions: number[] = [];
  for (;;) {
    const { changes, isCaughtUp } = await reader.next();
    if (isCaughtUp) return versions;
    for (const change of changes) versions.push(...change.map(({ version }) => version));
  }
}
