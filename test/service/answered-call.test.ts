/**
 * A call whose answer is written, as the gate looks at it once a second: the
 * stream is one of the test's own, for no network stands still on demand.
 */
import assert from "node:assert/strict";
import { constants, type ServerHttp2Stream } from "node:http2";
import { test } from "node:test";
import { Account, Admission } from "../../src/service/admission.js";
import { GatedCall } from "../../src/service/gated-call.js";

const MESSAGE_TIMEOUT_MS = 30_000;

/** A stream that shows just what is looked at, and keeps with what code it was closed. */
class ShownStream {
  writableFinished = true;
  writableLength = 0;
  readableEnded = true;
  state: { localClose?: number } = { localClose: 0 };
  closedWith: number | undefined;

  close(code: number): void {
    this.closedWith = code;
  }
}

function callOn(stream: ShownStream): GatedCall {
  const room = { bytesMax: 1e6, waitingMax: 10, windowBytes: 65_536 };
  const rooms = { requests: new Admission(room), answers: new Admission(room) };
  const accounts = { requests: new Account(), answers: new Account() };
  const limits = {
    admissionTimeoutMs: 1000,
    messageTimeoutMs: MESSAGE_TIMEOUT_MS,
    metadataBytesMax: 1000,
    receiveBytesMax: 1000,
  };
  const shown = stream as unknown as ServerHttp2Stream;
  return new GatedCall(shown, accounts, rooms, limits, 0);
}

/** Looks once a second, from the first second to the last. */
function lookFor(call: GatedCall, seconds: number, from = 1): boolean {
  let isSlow = false;
  for (let second = from; second < from + seconds; second += 1) {
    isSlow = call.look(second * 1000) || isSlow;
  }
  return isSlow;
}

test("an answer whose status the connection holds up for seconds is not cut", () => {
  const stream = new ShownStream();
  const call = callOn(stream);
  assert.equal(lookFor(call, 20), false);
  assert.equal(stream.closedWith, undefined);
  stream.state = { localClose: 1 };
  assert.equal(lookFor(call, 20, 21), false);
  assert.equal(stream.closedWith, undefined);
});

test("a status that is held up for longer than a message may take is cut (V11)", () => {
  const stream = new ShownStream();
  const call = callOn(stream);
  assert.equal(lookFor(call, MESSAGE_TIMEOUT_MS / 1000 + 3), true);
  assert.equal(stream.closedWith, constants.NGHTTP2_CANCEL);
});

test("a client that has its status and does not end its request is asked to stop, at the second look", () => {
  const stream = new ShownStream();
  stream.state = { localClose: 1 };
  stream.readableEnded = false;
  const call = callOn(stream);
  lookFor(call, 1);
  assert.equal(stream.closedWith, undefined);
  lookFor(call, 1, 2);
  assert.equal(stream.closedWith, constants.NGHTTP2_NO_ERROR);
});
