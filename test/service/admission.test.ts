/** Who is let in, who waits, and who is refused. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { KvixError } from "../../src/base/kvix-error.js";
import {
  Account,
  Admission,
  type Arrival,
  Hold,
  SMALL_BYTES_MAX,
} from "../../src/service/admission.js";

const KIB = 1024;
const MIB = 1024 * KIB;

function admissionOf(bytesMax = 64 * MIB, waitingMax = 8): Admission {
  return new Admission({ bytesMax, waitingMax, windowBytes: 2 * MIB });
}

/** A call of its own connection, or of one that is shared. */
function take(
  admission: Admission,
  bytes: number,
  account = new Account(),
  arrival: Arrival = "arriving",
) {
  const call = { hold: new Hold(account), isIn: false, error: undefined as unknown };
  try {
    call.isIn = admission.takeLarge(call.hold, bytes, arrival, () => {
      call.isIn = true;
    });
  } catch (error) {
    call.error = error;
  }
  return call;
}

function isOverloaded(error: unknown): boolean {
  return error instanceof KvixError && error.reason === "OVERLOADED";
}

test("V11: large messages take three quarters of the memory, and further ones wait their turn", () => {
  const admission = admissionOf();
  const calls = Array.from({ length: 8 }, () => take(admission, 8 * MIB));
  assert.deepEqual(
    calls.map(({ isIn }) => isIn),
    [true, true, true, true, true, true, false, false],
  );
  assert.deepEqual([admission.heldBytes, admission.waiting], [48 * MIB, 2]);
  admission.release(calls[0]!.hold);
  assert.deepEqual([calls[6]!.isIn, calls[7]!.isIn], [true, false]);
  admission.release(calls[3]!.hold);
  assert.equal(calls[7]!.isIn, true);
  for (const { hold } of calls) admission.release(hold);
  assert.deepEqual([admission.heldBytes, admission.waiting], [0, 0]);
});

test("V11: small calls are let in while large ones queue, until everything is taken", () => {
  const admission = admissionOf();
  // One that is larger than all room takes nothing of theirs either.
  take(admission, 200 * MIB);
  for (let i = 0; i < 8; i++) take(admission, 8 * MIB);
  const small = new Hold(new Account());
  for (let i = 0; i < 256; i++) admission.takeSmall(small, SMALL_BYTES_MAX);
  assert.equal(small.smallBytes, 16 * MIB);
  assert.throws(() => admission.takeSmall(small, 1), isOverloaded);
  assert.equal(admission.refused > 0, true);
});

test("V11: a connection has a quarter of the room, and does not hold up the others", () => {
  const admission = admissionOf();
  const greedy = new Account();
  const own = Array.from({ length: 4 }, () => take(admission, 6 * MIB, greedy));
  assert.deepEqual(
    own.map(({ isIn }) => isIn),
    [true, true, false, false],
  );
  assert.equal(take(admission, 8 * MIB).isIn, true);
  admission.release(own[0]!.hold);
  assert.deepEqual([own[2]!.isIn, own[3]!.isIn], [true, false]);
});

test("V11: a message larger than all room is let in when it is alone, and nobody overtakes it", () => {
  const admission = admissionOf();
  const first = take(admission, MIB);
  const second = take(admission, MIB);
  const huge = take(admission, 200 * MIB);
  const behind = take(admission, MIB);
  const isIn = () => [first, second, huge, behind].map((call) => call.isIn);
  assert.deepEqual(isIn(), [true, true, false, false]);
  admission.release(first.hold);
  assert.deepEqual(isIn(), [true, true, false, false]);
  admission.release(second.hold);
  assert.deepEqual(isIn(), [true, true, true, false]);
  admission.release(huge.hold);
  assert.deepEqual(isIn(), [true, true, true, true]);
});

test("V11: the line is bounded in calls, and in calls of one connection", () => {
  const admission = admissionOf();
  take(admission, 48 * MIB);
  const greedy = new Account();
  const own = Array.from({ length: 6 }, () => take(admission, MIB, greedy, "received"));
  assert.deepEqual(
    own.map(({ error }) => isOverloaded(error)),
    [false, false, false, false, true, true],
  );
  const others = Array.from({ length: 6 }, () => take(admission, MIB, new Account(), "received"));
  assert.deepEqual(
    others.map(({ error }) => isOverloaded(error)),
    [false, false, false, false, true, true],
  );
  assert.equal(admission.refused, 4);
});

