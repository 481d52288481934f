/** The plants are whole, and what looks for them tells one that is seen from one that is not. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "../../support/paths.js";
import type { Instrument } from "../instrument.js";
import { properties } from "../properties.js";
import { type Detector, detectorsFor, order, type Sighting } from "./detectors.js";
import { askAbout } from "./instrument.js";
import { type Plant, PlantUnreadable, parsePlant, readPlants, withCatcher } from "./patches.js";
import { applyPatch, PlantDead } from "./scratch.js";

const head = "Breaks: a promise\nProperty: V1, D2\nWritten: with sight of the tests\n";
const diff =
  "\ndiff --git a/src/engine/latch.ts b/src/engine/latch.ts\n" +
  "--- a/src/engine/latch.ts\n+++ b/src/engine/latch.ts\n@@ -1 +1 @@\n-nothing\n+something\n";

const plant: Plant = parsePlant("a/bad-seed.patch", head + diff);

test("every plant is whole and applies to the sources as they are", () => {
  const plants = readPlants();
  assert.ok(plants.length >= 40, `${plants.length} plants`);
  for (const plant of plants) applyPatch(plant, repositoryRoot, "--check");
});

test("a plant changes code, and no two change it in the same way", () => {
  const changes = new Map<string, string>();
  for (const { name, path } of readPlants()) {
    const lines = readFileSync(path, "utf8").split("\n");
    const changed = lines.filter((line) => /^[+-](?![+-]{2} )/.test(line));
    const code = changed.filter((line) => !/^[+-]\s*(?:$|\/\/|\/?\*)/.test(line)).join("\n");
    assert.notEqual(code, "", `${name} changes no code`);
    assert.equal(changes.get(code), undefined, `${name} is ${changes.get(code)}`);
    changes.set(code, name);
  }
});

test("every invariant is broken by some plant, and twenty plants were written without sight of the tests", () => {
  const plants = readPlants();
  const unseen = plants.filter(({ sawTests }) => !sawTests);
  for (const { name } of unseen) assert.match(name, /^blind-/);
  assert.ok(unseen.length >= 20, `${unseen.length} of ${plants.length}`);
  const ids = new Set(plants.flatMap((plant) => plant.properties));
  const unbroken = Object.keys(properties).filter((id) => /^V/.test(id) && !ids.has(id as "V1"));
  assert.deepEqual(unbroken, [], "invariants that no plant breaks");
});

test("what is known to catch a plant is there, and is asked first", () => {
  const instrumentOf = (name: string): Instrument => ({
    ...{ name, sentence: "", oneRun: "", properties: [], runs: { default: 1, ci: 1 } },
    ...{
      runSecondsMax: 1,
      isParallel: false,
      start: () => ({ run: async () => ({ counts: {} }) }),
    },
  });
  const instruments = ["plant", "kill", "rot", "sweep"].map(instrumentOf);
  const asked = (one: Plant): string[] => detectorsFor(one, instruments).map(({ name }) => name);
  assert.deepEqual(asked(plant), ["rot", "sweep", "kill", "suite"]);
  assert.deepEqual(asked({ ...plant, caughtBy: "kill" }), ["kill", "rot", "sweep", "suite"]);
  const [other] = detectorsFor(plant, [
    ...instruments,
    { ...instrumentOf("syscalls"), properties: ["D2"] },
  ]);
  assert.equal(other?.name, "syscalls", "what can find a break of its properties comes first");
  for (const { name, caughtBy } of readPlants()) {
    const [expected, ...tests] = caughtBy?.split(/\s+/) ?? ["suite"];
    assert.ok(expected === "suite" || order.includes(expected as string), name);
    assert.ok(expected === "suite" || tests.length === 0, name);
    for (const path of tests) assert.ok(existsSync(join(repositoryRoot, path)), `${name}: ${path}`);
  }
});

test("a patch without a full head, of no property, or of something else than src is refused", () => {
  assert.deepEqual(parsePlant("a/b.patch", `${head}Caught-by: sweep\n${diff}`), {
    name: "b",
    path: "a/b.patch",
    breaks: "a promise",
    properties: ["V1", "D2"],
    sawTests: true,
    caughtBy: "sweep",
    files: ["src/engine/latch.ts"],
  });
  for (const [text, why] of [
    [head, /no diff/],
    [head.replace("Breaks", "Break") + diff, /no line Breaks/],
    [head.replace("V1, D2", "V99") + diff, /V99 is no property/],
    [head.replace("with", "in") + diff, /neither with nor without/],
    [`${head}a stray line\n${diff}`, /a stray line/],
    [head + diff.replaceAll("/src/", "/test/"), /it changes test/],
  ] as const) {
    assert.throws(
      () => parsePlant("a/b.patch", text),
      (error) => error instanceof PlantUnreadable && why.test(error.message),
    );
  }
});

test("a plant that no longer applies says which it is, and of what", () => {
  const [plant] = readPlants();
  assert.ok(plant !== undefined);
  assert.throws(
    () => applyPatch(plant, repositoryRoot, "--check", "--reverse"),
    (error) =>
      error instanceof PlantDead &&
      error.message.includes(plant.name) &&
      error.message.includes(plant.files[0] as string),
  );
});

const trees = { planted: "planted", clean: "clean" };

/** Sees `sighting` in the tree "planted", and the same in the clean one if `isFalse`. */
function detector(name: string, sighting: Sighting | "refused" | undefined, isFalse = false) {
  const asked: string[] = [];
  const made: Detector = {
    name,
    look: async (tree) => {
      asked.push(tree);
      return tree === "planted" ? sighting : undefined;
    },
    seesAgain: async () => isFalse,
  };
  return { made, asked };
}

