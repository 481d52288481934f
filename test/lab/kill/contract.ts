/**
 * The part `contract`: what is promised of several keys, of requests with ids, of
 * uploads, pipelines and watches, across kills.
 *
 *     start -> what is unknown is made certain -> keepers of ledgers, the usual load,
 *           a compaction, a watch -> killed -> start ...
 *
 * Most lives keep their history for longer than they last: then nothing may be
 * forgotten, and a watch is never refused. In the others compactions take segments that
 * are two seconds old.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { AdminService } from "../../../gen/kvix/v1/kvix_pb.js";
import { LedgerClients } from "./ledger-clients.js";
import { LedgerWatch } from "./ledger-watch.js";
import type { Life } from "./life.js";

const segmentBytesChoices = [8192, 65_536, 1_048_576];
const roundsMin = 20;
const roundsSpan = 150;
const longRetentionMs = 3_600_000;
const shortRetentionMs = 2000;

/** A few rounds of load, each killed. */
export async function contractLife(life: Life, kills: number): Promise<void> {
  const { random, counts } = life;
  const segmentBytes = random.pick(segmentBytesChoices);
  const flushMs = random.pick([1, 20, 100]);
  const retentionMs = random.pick([longRetentionMs, longRetentionMs, shortRetentionMs]);
  life.flags = [
    "--lift-floors",
    ...["--segment-bytes-max", String(segmentBytes)],
    ...["--flush-interval", `${flushMs}ms`],
    ...["--compaction", "manual", "--watch-retention", `${retentionMs}ms`],
  ];
  const clients = new LedgerClients(random, counts, retentionMs);
  const watch = new LedgerWatch(() => clients.ledgers, counts, retentionMs);
  for (let kill = 0; kill < kills; kill += 1) {
    await start(life, clients);
    const { address } = life.server;
    const load = life.load(life.plan({ connections: 2, workersPerConnection: 3 }));
    const atWork = Promise.all([clients.work(address), watch.work(address)]);
    // It is waited for below; the load may be the first to find something.
    atWork.catch(() => undefined);
    const enough = Promise.race([clients.rounds(roundsMin + random.below(roundsSpan)), atWork]);
    await life.under(load, enough, async () => {
      if (random.chance(0.2)) life.server.signal("SIGTERM");
      await life.kill();
      load.end();
    });
    clients.end();
    watch.end();
    await atWork;
  }
  await start(life, clients);
  await watchToTheEnd(life, watch);
}

async function start(life: Life, clients: LedgerClients): Promise<void> {
  await life.start();
  const left = readdirSync(join(life.dataDir, "segments")).filter((name) =>
    name.startsWith("upload_"),
  );
  assert.deepEqual(left, [], "an upload of a server that is gone has left a file");
  await clients.settle(life.server.address);
}

/** Who watches is told all that there is. */
async function watchToTheEnd(life: Life, watch: LedgerWatch): Promise<void> {
  const session = life.session();
  const { durableVersion } = await session.client.call(AdminService.method.sync, {});
  const watching = watch.work(life.server.address);
  await Promise.race([watch.reach(Number(durableVersion)), watching]);
  watch.end();
  await watching;
  session.close();
}
