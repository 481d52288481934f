/**
 * Every write under every condition upon everything that may stand: what is answered, what
 * is there afterwards, and what is appended, all told from a few rules.
 */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Condition, Expiry } from "../../src/engine/store.js";
import { bytes, Rig, text } from "../support/store-rig.js";
import { uploadTo } from "../support/transfers.js";

/** What may stand when a write comes. */
const states = ["absent", "deleted", "expired", "visible", "visible with a deadline"] as const;
type State = (typeof states)[number];

const writes = ["set", "set that keeps the expiry", "delete", "touch", "upload"] as const;
type Write = (typeof writes)[number];

/** Conditions by what makes them; `version`: that of the record that stands, 0 if there is none. */
const conditions: Readonly<Record<string, (version: number) => Condition | undefined>> = {
  none: () => undefined,
  absent: () => ({ kind: "absent" }),
  present: () => ({ kind: "present" }),
  "its version": (version) => ({ kind: "version", version: Math.max(version, 1) }),
  "another version": (version) => ({ kind: "version", version: version + 1000 }),
};

/** What was answered, by the names that all answers share. */
interface Answer {
  readonly applied: boolean;
  readonly version: number;
  readonly expiresAtMs: number;
  readonly shown: string | undefined;
  /** Of a delete or a touch. */
  readonly found: boolean | undefined;
}

class Table {
  readonly rig: Rig;
  readonly deadlineMs: number;

  constructor(rig: Rig) {
    this.rig = rig;
    this.deadlineMs = rig.sim.clock.wallMs() + 1_000_000;
  }

  /** Brings a key into a state; answers the version of its record, expired or not. */
  async bring(key: string, state: State): Promise<number> {
    const { rig } = this;
    if (state === "absent") return 0;
    const atMs = state === "expired" ? 1 : this.deadlineMs;
    const expiry: Expiry =
      state === "visible" || state === "deleted" ? { kind: "never" } : { kind: "at", atMs };
    const { version } = await rig.set(key, "old", { expiry });
    if (state !== "deleted") return version;
    await rig.delete(key);
    return 0;
  }

  async write(
    write: Write,
    key: string,
    condition: Condition | undefined,
    returnPrevious: boolean,
  ): Promise<Answer> {
    const { rig } = this;
    const options = { condition, returnPrevious };
    switch (write) {
      case "set":
      case "set that keeps the expiry": {
        const expiry: Expiry = write === "set" ? { kind: "ttl", ttlMs: 77 } : { kind: "keep" };
        const { previous, current, ...rest } = await rig.set(key, "new", { ...options, expiry });
        assert.ok(previous === undefined || current === undefined);
        return { ...rest, shown: shown(previous ?? current), found: undefined };
      }
      case "delete": {
        const { deleted, previous, current, ...rest } = await rig.delete(key, options);
        assert.ok(previous === undefined || current === undefined);
        return { ...rest, expiresAtMs: 0, shown: shown(previous ?? current), found: deleted };
      }
      case "touch": {
        const { current, ...rest } = await rig.touch(
          key,
          { kind: "ttl", ttlMs: 77 },
          { condition },
        );
        return { ...rest, shown: shown(current) };
      }
      case "upload": {
        const value = bytes("new");
        const uploaded = await uploadTo(rig.store, bytes(key), value, {
          expiry: { kind: "ttl", ttlMs: 77 },
          condition,
        });
        const { applied, version, expiresAtMs, current } = uploaded;
        return { applied, version, expiresAtMs, shown: shown(current), found: undefined };
      }
    }
  }
}

const shown = (record: { readonly value: Uint8Array } | undefined): string | undefined =>
  record && text(record.value);

function isMet(name: string, isVisible: boolean): boolean {
  if (name === "none") return true;
  if (name === "absent") return !isVisible;
  return isVisible && name !== "another version";
}

for (const write of writes) {
  test(`V5 T1 T5: under every condition, upon everything that may stand: ${write}`, async () => {
    const rig = await Rig.open();
    const table = new Table(rig);
    for (const state of states) {
      for (const [name, conditionOf] of Object.entries(conditions)) {
        for (const returnPrevious of write === "touch" || write === "upload"
          ? [false]
          : [false, true]) {
          const where = `${state}, if ${name}${returnPrevious ? ", with what was" : ""}`;
          const key = `${state}/${name}/${returnPrevious}`;
          const standing = await table.bring(key, state);
          const isVisible = state.startsWith("visible");
          const before = rig.store.version;
          const answer = await table.write(write, key, conditionOf(standing), returnPrevious);
          const applied = isMet(name, isVisible);
          const writesRecord = applied && (isVisible || (write !== "touch" && write !== "delete"));
          const ownMs = write === "delete" ? 0 : rig.sim.clock.wallMs() + 77;
          const keptMs = state === "visible with a deadline" ? table.deadlineMs : 0;
          const expiresAtMs = write === "set that keeps the expiry" ? keptMs : ownMs;
          const tellsPrevious = returnPrevious && (write.startsWith("set") || write === "delete");
          const isShown = isVisible && (!applied || tellsPrevious);
          const isFound =
            write === "delete" || write === "touch" ? applied && isVisible : undefined;
          assert.deepEqual(
            answer,
            {
              applied,
              version: writesRecord ? before + 1 : 0,
              expiresAtMs: writesRecord ? expiresAtMs : 0,
              shown: isShown ? "old" : undefined,
              found: isFound,
            },
            where,
          );
          // A delete of what has expired makes that durable, and says that there was nothing.
          const isSweep = write === "delete" && applied && state === "expired";
          assert.equal(rig.store.version, before + (writesRecord || isSweep ? 1 : 0), where);
          const isNew = writesRecord && write !== "touch" && write !== "delete";
          const left = writesRecord ? (isNew ? "new" : "old") : isVisible ? "old" : undefined;
          const expected = writesRecord && write === "delete" ? undefined : left;
          assert.equal(await rig.get(key), expected, where);
        }
      }
    }
    await rig.store.close();
    const frames = (await rig.frames()).flatMap(({ records }) => records);
    const swept = frames.filter(({ isExpired }) => isExpired).map(({ key }) => key);
    const deletes =
      write === "delete"
        ? ["expired/none/false", "expired/none/true", "expired/absent/false", "expired/absent/true"]
        : [];
    assert.deepEqual(swept, deletes);
  });
}
