/**
 * The inputs that each lead a decoder where no other one does: a file for each
 * decoder in test/lab/fuzz/corpus, an input a line, as base64. They are seeds of
 * every run, and a test executes all of them.
 *
 * KVIX_KEEP_CORPUS=1 lets a run add what it finds.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../../support/paths.js";

const folder = join(repositoryRoot, "test/lab/fuzz/corpus");

function pathOf(name: string): string {
  return join(folder, `${name.replaceAll(" ", "-")}.txt`);
}

/** The committed inputs of a decoder, in the order of the file. */
export function readCorpus(name: string): Uint8Array[] {
  const path = pathOf(name);
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
  return lines.map((line) => new Uint8Array(Buffer.from(line, "base64")));
}

/** Adds inputs to those that are committed, each once, the shortest first. */
export function addToCorpus(name: string, inputs: readonly Uint8Array[]): void {
  const lines = new Set([...readCorpus(name), ...inputs].map((input) => base64Of(input)));
  const sorted = [...lines].sort(
    (one, other) => one.length - other.length || (one < other ? -1 : 1),
  );
  writeFileSync(pathOf(name), sorted.map((line) => `${line}\n`).join(""));
}

/** An input as a line of the corpus, or of a finding. */
export function base64Of(input: Uint8Array): string {
  return Buffer.from(input).toString("base64");
}
