/**
 * Watches over the wire while the real server is killed again and again: what those who
 * resume with the version of the last message they had are told, held against what
 * writers were told, and against the log as it is at the end.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  AdminService,
  KvService,
  WatchEventKind,
  type WatchRequest,
} from "../../gen/kvix/v1/kvix_pb.js";
import { KvixError } from "../../src/base/kvix-error.js";
import { RpcClient } from "../../src/rpc/client.js";
import { ServerProcess } from "../support/server-process.js";
import { makeDataDir } from "./data-dir.js";

const { set, delete: remove, watch } = KvService.method;
const { compact } = AdminService.method;
const timeout = 300_000;
const KILLS = 3;
const WRITERS = 4;
const FLAGS = ["--segment-bytes-max", "64KiB", "--lift-floors", "true"];

type Init = Partial<Omit<WatchRequest, "$typeName">>;

/** An event in words: "12 set key value". */
type Told = string;
const versionOf = (told: Told): number => Number(told.split(" ")[0]);

/** Somebody who resumes with the last version he was told, whatever ends his watch. */
class Follower {
  readonly told: Told[] = [];
  version = 0;
  readonly #range: Init;

  constructor(range: Init) {
    this.#range = range;
  }

  /** Watches until the server goes, or until a version is told. */
  async follow(client: RpcClient, until = Number.POSITIVE_INFINITY): Promise<void> {
    const progressInterval = { seconds: 0n, nanos: 100_000_000 };
    const request = { ...this.#range, afterVersion: BigInt(this.version), progressInterval };
    try {
      for await (const { events, version, continues } of client.stream(watch, request)) {
        assert.equal(continues, false, "no commit here is larger than a message");
        for (const { kind, record } of events) {
          const [key, value] = [record?.key, record?.value].map((each) =>
            Buffer.from(each ?? []).toString(),
          );
          const what = kind === WatchEventKind.SET ? `set ${key} ${value}` : `delete ${key}`;
          this.told.push(`${record?.version} ${what}`);
        }
        assert.ok(Number(version) >= this.version, "it never goes back");
        this.version = Number(version);
        if (this.version >= until) return;
      }
    } catch (error) {
      // A kill has no reason to give.
      if (error instanceof assert.AssertionError || error instanceof KvixError) throw error;
    }
  }
}

/** Writes until the server goes; `acknowledged` is what it was told. */
async function write(client: RpcClient, writer: string, acknowledged: Told[]): Promise<void> {
  for (let count = acknowledged.length; ; count += 1) {
    const key = `${writer}-${count % 7}`;
    try {
      if (count % 5 === 4) {
        const { deleted, version } = await client.call(remove, { key: Buffer.from(key) });
        if (deleted) acknowledged.push(`${version} delete ${key}`);
      } else {
        const value = `${count}${"v".repeat(100)}`;
        const request = { key: Buffer.from(key), value: Buffer.from(value) };
        const { version } = await client.call(set, request);
        acknowledged.push(`${version} set ${key} ${value}`);
      }
    } catch (error) {
      assert.ok(!(error instanceof KvixError), String(error));
      return;
    }
  }
}

test(`watches that resume through ${KILLS} kills of the server are told every change once, in order, and all that was acknowledged (G-WATCH-11, D4, V14)`, {
  timeout,
}, async (t) => {
  const dataDir = makeDataDir(t);
  const followers = [
    new Follower({}),
    new Follower({ prefix: Buffer.from("w1-") }),
    new Follower({ key: Buffer.from("w2-3") }),
  ];
  const acknowledged = Array.from({ length: WRITERS }, (): Told[] => []);
  for (let life = 0; life < KILLS; life += 1) {
    const server = await ServerProcess.start(dataDir, ...FLAGS);
    t.after(() => server.end("SIGKILL"));
    const client = new RpcClient(server.address);
    const following = followers.map((follower) => follower.follow(client));
    const writing = acknowledged.map((told, at) => write(client, `w${at}`, told));
    const before = acknowledged.flat().length;
    while (acknowledged.flat().length < before + 200) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    await server.end("SIGKILL");
    await Promise.all([...following, ...writing]);
    client.close();
  }

  const server = await ServerProcess.start(dataDir, ...FLAGS);
  t.after(() => server.end("SIGKILL"));
  const client = new RpcClient(server.address);
  t.after(() => client.close());
  for await (const _ of client.stream(compact, {}));
  const { version } = await client.call(set, { key: Buffer.from("last") });
  const last = Number(version);
  const witness = new Follower({});
  await Promise.all([...followers, witness].map((each) => each.follow(client, last)));
  const history = witness.told;
  const versions = history.map(versionOf);
  assert.deepEqual(
    versions,
    [...new Set(versions)].sort((one, other) => one - other),
  );

  const [all, some, one] = followers.map(({ told }) => told);
  assert.deepEqual(all, history);
  assert.deepEqual(
    some,
    history.filter((told) => told.includes(" w1-")),
  );
  assert.deepEqual(
    one,
    history.filter((told) => told.split(" ")[2] === "w2-3"),
  );
  const told = new Set(history);
  for (const each of acknowledged.flat()) assert.ok(told.has(each), `${each} was acknowledged`);
  assert.ok(all !== undefined && all.length >= KILLS * 200);

  // Resumed anywhere it goes on there; among the versions that a kill has lost it is refused.
  let lost = 0;
  for (let at = 0; at < versions.length - 1; at += Math.ceil(versions.length / 60)) {
    const follower = new Follower({});
    follower.version = versions[at] as number;
    await follower.follow(client, last);
    assert.deepEqual(follower.told, history.slice(at + 1));
  }
  for (const [at, each] of versions.entries()) {
    if ((versions[at + 1] ?? 0) < each + 1000) continue;
    const follower = new Follower({});
    follower.version = each + 1;
    await assert.rejects(follower.follow(client, last), ({ reason }: KvixError) => {
      return reason === "HISTORY_LOST";
    });
    lost += 1;
  }
  assert.equal(lost, KILLS);
});
