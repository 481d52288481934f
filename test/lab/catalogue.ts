/** The instruments of the failure lab, in the order in which docs/testing.md tells of them. */
import { fuzzInstrument } from "./fuzz/instrument.js";
import type { Instrument } from "./instrument.js";
import { killInstrument } from "./kill/instrument.js";
import { linearizeInstrument } from "./linearize/instrument.js";
import { plantInstrument } from "./plant/instrument.js";
import { rotInstrument } from "./rot/instrument.js";
import { simulateInstrument } from "./simulate/instrument.js";
import { sweepInstrument } from "./sweep/instrument.js";
import { syscallsInstrument } from "./syscalls/instrument.js";

export const instruments: readonly Instrument[] = [
  sweepInstrument,
  simulateInstrument,
  killInstrument,
  syscallsInstrument,
  linearizeInstrument,
  rotInstrument,
  fuzzInstrument,
  plantInstrument,
];

/** The instrument of that name. */
export function findInstrument(name: string): Instrument | undefined {
  return instruments.find((instrument) => instrument.name === name);
}
