/** The check of a store, on the files of an image; and what it found. */
import { strict as assert } from "node:assert";
import type { VerifyReport } from "../../src/engine/store-check.js";
import { verifyStore } from "../../src/engine/verify.js";
import { type Finding, type FindingKind, severityOf } from "../../src/engine/verify-findings.js";
import { hostOf, type StoreImage } from "./store-image.js";
import { smallStore } from "./store-life.js";

/** Checks the store of an image. */
export async function check(image: StoreImage): Promise<VerifyReport> {
  return await verifyStore(smallStore, hostOf(image));
}

/** The findings that are more than notes. */
export function damagesOf(report: VerifyReport): Finding[] {
  return report.findings.filter((finding) => severityOf(finding) === "damage");
}

/** The kinds of all findings, in order. */
export function kindsOf(report: VerifyReport): FindingKind[] {
  return report.findings.map(({ kind }) => kind);
}

/** The only finding, which is of this kind. */
export function onlyFinding(report: VerifyReport, kind: FindingKind): Finding {
  assert.deepEqual(kindsOf(report), [kind]);
  return report.findings[0] as Finding;
}
