/** docs/performance.md against the stored results, and the arithmetic of the figures. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { benches, meetsGoal } from "../../bench/bench-catalogue.js";
import {
  readResults,
  renderReport,
  reportPage,
  type StoredResult,
} from "../../bench/bench-report.js";
import { median, summarize } from "../../bench/engine-rounds.js";
import { readSection } from "../../bench/page-section.js";
import { repositoryRoot } from "../support/paths.js";

const example: StoredResult = {
  name: "engine-put",
  ours: 3000,
  theirs: 2000,
  ratio: 1.5,
  spread: [1.25, 1.75],
  unit: "puts/s",
  node: "20.15.0",
  commit: "0000000",
  machine: "2 x processor",
  detail: { best: "lmdb", rounds: 5 },
};

test("docs/performance.md shows the stored results and nothing else", () => {
  const page = readFileSync(join(repositoryRoot, reportPage.path), "utf8");
  const shown = readSection(page, reportPage.section);
  assert.equal(shown, renderReport(readResults()), "run npm run bench -- report");
  assert.doesNotMatch(page.replace(shown ?? "", ""), /\d[\d,.]* *(?:puts|gets|us|ns|ms|MB)\b/);
});

test("every stored result belongs to a bench and says where it was taken", () => {
  for (const result of readResults()) {
    assert.ok(
      benches.some(({ name }) => name === result.name),
      result.name,
    );
    assert.ok(result.ratio >= result.spread[0] && result.ratio <= result.spread[1], result.name);
    for (const field of [result.node, result.commit, result.machine]) assert.notEqual(field, "");
    assert.ok(!result.commit.endsWith("+"), `${result.name} was taken with uncommitted changes`);
  }
});

test("a goal that is missed is shown as missed", () => {
  assert.match(
    renderReport([example]),
    /\| engine-put \| 3,000 puts\/s \| 2,000 \(lmdb\) \| 1\.5 /,
  );
  assert.match(renderReport([example]), /\| at least 2 \| \*\*no\*\* \|/);
  assert.match(renderReport([{ ...example, ratio: 2 }]), /\| at least 2 \| yes \|/);
  assert.equal(renderReport([]), "No result is stored.\n");
  assert.ok(meetsGoal(44, { atMost: 44 }) && !meetsGoal(44.1, { atMost: 44 }));
});

test("a comparison is with the best of the others, by medians and round by round", () => {
  assert.equal(median([9, 1, 5]), 5);
  assert.equal(median([4, 1, 2, 9]), 3);
  const figures = new Map([
    ["kvix" as const, { rates: [100, 300, 200], manner: "" }],
    ["lmdb" as const, { rates: [50, 60, 100], manner: "" }],
    ["classic-level" as const, { rates: [59, 1, 1000], manner: "" }],
  ]);
  const result = summarize({ name: "engine-put", unit: "puts/s" }, figures);
  assert.deepEqual([result.ours, result.theirs, result.ratio], [200, 60, 3.33]);
  assert.equal(result.detail?.["best"], "lmdb");
  assert.deepEqual(result.spread, [2, 5]);
});
