/** Pins: a removal waits for those who may still read a segment, and for nobody else. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { Pins } from "../../src/engine/pins.js";
import { Segment, SegmentName } from "../../src/storage/segment.js";
import { watch } from "../support/store-rig.js";

const directories = { data: "/store", segments: "/store/segments" };

function someSegment(id = 0): Segment {
  const name = new SegmentName(directories, new Uint8Array(16), "segment", id, BigInt(id + 1));
  const segment = new Segment(name, undefined, true);
  segment.length = 100;
  return segment;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("M10: a removal waits for every ticket that was out when it began, and for no later one", async () => {
  const pins = new Pins();
  const early = pins.enter();
  const first = watch(pins.released(someSegment(1)));
  const between = pins.enter();
  const second = watch(pins.released(someSegment(2)));
  const late = pins.enter();
  await turn();
  assert.deepEqual([first.state, second.state], ["pending", "pending"]);
  assert.equal(pins.waitingBytes, 200);
  early.leave();
  await turn();
  assert.deepEqual([first.value, second.state], [true, "pending"]);
  between.leave();
  await turn();
  assert.equal(second.value, true);
  assert.equal(pins.waitingBytes, 0);
  assert.equal(pins.count, 1);
  late.leave();
  assert.equal(pins.count, 0);
});

test("M10: tickets that are given back in another order hold up only what they may name", async () => {
  const pins = new Pins();
  const old = pins.enter();
  const first = watch(pins.released(someSegment(1)));
  const young = pins.enter();
  const second = watch(pins.released(someSegment(2)));
  young.leave();
  await turn();
  assert.deepEqual(
    [first.state, second.state],
    ["pending", "pending"],
    "both may be named by the old",
  );
  old.leave();
  await turn();
  assert.deepEqual([first.value, second.value], [true, true]);
  assert.equal(await pins.released(someSegment(3)), true, "nobody is out");
});

test("a removal does not wait for a ticket that is taken while it waits, though more removals come", async () => {
  const pins = new Pins();
  const old = pins.enter();
  const first = watch(pins.released(someSegment(1)));
  old.leave();
  const again = pins.enter();
  const second = watch(pins.released(someSegment(2)));
  await turn();
  assert.deepEqual([first.value, second.state], [true, "pending"]);
  again.leave();
});

test("a held segment is not removed, and one that is being removed is not held any more", async () => {
  const pins = new Pins();
  const segment = someSegment();
  const [one, other] = [pins.hold(segment), pins.hold(segment)];
  assert.ok(one && other);
  const removal = watch(pins.released(segment));
  assert.equal(pins.hold(segment), undefined);
  assert.equal(await pins.released(someSegment(7)), true, "another one goes");
  one.release();
  one.release();
  await turn();
  assert.equal(removal.state, "pending");
  other.release();
  await turn();
  assert.equal(removal.value, true);
  assert.equal(pins.count, 0);
  pins.hold(segment)?.release();
});

test("M13: who gives up waiting is told so at once, and the readers read on", async () => {
  const pins = new Pins();
  const ticket = pins.enter();
  const controller = new AbortController();
  const removal = pins.released(someSegment(), controller.signal);
  controller.abort();
  assert.equal(await removal, false);
  assert.equal(await pins.released(someSegment(), controller.signal), false);
  assert.equal(pins.waitingBytes, 0);
  ticket.leave();
  assert.throws(() => ticket.leave(), /given back twice/);
});
