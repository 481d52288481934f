/**
 * A bar on stderr for what takes minutes, drawn by cli-progress. Where stderr is no
 * terminal, or no bar is wanted, there is none, and nothing is loaded.
 */
import type { Output } from "./output.js";

/** Shows how far something is. */
export interface ProgressBar {
  /** `fields` are what the format names beside the bar itself. */
  update(done: number, total: number, fields: Readonly<Record<string, string>>): void;
  /** Wipes it off; safe to call twice. */
  end(): void;
}

const noBar: ProgressBar = { update: () => undefined, end: () => undefined };

/** `format`: a line with {bar}, {percentage} and the fields of `update`. */
export async function openProgressBar(
  err: Output,
  format: string,
  isWanted = true,
): Promise<ProgressBar> {
  if (!isWanted || !err.isTerminal) return noBar;
  const { SingleBar } = (await import("cli-progress")).default;
  const bar = new SingleBar({
    format,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
    etaBuffer: 100,
  });
  let isDrawn = false;
  return {
    update: (done, total, fields) => {
      if (!isDrawn) bar.start(total, 0, fields);
      isDrawn = true;
      bar.update(done, fields);
    },
    end: () => {
      if (isDrawn) bar.stop();
      isDrawn = false;
    },
  };
}
