/** The committed corpus is taken by every decoder, and the fuzzer finds what is wrong with a bad one. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { base64Of, readCorpus } from "./corpus.js";
import { executeMany, FuzzInputs, findingOf } from "./fuzz-loop.js";
import { FuzzFinding, type FuzzTarget } from "./fuzz-target.js";
import { Guided } from "./guided.js";
import { findTarget, fuzzTargets } from "./targets.js";

/** Inputs of all decoders are few and small enough to read through. */
const CORPUS_BYTES_MAX = 300 * 1024;

for (const target of fuzzTargets) {
  test(`V11 R6: ${target.name}: every committed input comes to a verdict`, async (t) => {
    t.after(() => target.close?.());
    for (const input of [...target.seeds(), ...readCorpus(target.name)]) {
      assert.equal(await findingOf(target, input), undefined);
    }
  });
}

test("the corpus is small, and has each input once", () => {
  let bytes = 0;
  for (const { name, lengthMax } of fuzzTargets) {
    const lines = readCorpus(name).map(base64Of);
    assert.equal(new Set(lines).size, lines.length, name);
    for (const line of lines) {
      bytes += line.length + 1;
      assert.ok(line.length <= Math.ceil(lengthMax / 3) * 4, name);
    }
  }
  assert.ok(bytes < CORPUS_BYTES_MAX, `${bytes} bytes`);
});

test("the inputs of a seed are the same each time, and those of another seed are others", () => {
  const target = findTarget("record") as FuzzTarget;
  const some = (seed: number): string => {
    const inputs = new FuzzInputs(target, seed, target.seeds());
    return Array.from({ length: 20 }, () => base64Of(inputs.next())).join();
  };
  assert.equal(some(1), some(1));
  assert.notEqual(some(1), some(2));
});

test("a decoder that believes a length, or reads past its end, is found, with the input", async () => {
  const bad: FuzzTarget = {
    name: "bad",
    sentence: "believes the length in its first byte",
    lengthMax: 40,
    executions: 1000,
    seeds: () => [Uint8Array.of(2, 7, 7)],
    execute(bytes) {
      const end = 1 + (bytes[0] ?? 0);
      if (end > bytes.length) throw new FuzzFinding("read past the end");
      return undefined;
    },
  };
  const found = await executeMany(bad, new FuzzInputs(bad, 1, bad.seeds()), bad.executions);
  assert.match(found ?? "", /bad: FuzzFinding: read past the end[\s\S]*input: /);
});

test("guided by blocks, the fuzzer keeps inputs that reach what its corpus does not", async (t) => {
  const guided = new Guided();
  t.after(() => guided.close());
  const corpus = [Uint8Array.of(0x0a)];
  const order = { target: "record", seed: 1, corpus, batches: 1, batchSize: 80 };
  const { fresh, finding, executions } = await guided.run(order);
  assert.equal(finding, undefined);
  assert.ok(executions >= 80);
  assert.ok(fresh.length > 0);
});
