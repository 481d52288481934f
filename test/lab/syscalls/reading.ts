/** All that a store shows: by pages and key by key, which must agree. */
import { strict as assert } from "node:assert";
import type { Store } from "../../../src/engine/store.js";
import type { ToldRecord } from "./transcript.js";

const decoder = new TextDecoder();

/** Every visible record, in key order. Throws what a read is refused with. */
export async function readAll(store: Store): Promise<ToldRecord[]> {
  const records: ToldRecord[] = [];
  let after: Uint8Array | undefined;
  do {
    const page = await store.list({ after, limit: 100 });
    for (const { key, version, record: listed } of page.records) {
      const name = decoder.decode(key);
      const record = await store.get(key);
      assert.ok(record !== undefined, `${name} is listed and cannot be got`);
      assert.equal(record.version, version, `${name} is listed with another version`);
      if (typeof listed !== "string") {
        assert.equal(Buffer.compare(listed.payload, record.payload), 0, `${name} is listed as is`);
      }
      records.push([name, decoder.decode(record.value), record.expiresAtMs]);
    }
    after = page.after;
  } while (after !== undefined);
  return records;
}
