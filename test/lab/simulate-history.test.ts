/** The judge of a simulated life: histories that must not be are refused, each for its reason. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import type { Condition, Durability } from "../../src/engine/store.js";
import {
  type Answer,
  type Ask,
  type Change,
  type ChangeResult,
  type Seen,
  unreadable,
} from "./simulate/call.js";
import { History } from "./simulate/history.js";
import { KeyStates } from "./simulate/key-states.js";
import { LogTruth } from "./simulate/log-truth.js";
import type { Found } from "./simulate/look-judge.js";
import { RecoveryJudge } from "./simulate/recovery-judge.js";
import { RequestBook } from "./simulate/request-book.js";
import type { RottenRecord } from "./simulate/rot.js";
import { WallLog } from "./simulate/wall-log.js";

const never = { kind: "never" } as const;

/** A history with shorthands; its disk has all, unless it is told otherwise. */
class Told {
  readonly wall = new WallLog(1000);
  isDurable = true;
  mayBeLeft = false;
  readonly truth = new LogTruth();
  readonly requests = new RequestBook();
  readonly history = new History(
    new KeyStates(this.wall),
    this.wall,
    { has: () => this.isDurable, mayHave: () => this.mayBeLeft },
    0,
    this.requests,
    this.truth,
  );

  ask(value: string | undefined, durability: Durability = "sync", condition?: Condition) {
    const changes: Ask["changes"] =
      value === undefined
        ? [{ kind: "delete", key: "k" }]
        : [{ kind: "set", key: "k", value, expiry: never }];
    const demands = condition === undefined ? [] : [{ key: "k", condition }];
    return this.history.begin({ changes, demands, durability });
  }

