/** The table of requests against a Map, over growth, shrinking and forgotten segments. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import {
  markAt,
  type RequestMark,
  type RequestSlot,
  RequestTable,
  slotAt,
} from "../../../src/engine/requests/request-table.js";
import { SimRandom } from "../../support/sim-random.js";

const markOf = (number: number, random: SimRandom): RequestMark => {
  // Few first words: slots collide, and words that differ late are told apart.
  return [random.below(64), 7, number, number % 3];
};

test("V11: the table knows what was added and not forgotten, whatever its size (G-REQID-5)", () => {
  const random = new SimRandom(5);
  const live = new Set<number>();
  const table = new RequestTable((ordinal) => live.has(ordinal));
  const model = new Map<number, { mark: RequestMark; slot: RequestSlot }>();
  const known = () => Array.from(model.values()).filter(({ slot }) => live.has(slot.ordinal));
  let next = 0;
  for (let ordinal = 1; ordinal <= 40; ordinal += 1) {
    live.add(ordinal);
    const adds = random.below(400);
    const before = known().length;
    for (let count = 0; count < adds; count += 1) {
      const isAgain = next > 0 && random.below(5) === 0;
      const number = isAgain ? random.below(next) : next;
      const mark = model.get(number)?.mark ?? markOf(number, random);
      const slot = {
        ordinal,
        offset: random.below(2 ** 30) * 4 + 3,
        length: 1 + random.below(1000),
        version: (2 ** 48 - 1 - number) * (number % 2),
      };
      model.set(number, { mark, slot });
      if (!isAgain) next += 1;
      table.add(mark, slot, before + count + 1);
      assert.deepEqual(table.find(mark), slot);
    }
    if (random.below(3) === 0) live.delete(random.pick([...live]));
    // At times nearly all is forgotten, so that it shrinks.
    if (ordinal % 18 === 0) for (const each of [...live].slice(0, -1)) live.delete(each);
    for (const { mark, slot } of model.values()) {
      const found = table.find(mark);
      assert.equal(found?.offset, live.has(slot.ordinal) ? slot.offset : undefined);
    }
    const listed = Array.from(table.live(), (words) => ({
      mark: markAt(words, 0),
      slot: slotAt(words, 0),
    }));
    const order = (one: { mark: RequestMark }, other: { mark: RequestMark }) =>
      one.mark[2] - other.mark[2];
    assert.deepEqual(listed.sort(order), known().sort(order));
  }
  assert.ok(next > 4_000);
  assert.ok(table.bytes <= 16 * 32 * Math.max(1024, known().length), "it has shrunk");
});

test("B3 R7: while the table grows every request is found and listed once, wherever it stands (G-REQID-5)", () => {
  const random = new SimRandom(6);
  const table = new RequestTable(() => true);
  const count = 1024 * 0.75 + 1;
  const marks = Array.from({ length: count }, (_, number) => markOf(number, random));
  const slotOf = (number: number): RequestSlot => {
    return { ordinal: 1, offset: number, length: 1, version: number };
  };
  // The last one begins the growth; each that follows moves a quarter of the old table.
  for (const [number, mark] of marks.entries()) table.add(mark, slotOf(number), number + 1);
  for (let step = 0; step < 5; step += 1) {
    for (const [number, mark] of marks.entries()) {
      assert.deepEqual(table.find(mark), slotOf(number), `${number} after ${step} steps`);
    }
    assert.equal([...table.live()].length, count);
    // One that is added again stands in both until the old one is passed.
    const again = count - 2 - step;
    table.add(marks[again] as RequestMark, slotOf(again), count);
  }
});
