/** The installed `kvix watch` through kills and starts of its server: every change once, by itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { clientOf, jsonOf, runInside } from "../support/command-run.js";
import { RunningCommand } from "../support/running-command.js";
import { ServerProcess } from "../support/server-process.js";
import { makeDataDir } from "./data-dir.js";

const KILLS = 3;
const WRITES = 20;

test(`kvix watch goes on by itself through ${KILLS} kills of its server, prints each change once, and says so (V14)`, {
  timeout: 300_000,
}, async (t) => {
  const dataDir = makeDataDir(t);
  let server = await ServerProcess.start(dataDir);
  t.after(() => server.end("SIGKILL"));
  const { address } = server;
  const kvix = clientOf(address, runInside);
  const watch = new RunningCommand(["watch", "--after", "0"], address);
  t.after(() => watch.signal("SIGKILL"));
  const wanted: string[] = [];
  for (let life = 0; life <= KILLS; life += 1) {
    for (let each = 0; each < WRITES; each += 1) {
      const key = `${life}/${each}`;
      const set = jsonOf(await kvix(["set", key, "v", "--json"]));
      wanted.push(`${set["version"]}\tset\t${key}\tv`);
    }
    // Of the last life before a kill some are mostly not printed yet.
    if (life === KILLS) break;
    await watch.until(() => watch.out.length >= wanted.length - WRITES / 2);
    await server.end("SIGKILL");
    await watch.until(() => watch.err.filter((line) => /Going on after/.test(line)).length > life);
    server = await ServerProcess.start(dataDir, "--listen", address);
  }
  await watch.until(() => watch.out.length >= wanted.length);
  watch.signal("SIGTERM");
  assert.equal(await watch.ended, 0);
  assert.deepEqual(watch.out, wanted);
  const last = Number(wanted.at(-1)?.split("\t")[0]);
  assert.equal(watch.err.at(-1), `kvix watch: ended; go on with --after ${last}`);
  assert.equal(watch.err.filter((line) => /connected again/.test(line)).length, KILLS);
  assert.equal(watch.err.length, 2 * KILLS + 1, watch.err.join("\n"));
});
