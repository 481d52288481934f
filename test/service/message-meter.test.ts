/** Messages are found in the bytes of a stream, wherever they are cut. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MessageMeter } from "../../src/service/message-meter.js";
import { framed, messagePrefix } from "../support/raw-grpc.js";

test("every message is told once, with its length and its flag, wherever the bytes are cut", () => {
  const message = fc.record({ length: fc.nat(40), isCompressed: fc.boolean() });
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 8 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 9 })),
      (messages, cuts) => {
        const bytes = Buffer.concat(
          messages.map(({ length, isCompressed }) => framed(Buffer.alloc(length, 1), isCompressed)),
        );
        const told: typeof messages = [];
        const meter = new MessageMeter((length, isCompressed) =>
          told.push({ length, isCompressed }),
        );
        for (let at = 0; at < bytes.byteLength; ) {
          const size: number = cuts.next().value;
          meter.take(bytes.subarray(at, at + size));
          at += size;
        }
        assert.deepEqual(
          told,
          messages.map((each) => ({ ...each })),
        );
        assert.equal(meter.messages, messages.length);
        assert.equal(meter.isInside, false);
      },
    ),
  );
});

test("a length is told before a byte of the message is there", () => {
  const told: number[] = [];
  const meter = new MessageMeter((length) => told.push(length));
  meter.take(messagePrefix(0xffffffff).subarray(0, 4));
  assert.deepEqual([told, meter.isInside], [[], true]);
  meter.take(Buffer.from([0xff]));
  assert.deepEqual([told, meter.isInside], [[0xffffffff], true]);
});