  answer(
    call: ReturnType<Told["ask"]>,
    version: number,
    { expiresAtMs = 0, ...answer }: Partial<Answer> & { expiresAtMs?: number } = {},
  ): void {
    const results: ChangeResult[] = [{ version, found: version > 0, expiresAtMs }];
    const told = { applied: true, results, unmet: [], previous: undefined };
    this.history.answered(call, { ...told, ...answer });
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

test("V14: a SYNC answer that changed nothing tells of what is durable", () => {
  const told = new Told();
  told.write("1", 1, "buffered");
  told.isDurable = false;
  const unmet = { applied: false, unmet: [{ index: 0, current: seen("1", 1) }] };
  const ask = () => told.ask("2", "sync", { kind: "absent" });
  assert.throws(() => told.answer(ask(), 0, unmet), /V14: .* tells of version 1 of k/);
  const gone = new Told();
  gone.write("1", 1);
  gone.write(undefined, 2, "buffered");
  gone.isDurable = false;
  assert.throws(() => gone.write(undefined, 0), /V14: .* tells of version 2 of k/);
  gone.write(undefined, 0, "buffered");
});

test("D6 B3: what was not applied is not what a power cut may leave", () => {
  const told = new Told();
  const call = told.ask("1");
  told.history.requireUnwritten(call);
  told.mayBeLeft = true;
  assert.throws(() => told.history.requireUnwritten(call), /D6 B3/);
});

test("V16: what must be there is durable in the segments that stay, unless somebody is about to replace it", () => {
  const told = new Told();
  told.write("1", 1);
  told.write("2", 2, "buffered");
  const staying = new Set<string>();
  told.history.requireKept(["k", "other"], staying);
  told.isDurable = false;
  assert.throws(() => told.history.requireKept(["k"], staying), /V16/);
  told.ask("3");
  told.history.requireKept(["k"], staying);
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
  const refused = { applied: false, unmet: [{ index: 0, current: seen("1", 1) }] };
  told.answer(told.ask("2", "sync", absent), 0, refused);
  assert.throws(() => told.answer(told.ask("3", "sync", absent), 2), /applied is yes/);
  const version = { kind: "version", version: 1 } as const;
  const wrong = { applied: false, unmet: [{ index: 0, current: seen("9", 1) }] };
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
  const call = told.history.begin({ changes, demands: [], durability: "sync" });
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

const increment = (delta: bigint): Change => {
  return { kind: "increment", key: "k", delta, initial: 0n, expiry: never };
};

/** A commit of these changes, as request "r" if it has a digest. */
function commit(told: Told, changes: readonly Change[], digest?: string) {
  const request = digest === undefined ? undefined : { id: "r", digest };
  return told.history.begin({ changes, demands: [], durability: "sync", request });
}

const heard = { floor: 0, monotonicMs: 0, windowMs: 0 };

/** Its answer: a version for each change, and the number that an increment came to. */
function answer(
  told: Told,
  call: ReturnType<typeof commit>,
  versions: readonly number[],
  number?: bigint,
  isRepeat = false,
  when = heard,
): void {
  const results = versions.map((version): ChangeResult => {
    return { version, found: true, expiresAtMs: 0, ...(number === undefined ? {} : { number }) };
  });
  const all = { applied: true, results, unmet: [], previous: undefined, isRepeat };
  told.history.answered(call, all, when);
}

test("B1: versions of a commit that do not follow each other are refused", () => {
  const two: Change[] = ["k", "l"].map((key) => ({ kind: "set", key, value: key, expiry: never }));
  const told = new Told();
  answer(told, commit(told, two), [1, 2]);
  assert.throws(() => answer(told, commit(told, two), [4, 6]), /B1: .* version 6 behind 4/);
});

test("B1: an open commit on a condition is there as a whole after a crash, or not at all", () => {
  const changes: Change[] = ["k", "l"].map((key) => ({
    kind: "set",
    key,
    value: key,
    expiry: never,
  }));
  const crashed = (keys: readonly string[]): void => {
    const told = new Told();
    told.history.begin({
      changes,
      demands: [{ key: "k", condition: { kind: "absent" } }],
      durability: "sync",
    });
    told.history.finish();
    const recovered = new Map<string, Found>(keys.map((key) => [key, seen(key, 1)]));
    const circumstances = { where: "opened", hasAll: false, couldRefuse: false };
    const judge = new RecoveryJudge(told.history, told.wall);
    judge.judge(recovered, { ...circumstances, rotten: [], hasUnknownKeys: false });
  };
  crashed([]);
  crashed(["k", "l"]);
  assert.throws(() => crashed(["k"]), /none that the store may be in/);
  assert.throws(() => crashed(["l"]), /none that the store may be in/);
});

test("an increment that comes to another sum is refused, and so is a number that is called none", () => {
  const told = new Told();
  answer(told, commit(told, [increment(5n)]), [1], 5n);
  assert.throws(() => answer(told, commit(told, [increment(2n)]), [2], 8n), /it must be 7/);
  const other = new Told();
  const refused = commit(other, [increment(1n)]);
  assert.throws(() => other.history.failed(refused, false, "NOT_A_NUMBER", heard), /it is not/);
});

test("R7: a request that is made again, or answered otherwise, or for another, is refused", () => {
  const made = (): Told => {
    const told = new Told();
    answer(told, commit(told, [increment(5n)], "one"), [1], 5n);
    return told;
  };
  const repeat = made();
  answer(repeat, commit(repeat, [increment(5n)], "one"), [1], 5n, true);
  const again = made();
  const twice = () => answer(again, commit(again, [increment(5n)], "one"), [2], 10n);
  assert.throws(twice, /R7: .* is forgotten, and made anew/);
  const compacted = made();
  const gone = { floor: 1, monotonicMs: 0, windowMs: 0 };
  answer(compacted, commit(compacted, [increment(5n)], "one"), [2], 10n, false, gone);
  const inside = made();
  const taken = () =>
    answer(inside, commit(inside, [increment(5n)], "one"), [2], 10n, false, {
      ...gone,
      windowMs: 1,
    });
  assert.throws(taken, /R7: .* is forgotten, and made anew/);
  const other = made();
  const otherwise = () => answer(other, commit(other, [increment(5n)], "one"), [1], 6n, true);
  assert.throws(otherwise, /R7: .* otherwise than the first/);
  const wrong = made();
  const another = () => answer(wrong, commit(wrong, [increment(6n)], "two"), [1], 5n, true);
  assert.throws(another, /R7: .* never made before/);
  const unknown = made();
  const reused = commit(unknown, [increment(5n)], "one");
  const refuse = () => unknown.history.failed(reused, false, "REQUEST_ID_REUSED", heard);
  assert.throws(refuse, /R7: no other request/);
});

test("R7: a request whose effect a crash has left must be known afterwards", () => {
  const change: Change = { kind: "set", key: "k", value: "1", expiry: never };
  const told = new Told();
  commit(told, [change], "one");
  const states = told.recover(seen("1", 1));
  told.requests.survive({
    ...{ calls: told.history.calls, settled: 0, survivedUpTo: -1, lastVersion: 0 },
    ...{ heard, states },
  });
  const disk = { has: () => true, mayHave: () => false };
  const next = new History(states, told.wall, disk, 1, told.requests, told.truth);
  const request = { id: "r", digest: "one" };
  const call = next.begin({ changes: [change], demands: [], durability: "sync", request });
  const results = [{ version: 2, found: true, expiresAtMs: 0 }];
  const anew = { applied: true, results, unmet: [], previous: undefined };
  assert.throws(() => next.answered(call, anew, heard), /R7: .* is forgotten/);
});

test("B2 V15: what a watch tells is all that was written, as it was, and no commit in part", () => {
  const told = new Told();
  const set = (key: string): Change => ({ kind: "set", key, value: key, expiry: never });
  answer(told, commit(told, [set("k"), set("l")]), [1, 2]);
  answer(told, commit(told, [set("m")]), [3]);
  const { truth } = told;
  const all = () => true;
  truth.requireAll(0, 3, new Set([1, 2, 3]), all);
  assert.throws(
    () => truth.requireAll(0, 3, new Set([1, 3]), all),
    /version 2 of 0..3 is not told/,
  );
  truth.requireAll(0, 3, new Set([1, 3]), (key) => key !== "l");
  assert.throws(() => truth.requireWhole(1, 0), /B2: the watch stands at 1/);
  truth.requireWhole(2, 0);
  truth.requireWhole(1, 1);
  const fact = { kind: "set", key: "k", value: "k", expiresAtMs: 0 } as const;
  truth.told(1, fact);
  assert.throws(() => truth.told(1, { ...fact, value: "other" }), /V15: the log has version 1 as/);
  assert.throws(() => truth.told(4, { ...fact, kind: "delete", value: undefined }), /nobody did/);
  assert.throws(() => truth.told(4, { ...fact, kind: "expire", value: undefined }), /never does/);
});