test("V11: the line is bounded in what its calls have sent meanwhile", () => {
  const admission = admissionOf(16 * MIB, 100);
  take(admission, 12 * MIB);
  const calls = Array.from({ length: 8 }, () => take(admission, 4 * MIB));
  assert.equal(calls.filter(({ error }) => isOverloaded(error)).length, 4);
  // One whose request is here already sends nothing more.
  assert.equal(take(admission, 4 * MIB, new Account(), "received").error, undefined);
});

test("V11: a message of a call that was let in waits without being refused, and in its turn", () => {
  const admission = admissionOf(64 * MIB, 2);
  const [first, ...rest] = Array.from({ length: 12 }, () =>
    take(admission, 8 * MIB, new Account(), "under way"),
  );
  assert.equal(admission.waiting, 6);
  assert.ok(isOverloaded(take(admission, 8 * MIB).error));
  admission.release(first!.hold);
  assert.deepEqual(
    rest.map(({ isIn }) => isIn),
    [...Array(6).fill(true), ...Array(5).fill(false)],
  );
});

test("P3: one that leaves the line makes room in it, and lets those behind it pass", () => {
  const admission = admissionOf();
  const first = take(admission, 40 * MIB);
  const large = take(admission, 40 * MIB);
  const small = take(admission, MIB);
  assert.deepEqual([first.isIn, large.isIn, small.isIn], [true, false, false]);
  admission.leave(large.hold);
  assert.equal(small.isIn, true);
  admission.release(first.hold);
  assert.equal(large.isIn, false);
});

test("V11: whatever calls do, the bounds hold, nothing is lost, and nobody waits for nothing", () => {
  const step = fc.record({
    kind: fc.constantFrom("large", "small", "release", "leave", "trim"),
    account: fc.nat(3),
    pick: fc.nat(30),
    bytes: fc.integer({ min: 1, max: 10 * MIB }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
      const admission = admissionOf(16 * MIB, 6);
      const accounts = Array.from({ length: 4 }, () => new Account());
      const calls: ReturnType<typeof take>[] = [];
      let mostAlone = 0;
      for (const { kind, account, pick, bytes } of steps) {
        const owner = accounts[account]!;
        const call = calls[pick];
        if (kind === "large") {
          calls.push(take(admission, bytes, owner));
          mostAlone = Math.max(mostAlone, bytes);
        }
        if (kind === "small") {
          const hold = new Hold(owner);
          const before = calls.reduce((sum, each) => sum + each.hold.smallBytes, 0);
          const small = bytes % SMALL_BYTES_MAX;
          if (before + small > 4 * MIB) assert.throws(() => admission.takeSmall(hold, small));
          else admission.takeSmall(hold, small);
          calls.push({ hold, isIn: true, error: undefined });
        }
        if (call === undefined) continue;
        if (kind === "release") admission.release(call.hold);
        if (kind === "leave") admission.leave(call.hold);
        if (kind === "trim" && call.hold.largeBytes > 0) admission.adjust(call.hold, -bytes);
        const held = calls.reduce((sum, { hold }) => sum + hold.largeBytes + hold.smallBytes, 0);
        assert.equal(admission.heldBytes, held);
        assert.ok(held <= 16 * MIB + mostAlone);
        assert.ok(admission.waiting <= 6);
      }
      const waiting = calls.filter(({ hold }) => hold.place !== undefined);
      assert.equal(waiting.length, admission.waiting);
      // Everybody who was let in goes; then everybody who waits has been let in, one by one.
      for (let round = 0; round <= calls.length; round++) {
        for (const { hold } of calls) if (hold.place === undefined) admission.release(hold);
      }
      assert.deepEqual([admission.heldBytes, admission.waiting], [0, 0]);
      assert.ok(waiting.every(({ isIn }) => isIn));
    }),
  );
});
