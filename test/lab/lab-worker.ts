/** The program of a process of the lab: `node lab-worker.js INSTRUMENT [ONLY]`. */
import { findInstrument } from "./catalogue.js";
import { serveRuns } from "./run-server.js";

const [name = "", only] = process.argv.slice(2);
const instrument = findInstrument(name);
if (instrument === undefined) throw new TypeError(`no instrument is called ${name}`);
await serveRuns(instrument, only);
