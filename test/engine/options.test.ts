/** The options of a store: every range, every fault named, and all of them at once. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import {
  resolveStoreOptions,
  type StoreOptionsInput,
  storeOptionTable,
} from "../../src/engine/options.js";
import { Rig, rejects } from "../support/store-rig.js";

const dataDir = "/data";

/** The faults of these options, by option. */
function faultsOf(input: Record<string, unknown>): Readonly<Record<string, string | number>> {
  try {
    resolveStoreOptions(input as unknown as StoreOptionsInput);
  } catch (error) {
    assert.ok(error instanceof KvixError);
    assert.equal(error.reason, "OPTION_INVALID");
    for (const name of Object.keys(error.metadata)) assert.ok(error.message.includes(name));
    return error.metadata;
  }
  return {};
}

const entries = Object.entries(storeOptionTable);

test("every number is taken from its minimum to its maximum, and nothing beside", () => {
  for (const [name, option] of entries) {
    if (option.kind !== "number") continue;
    const { min, max, default: standard } = option;
    for (const value of [min, max, standard]) {
      assert.deepEqual(faultsOf({ dataDir, [name]: value }), {}, `${name} ${value}`);
      const resolved = resolveStoreOptions({ dataDir, [name]: value });
      assert.equal(resolved[name as keyof StoreOptionsInput], value, "nothing is clamped");
    }
    const beyond = [min - 1, max + 1, min + 0.5, -min - 1, Number.NaN, Number.POSITIVE_INFINITY];
    for (const value of [...beyond, String(min), true, null].filter((each) => each !== null)) {
      const faults = faultsOf({ dataDir, [name]: value });
      assert.deepEqual(Object.keys(faults), [name], `${name} ${value}`);
      const problem = String(faults[name]);
      assert.ok(problem.includes(String(min)) && problem.includes(String(max)), problem);
    }
  }
});

test("liftFloors lowers the floors that may be lowered, and no ceiling", () => {
  let lifted = 0;
  for (const [name, option] of entries) {
    if (option.kind !== "number") continue;
    const floor = option.floorLifted ?? option.min;
    if (floor < option.min) lifted += 1;
    assert.deepEqual(faultsOf({ dataDir, liftFloors: true, [name]: floor }), {}, name);
    for (const value of [floor - 1, option.max + 1]) {
      const faults = faultsOf({ dataDir, liftFloors: true, [name]: value });
      assert.deepEqual(Object.keys(faults), [name], `${name} ${value}`);
    }
  }
  assert.ok(lifted >= 4);
});

test("a choice is one of its words, a switch is true or false, a text holds no NUL", () => {
  for (const [name, option] of entries) {
    if (option.kind === "number") continue;
    const wrong: Record<string, readonly unknown[]> = {
      choice: ["", "SYNC", "never", 1, true],
      switch: ["true", 1, 0, "yes"],
      text: ["a\0b", 1, true],
    };
    for (const value of wrong[option.kind] ?? []) {
      const faults = faultsOf({ dataDir, [name]: value });
      assert.ok(name in faults, `${name} ${String(value)}`);
    }
    const right: readonly unknown[] =
      option.kind === "choice" ? option.choices : option.kind === "switch" ? [true, false] : [];
    for (const value of right) assert.deepEqual(faultsOf({ dataDir, [name]: value }), {}, name);
  }
});

test("a prefix is 1 to 64 letters, digits, _ and -", () => {
  for (const segmentPrefix of ["a", "A-z_0", "x".repeat(64)]) {
    assert.deepEqual(faultsOf({ dataDir, segmentPrefix }), {});
  }
  for (const segmentPrefix of ["", "x".repeat(65), "a/b", "a.b", "..", "a b", "ä", "a\n"]) {
    assert.deepEqual(Object.keys(faultsOf({ dataDir, segmentPrefix })), ["segmentPrefix"]);
  }
});

test("a window is empty or two hours of the day", () => {
  for (const compactionWindow of ["", "22-6", "0-24", "22:30-6:15"]) {
    assert.deepEqual(faultsOf({ dataDir, compactionWindow }), {});
    assert.equal(
      resolveStoreOptions({ dataDir, compactionWindow }).compactionWindow,
      compactionWindow,
    );
  }
  for (const compactionWindow of ["6-6", "24-6", "22-25", "night", "22-6 "]) {
    const faults = faultsOf({ dataDir, compactionWindow });
    assert.deepEqual(Object.keys(faults), ["compactionWindow"]);
    const problem = String(faults["compactionWindow"]);
    assert.match(problem, /^is "[^"]+"; it must be empty, or two hours .* 22-6/);
    assert.ok(problem.includes(JSON.stringify(compactionWindow)));
  }
});

test("all faults are reported at once, an unknown option among them", () => {
  const faults = faultsOf({
    segmentBytesMax: 1,
    durability: "never",
    trustClock: "yes",
    flushIntervalMs: 0,
    segmentPrefix: "a/b",
    compactionWindow: "6-6",
    segmentByteMax: 1,
  });
  const expected = [
    "compactionWindow",
    "dataDir",
    "durability",
    "flushIntervalMs",
    "segmentByteMax",
    "segmentBytesMax",
    "segmentPrefix",
    "trustClock",
  ];
  assert.deepEqual(Object.keys(faults).sort(), expected);
  assert.match(String(faults["segmentByteMax"]), /not an option/);
});

test("the data directory must be named; the segment directory lies in it unless it is named too", () => {
  for (const input of [{}, { dataDir: "" }, { dataDir: undefined }]) {
    assert.deepEqual(Object.keys(faultsOf(input)), ["dataDir"]);
  }
  assert.equal(resolveStoreOptions({ dataDir: "/a/b" }).segmentDir, "/a/b/segments");
  assert.equal(resolveStoreOptions({ dataDir, segmentDir: "/c" }).segmentDir, "/c");
  const relative = resolveStoreOptions({ dataDir: "here", segmentDir: "there" });
  assert.equal(relative.dataDir, `${process.cwd()}/here`);
  assert.equal(relative.segmentDir, `${process.cwd()}/there`);
});

test("an option that is undefined has its default", () => {
  const given = Object.fromEntries(entries.map(([name]) => [name, undefined]));
  const resolved = resolveStoreOptions({ ...given, dataDir });
  for (const [name, option] of entries) {
    if (name === "dataDir" || name === "segmentDir") continue;
    assert.equal(resolved[name as keyof StoreOptionsInput], option.default, name);
  }
});

test("a store that is given a wrong option is not opened, and nothing is made", async () => {
  const rig = await Rig.open();
  const before = rig.sim.files.mutations;
  const wrong = { ...rig.options, dataDir: "/other", flushIntervalMs: 1001 };
  await rejects(Rig.open(wrong, rig.sim), "OPTION_INVALID", "none");
  assert.equal(rig.sim.files.mutations, before);
  await rig.store.close();
});
