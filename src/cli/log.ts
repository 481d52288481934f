/**
 * The server's log on stderr: JSON lines, or for a person on a terminal the
 * same in columns and colours. Every line is written before the call returns,
 * so that none is lost at exit. Keys and values never reach it (V12).
 */
import { type DestinationStream, destination, pino } from "pino";
import type { Log } from "../host/host.js";
import type { LogFormat } from "./serve-options.js";

const STDERR = 2;

/** A log with this level and format. */
export async function openLog(level: string, format: LogFormat): Promise<Log> {
  const formatters = { level: (label: string) => ({ level: label }) };
  const stream = isPretty(format) ? await prettyStream() : jsonStream();
  const log: Log = pino({ level, base: { pid: process.pid }, formatters }, stream);
  return log;
}

function isPretty(format: LogFormat): boolean {
  return format === "pretty" || (format === "auto" && process.stderr.isTTY === true);
}

function jsonStream(): DestinationStream {
  return destination({ dest: STDERR, sync: true });
}

async function prettyStream(): Promise<DestinationStream> {
  const { PinoPretty } = (await import("pino-pretty")).default;
  const { NO_COLOR: noColor } = process.env;
  return PinoPretty({
    destination: STDERR,
    sync: true,
    colorize: process.stderr.isTTY === true && (noColor === undefined || noColor === ""),
    ignore: "pid",
    singleLine: true,
    translateTime: "SYS:HH:MM:ss.l",
  });
}
