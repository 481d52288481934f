/** What a bench measured. */

/** The outcome of one bench, in one unit. */
export interface BenchResult {
  name: string;
  /** Our figure: the median of the rounds. */
  ours: number;
  /** The best figure of the others, taken in the same run; null if there is nobody to compare with. */
  theirs: number | null;
  /** ours / theirs; where the figure is compared with a goal of its own, the figure itself. */
  ratio: number;
  /** The lowest and the highest ratio of the rounds. */
  spread: [number, number];
  unit: string;
  /** Whatever else was measured or set. */
  detail?: Record<string, unknown>;
}
