/** Runs one test over every kind of store. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { KvixError, Reason } from "../../src/index.js";
import { KvixError as KvixErrorClass } from "../../src/index.js";
import { type Subject, subjectKinds } from "./subjects.js";

/** Declares a test for each kind; its sentence bears the kind's name. */
export function conforms(
  sentence: string,
  run: (subject: Subject, t: TestContext) => Promise<void>,
): void {
  for (const kind of subjectKinds) {
    test(`${kind.name}: ${sentence}`, { timeout: 60_000 }, async (t) => {
      await run(await kind.open(t), t);
    });
  }
}

/** The KvixError that a call ends with. */
export async function refusal(call: Promise<unknown>, reason: Reason): Promise<KvixError> {
  const error: unknown = await call.then(
    () => assert.fail(`${reason} was expected`),
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof KvixErrorClass, `no KvixError: ${String(error)}`);
  assert.equal(error.reason, reason, error.message);
  return error;
}

/** All values of an async iterable. */
export async function all<Value>(values: AsyncIterable<Value>): Promise<Value[]> {
  const found: Value[] = [];
  for await (const value of values) found.push(value);
  return found;
}
