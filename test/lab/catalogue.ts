/** The instruments of the failure lab, in the order in which docs/testing.md tells of them. */
import type { Instrument } from "./instrument.js";
import { sweepInstrument } from "./sweep/instrument.js";

export const instruments: readonly Instrument[] = [sweepInstrument];

/** The instrument of that name. */
export function findInstrument(name: string): Instrument | undefined {
  return instruments.find((instrument) => instrument.name === name);
}
