/** The judge of a simulated life: histories that must not be are refused, each for its reason. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Condition, Durability } from "../../src/engine/store.js";
import { type Answer, type Ask, type Seen, unreadable } from "./simulate/call.js";
import { type Found, History } from "./simulate/history.js";
import { KeyStates } from "./simulate/key-states.js";
import { RecoveryJudge } from "./simulate/recovery-judge.js";
import type { RottenRecord } from "./simulate/rot.js";
import { WallLog } from "./simulate/wall-log.js";

const never = { kind: "never" } as const;

/** A history with shorthands; its disk has all, unless it is told otherwise. */
class Told {
  readonly wall = new WallLog(1000);
  isDurable = true;
  readonly history = new History(
    new KeyStates(this.wall),
    this.wall,
    { has: () => this.isDurable },
    0,
  );

  ask(value: string | undefined, durability: Durability = "sync", condition?: Condition) {
    const changes: Ask["changes"] =
      value === undefined
        ? [{ kind: "delete", key: "k" }]
        : [{ kind: "set", key: "k", value, expiry: never }];
    return this.history.begin({ changes, condition, durability });
  }

  answer(call: ReturnType<Told["ask"]>, version: number, answer: Partial<Answer> = {}): void {
    const told = { applied: version > 0, found: version > 0, versions: [version] };
    const records = { expiresAtMs: 0, previous: undefined, current: undefined };
    this.history.answered(call, { ...told, ...records, ...answer });
  }

  write(value: string | undefined, version: number, durability: Durability = "sync"): void {
    this.answer(this.ask(value, durability), version);
  }

  read(version: number, found: Found): void {
    const { now } = this.wall;
    const covers = (key: string): boolean => key === "k";
    const look = { what: "get", version, from: now, to: now, covers };
    this.history.published(version);
    this.history.looked({ ...look, found: new Map<string, Found>([["k", found]]) });
  }

  recover(found: Found, rotten: readonly RottenRecord[] = []): KeyStates {
    this.history.finish();
    const recovered = new Map<string, Found>(found === undefined ? [] : [["k", found]]);
    const circumstances = { where: "opened", hasAll: false, couldRefuse: false };
    const judge = new RecoveryJudge(this.history, this.wall);
    return judge.judge(recovered, { ...circumstances, rotten, hasUnknownKeys: false });
  }
}

const seen = (value: string, version: number): Seen => ({ value, version, expiresAtMs: 0 });

test("V14: an older value than what was acknowledged is refused, and so is one from the future", () => {
  const told = new Told();
  told.write("1", 1);
  told.write("2", 2);
  told.read(2, seen("2", 2));
  assert.throws(() => told.read(1, seen("1", 1)), /V14: version 1 is published after 2/);
  assert.throws(() => told.read(2, seen("1", 1)), /get at version 2: k is 1@0 v1/);
  assert.throws(() => told.read(2, undefined), /k is none/);
  assert.throws(() => told.read(2, seen("3", 2)), /k is 3@0 v2/);
});

test("V14: what a SYNC write wrote is not to be seen before it is durable", () => {
  const told = new Told();
  told.ask("1");
  told.isDurable = false;
  assert.throws(() => told.read(1, seen("1", 1)), /V14: get sees version 1/);
});

test("V1: an acknowledgement of what is not durable is refused", () => {
  const told = new Told();
  told.isDurable = false;
  told.write("1", 1, "buffered");
  assert.throws(() => told.write("2", 2), /V1: call 1/);
});

test("V15: versions that do not rise are refused", () => {
  const told = new Told();
  told.write("1", 7);
  assert.throws(() => told.write("2", 7), /V15/);
});

test("V10: an acknowledgement after a write of unknown outcome is refused", () => {
  const told = new Told();
  told.history.failed(told.ask("1"), true);
  assert.throws(() => told.write("2", 2), /V10/);
});

test("V14: answers of conditional writes are held against what was accepted before", () => {
  const told = new Told();
  const absent = { kind: "absent" } as const;
  told.answer(told.ask("1", "sync", absent), 1);
  const refused = { applied: false, current: seen("1", 1) };
  told.answer(told.ask("2", "sync", absent), 0, refused);
  assert.throws(() => told.answer(told.ask("3", "sync", absent), 2), /applied is yes/);
  const version = { kind: "version", version: 1 } as const;
  const wrong = { applied: false, current: seen("9", 1) };
  const stale = new Told();
  stale.write("1", 1);
  assert.throws(() => stale.answer(stale.ask("2", "sync", version), 0, wrong), /applied is no/);
});

