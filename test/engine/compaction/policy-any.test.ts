/** What holds of the choice of victims in any store at all, step by step to the end of a run. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import fc from "fast-check";
import {
  type Candidate,
  type Choice,
  chooseVictims,
  isOverDead,
  type PolicyInput,
} from "../../../src/engine/compaction/policy.js";
import { full, needed, plenty, store } from "../../support/policy-input.js";

/** Any store, with few bytes so that segments that are small, full, dead and mixed all occur. */
const anyInput: fc.Arbitrary<PolicyInput> = fc
  .record({
    shapes: fc.array(
      fc.record({
        bytes: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 1500 })),
        live: fc.oneof(fc.constant(100), fc.integer({ min: 0, max: 100 })),
        kept: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 100 })),
        versions: fc.tuple(fc.nat(5000), fc.nat(5000)),
        isCompacted: fc.boolean(),
      }),
      { maxLength: 40, size: "max" },
    ),
    otherBytes: fc.oneof(fc.constant(0), fc.nat(5000)),
    roomBytes: fc.oneof(fc.nat(100), fc.nat(1500), fc.constant(plenty)),
    deadPercent: fc.integer({ min: 10, max: 90 }),
    extent: fc.constantFrom("due" as const, "thorough" as const),
  })
  .map(({ shapes, otherBytes, ...more }) => {
    const candidates = shapes.map(({ bytes, live, kept, versions, isCompacted }, id) => {
      const liveBytes = Math.floor((bytes * live) / 100);
      const keptBytes = Math.floor(((bytes - liveBytes) * kept) / 100);
      const [lowestVersion, highestVersion] = [Math.min(...versions), Math.max(...versions)];
      return { id, bytes, liveBytes, keptBytes, lowestVersion, highestVersion, isCompacted };
    });
    const whole = store(candidates, { storeVersion: 5000, ...more });
    return { ...whole, storeBytes: whole.storeBytes + otherBytes };
  });

/** The victims of a choice, as candidates. */
function chosenOf(input: PolicyInput, choice: Choice): Candidate[] {
  if (choice.kind !== "victims") return [];
  assert.equal(new Set(choice.ids).size, choice.ids.length, "a victim is named once");
  return choice.ids.map((id) => {
    const chosen = input.candidates.find((each) => each.id === id);
    assert.ok(chosen !== undefined, "a victim is a candidate");
    return chosen;
  });
}

const total = (chosen: readonly Candidate[]): number =>
  chosen.reduce((sum, each) => sum + needed(each), 0);

/** The store after a step: the victims are gone, and one output holds what they held. */
function after(input: PolicyInput, chosen: readonly Candidate[], id: number): PolicyInput {
  const candidates = input.candidates.filter((each) => !chosen.includes(each));
  const copied = total(chosen);
  if (copied > 0) {
    candidates.push({
      id,
      bytes: copied,
      liveBytes: chosen.reduce((sum, each) => sum + each.liveBytes, 0),
      keptBytes: chosen.reduce((sum, each) => sum + each.keptBytes, 0),
      lowestVersion: Math.min(...chosen.map(({ lowestVersion }) => lowestVersion)),
      highestVersion: Math.max(...chosen.map(({ highestVersion }) => highestVersion)),
      isCompacted: true,
    });
  }
  const freed = chosen.reduce((sum, each) => sum + each.bytes, 0) - copied;
  return { ...input, candidates, storeBytes: input.storeBytes - freed };
}

test("M8: whatever the store, a step keeps within its room and within one segment", () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const chosen = chosenOf(input, chooseVictims(input));
      assert.ok(total(chosen) <= input.roomBytes || total(chosen) === 0);
      assert.ok(total(chosen) <= full || chosen.length === 1);
    }),
  );
});

test("M7: whatever the store, every step frees bytes, and wholly dead segments go first", () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const choice = chooseVictims(input);
      const chosen = chosenOf(input, choice);
      const dead = input.candidates.filter((each) => needed(each) === 0);
      if (dead.length > 0) assert.deepEqual(chosen, dead);
      if (choice.kind !== "victims") return;
      const freed = chosen.reduce((sum, each) => sum + each.bytes, 0) - total(chosen);
      assert.ok(freed > 0 && chosen.length > 0);
    }),
  );
});

test("M7: whatever the store, a run ends, asks for no more, and leaves little that is dead", () => {
  fc.assert(
    fc.property(anyInput, (before) => {
      let input = before;
      let choice = chooseVictims(input);
      for (let step = 0; choice.kind === "victims"; step++) {
        assert.ok(step <= before.candidates.length, "each step leaves one victim less");
        input = after(input, chosenOf(input, choice), 1000 + step);
        choice = chooseVictims(input);
      }
      assert.deepEqual(chooseVictims(input), choice);
      const worth = input.candidates.filter((each) => each.bytes - needed(each) >= each.bytes / 10);
      if (choice.kind === "no-room") assert.ok(choice.neededBytes > input.roomBytes);
      else if (input.extent === "thorough") assert.deepEqual(worth, []);
      else if (input.storeBytes === total(input.candidates)) assert.ok(!isOverDead(input));
    }),
  );
});

test("M6: a store in which everything was deleted is nothing afterwards", () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const candidates = input.candidates.map((each) => ({ ...each, liveBytes: 0, keptBytes: 0 }));
      const choice = chooseVictims({ ...input, candidates });
      assert.deepEqual(chosenOf({ ...input, candidates }, choice), candidates);
    }),
  );
});

test("the same input gives the same choice, and is left as it was", () => {
  fc.assert(
    fc.property(anyInput, (input) => {
      const copy = structuredClone(input);
      assert.deepEqual(chooseVictims(input), chooseVictims(copy));
      assert.deepEqual(input, copy);
    }),
  );
});
