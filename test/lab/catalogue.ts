/** The instruments of the failure lab, in the order in which docs/testing.md tells of them. */
import { fuzzInstrument } from "./fuzz/instrument.js";
import type { Instrument } from "./instrument.js";
import { rotInstrument } from "./rot/instrument.js";

export const instruments: readonly Instrument[] = [rotInstrument, fuzzInstrument];

/** The instrument of that name. */
export function findInstrument(name: string): Instrument | undefined {
  return instruments.find((instrument) => instrument.name === name);
}
