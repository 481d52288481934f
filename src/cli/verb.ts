/** What every verb of the command is made of. */
import type { Command } from "commander";
import type { Terminal } from "./output.js";

/** Where a verb says how it ended; 0 unless it says otherwise. */
export interface VerbContext extends Terminal {
  exitCode: number;
}

/** A module with a verb: declares its flags and its action. */
export type DeclareVerb = (command: Command, context: VerbContext) => void;

/** A verb as the program lists it. What it needs is loaded only when it runs. */
export interface Verb {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<DeclareVerb>;
}
