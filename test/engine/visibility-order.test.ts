/** Which of several writes of one key wins: the last accepted, whatever clocks and readers do. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { bytes, Rig, text } from "../support/store-rig.js";

test("V14 V5: chains of compare-and-set lose no update, however they interleave", async () => {
  const rig = await Rig.open({ segmentBytesMax: 4096 });
  await rig.set("n", "0");
  let retries = 0;
  const increment = async (): Promise<void> => {
    for (;;) {
      const record = await rig.store.get(bytes("n"));
      const next = String(Number(text(record?.value ?? bytes("0"))) + 1);
      const condition = { kind: "version", version: record?.version ?? 0 } as const;
      const { applied } = await rig.set("n", next, { condition });
      if (applied) return;
      retries += 1;
    }
  };
  await Promise.all(Array.from({ length: 20 }, increment));
  assert.equal(await rig.get("n"), "20");
  assert.ok(retries > 0, "they did interleave");
  const { version } = await rig.set("n", "a");
  const chain = await Promise.all(
    ["b", "c", "d"].map((value, step) =>
      rig.set("n", value, { condition: { kind: "version", version: version + step } }),
    ),
  );
  assert.deepEqual(
    chain.map(({ applied }) => applied),
    [true, true, true],
  );
  assert.equal(await rig.get("n"), "d");
  await rig.store.close();
});

test("I1 V5: of two writes in the same millisecond the second wins, also after a reopen", async () => {
  const rig = await Rig.open();
  await Promise.all([rig.set("a", "1"), rig.set("a", "2"), rig.delete("a"), rig.set("a", "3")]);
  assert.equal(await rig.get("a"), "3");
  rig.sim.clock.stepWall(-60_000);
  await rig.set("a", "4");
  const next = await rig.reopened();
  assert.equal(await next.get("a"), "4");
  await next.store.close();
});