test("V1 D4: a recovered state is a prefix that has all that was durable", () => {
  const told = (): Told => {
    const each = new Told();
    each.write("1", 1);
    each.write("2", 2, "buffered");
    each.ask(undefined);
    return each;
  };
  told().recover(seen("1", 1));
  told().recover(seen("2", 2));
  told().recover(undefined);
  assert.throws(() => told().recover(seen("2", 3)), /none that the store may be in/);
  const synced = told();
  synced.history.durableUpTo(2);
  assert.throws(() => synced.recover(seen("1", 1)), /none that the store may be in/);
});

/** A damaged record of the key. */
function rotten(version: number, value?: string): RottenRecord {
  const isTombstone = value === undefined;
  return { key: "k", value: value ?? "", version, expiresAtMs: 0, isTombstone };
}

test("V13: a damaged record may be unreadable, and no other version of its key", () => {
  const written = (): Told => {
    const told = new Told();
    told.write("1", 1);
    told.write("2", 2);
    return told;
  };
  const states = written().recover(unreadable, [rotten(2, "2")]);
  assert.equal(states.newest("k")?.isDamaged, true);
  const wrong = /none that the store may be in/;
  assert.throws(() => written().recover(unreadable), wrong);
  assert.throws(() => written().recover(unreadable, [rotten(1, "1")]), wrong);
  assert.throws(() => written().recover(unreadable, [rotten(2, "1")]), wrong);
  assert.throws(() => written().recover(unreadable, [{ ...rotten(2, "2"), key: "j" }]), wrong);
  assert.throws(() => written().recover(unreadable, [rotten(2)]), wrong);
  assert.throws(() => written().recover(undefined, [rotten(2, "2")]), wrong);
  assert.throws(() => written().recover(seen("1", 1), [rotten(2, "2")]), wrong);
});

test("V13 M1: a damaged tombstone makes its key unreadable, and what it deleted stays away", () => {
  const deleted = (): Told => {
    const told = new Told();
    told.write("1", 1);
    told.write(undefined, 2);
    return told;
  };
  const states = deleted().recover(unreadable, [rotten(2)]);
  const lost = states.newest("k");
  assert.deepEqual([lost?.version, lost?.isDamaged, lost?.wasTombstone], [2, true, true]);
  deleted().recover(undefined, [rotten(2)]);
  const wrong = /none that the store may be in/;
  assert.throws(() => deleted().recover(unreadable, [rotten(1, "1")]), wrong);
  assert.throws(() => deleted().recover(unreadable, [rotten(3)]), wrong);
  assert.throws(() => deleted().recover(seen("1", 1), [rotten(2)]), wrong);
  assert.throws(() => deleted().recover(seen("", 2), [rotten(2)]), wrong);
});

test("V13: the tombstone of a life before is known by what was damaged", () => {
  const nothing = (): Told => new Told();
  assert.equal(
    nothing()
      .recover(unreadable, [rotten(2)])
      .newest("k")?.wasTombstone,
    true,
  );
  const unknown = /k was not there, and nobody wrote it since/;
  assert.throws(() => nothing().recover(unreadable, [rotten(2, "2")]), unknown);
  assert.throws(() => nothing().recover(seen("2", 2), [rotten(2)]), unknown);
});

test("T1: a record is to be seen before its time is up and not after, and may be swept from then on", () => {
  const told = new Told();
  const expiry = { kind: "at", atMs: 2000 } as const;
  const changes: Ask["changes"] = [{ kind: "set", key: "k", value: "1", expiry }];
  const call = told.history.begin({ changes, durability: "sync" });
  told.answer(call, 1, { expiresAtMs: 2000 });
  const record = { value: "1", version: 1, expiresAtMs: 2000 };
  told.read(1, record);
  assert.throws(() => told.read(1, undefined), /it must be 1@2000/);
  told.wall.add(2000);
  told.read(1, undefined);
  assert.throws(() => told.read(1, record), /\(no\)/);
  told.wall.add(1500);
  told.read(1, record);
  told.read(1, undefined);
});