test("the first detector that sees a plant ends the search, and its seed is told", async () => {
  const dull = detector("sweep", undefined);
  const keen = detector("simulate", { text: "a record is gone", seed: 7 });
  const late = detector("suite", { text: "a test" });
  const detectors = [dull.made, keen.made, late.made];
  const { counts, findings } = await askAbout(plant, detectors, trees);
  assert.deepEqual(findings, []);
  assert.deepEqual(counts, { plants: 1, "plants caught": 1, "bad-seed -> simulate, seed 7": 1 });
  assert.deepEqual([dull.asked, keen.asked, late.asked], [["planted"], ["planted"], []]);
});

test("what caught a plant is told, and stands in its head as what is asked first", async () => {
  const caught: string[] = [];
  const onCatch = (name: string): void => void caught.push(name);
  const { made } = detector("rot", { text: "a record is gone", seed: 2 });
  await askAbout(plant, [made], { ...trees, onCatch });
  assert.deepEqual(caught, ["rot"]);
  const once = withCatcher(head + diff, "rot");
  assert.equal(parsePlant("a/b.patch", once).caughtBy, "rot");
  const twice = withCatcher(once, "sweep");
  assert.equal(parsePlant("a/b.patch", twice).caughtBy, "sweep");
  assert.equal(twice.length, once.length + "sweep".length - "rot".length);
});

test("a plant that nothing sees is a finding, and it says who could not be asked", async () => {
  const detectors = [detector("sweep", undefined).made, detector("kill", "refused").made];
  const { findings } = await askAbout(plant, detectors, trees);
  assert.deepEqual(findings, ["nothing catches bad-seed: a promise (could not be asked: kill)"]);
});

test("what is seen without the plant, too, does not count, and is a finding itself", async () => {
  const liar = detector("sweep", { text: "a record is gone", seed: 3 }, true);
  const suite = detector("suite", { text: "a test" });
  const { counts, findings } = await askAbout(plant, [liar.made, suite.made], trees);
  assert.deepEqual(findings, [
    "sweep, seed 3 sees something without a plant, too: a record is gone",
  ]);
  assert.equal(counts["plants only the suite caught"], 1);
});
