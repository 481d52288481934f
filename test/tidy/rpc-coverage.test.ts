/**
 * Every rpc of the contract: tried over the wire by a test of its service, used
 * by clients of other languages, and told of in docs/api.md.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { file_kvix_v1_kvix as contract } from "../../gen/kvix/v1/kvix_pb.js";
import { repositoryRoot } from "../support/paths.js";
import { readSourceTree, type SourceFile, sourceFile } from "./source-tree.js";

/** An rpc by its names; `member` is its name in generated code. */
interface Rpc {
  readonly service: string;
  readonly name: string;
  readonly member: string;
}

const rpcs: readonly Rpc[] = contract.services.flatMap(({ name: service, methods }) =>
  methods.map(({ name, localName: member }) => ({ service, name, member })),
);

const titleOf = ({ service, name }: Rpc): string => `${service}/${name}`;

/** Whether a test names the rpc's generated method: `KvService.method.get`, or taken out of it. */
function isTriedIn({ code }: SourceFile, { service, member }: Rpc): boolean {
  const holders = [`${service}\\.method`];
  for (const [, alias] of code.matchAll(new RegExp(`const (\\w+) = ${service}\\.method;`, "g"))) {
    holders.push(alias as string);
  }
  return holders.some(
    (holder) =>
      new RegExp(`\\b${holder}\\.${member}\\b`).test(code) ||
      new RegExp(`\\{[^{}]*\\b${member}\\b[^{}]*\\} = ${holder};`).test(code),
  );
}

/** Whether a scenario calls it by its name: call("KvService/Get", ...). */
function isCalledIn({ text }: SourceFile, rpc: Rpc): boolean {
  return text.includes(`call("${titleOf(rpc)}"`);
}

/** Whether the page has a sentence of its own for it: a row `| Service.Name | It does. |`. */
function isToldIn(page: string, { service, name }: Rpc): boolean {
  return new RegExp(`^\\| ${service}\\.${name} \\| [^|]+\\. \\|`, "m").test(page);
}

const missing = (has: (rpc: Rpc) => boolean): string[] =>
  rpcs.filter((rpc) => !has(rpc)).map(titleOf);

const protocolTests = readSourceTree("test/service").filter(({ path }) => /\.test\.ts$/.test(path));
const scenarios = readSourceTree("test/clients").filter(({ path }) => /-scenario\.ts$/.test(path));
const apiPage = readFileSync(join(repositoryRoot, "docs/api.md"), "utf8");

test("every rpc is tried over the wire by a test of its service", () => {
  assert.deepEqual(
    missing((rpc) => protocolTests.some((file) => isTriedIn(file, rpc))),
    [],
  );
});

test("every rpc is called by clients of other languages", () => {
  assert.deepEqual(
    missing((rpc) => scenarios.some((file) => isCalledIn(file, rpc))),
    [],
  );
});

test("every rpc is told of in docs/api.md", () => {
  assert.deepEqual(
    missing((rpc) => isToldIn(apiPage, rpc)),
    [],
  );
});

test("an rpc that is forgotten is found", () => {
  const rpc = { service: "KvService", name: "Increment", member: "increment" };
  const file = (text: string): SourceFile => sourceFile("test/service/a.test.ts", text);
  for (const text of [
    "client.call(KvService.method.increment, {});",
    "const { get, increment } = KvService.method;",
    "const { get, increment: raise } = KvService.method;",
    "const kv = KvService.method; client.call(kv.increment, {});",
  ]) {
    assert.ok(isTriedIn(file(text), rpc), text);
    assert.ok(!isTriedIn(file(text), { ...rpc, member: "list" }), text);
    assert.ok(!isTriedIn(file(text), { ...rpc, service: "AdminService" }), text);
  }
  assert.ok(isCalledIn(file('await call("KvService/Increment", {});'), rpc));
  assert.ok(!isCalledIn(file('await refused("KvService/Increment", {});'), rpc));
  assert.ok(isToldIn("\n| KvService.Increment | It adds. | changes nothing |\n", rpc));
  for (const page of [
    "Increment adds.",
    "| KvService.Increment |  | x |",
    "| KvService.Inc | a. |",
  ]) {
    assert.ok(!isToldIn(page, rpc), page);
  }
  assert.ok(rpcs.length >= 16 && rpcs.some((each) => titleOf(each) === "AdminService/Sync"));
});
