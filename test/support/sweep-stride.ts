/**
 * How many operations a crash sweep goes on from one crash to the next. 1 is every
 * operation; KVIX_SWEEP_STRIDE says otherwise, where the same sweep is run once more
 * for another reason than to find out what a crash does.
 */
export function sweepStride(byDefault: number): number {
  const asked = Number(process.env["KVIX_SWEEP_STRIDE"]);
  return Number.isSafeInteger(asked) && asked > 0 ? asked : byDefault;
}
