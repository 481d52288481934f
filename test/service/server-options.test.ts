/** The options of a server: their defaults, their ranges, and all faults at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { KvixError } from "../../src/base/kvix-error.js";
import {
  resolveServerOptions,
  type ServerOptionsInput,
  serverOptionTable,
} from "../../src/service/server-options.js";

const listen = { host: "127.0.0.1", port: 0 };

function faultsOf(input: object): Readonly<Record<string, unknown>> {
  try {
    resolveServerOptions({ listen, ...input } as ServerOptionsInput);
  } catch (error) {
    assert.ok(error instanceof KvixError && error.reason === "OPTION_INVALID");
    return error.metadata;
  }
  return {};
}

test("without anything said, every option has the default of the table", () => {
  const resolved: Readonly<Record<string, unknown>> = { ...resolveServerOptions({ listen }) };
  for (const [name, option] of Object.entries(serverOptionTable)) {
    assert.equal(resolved[name], option.default, name);
  }
  assert.deepEqual(resolved["listen"], listen);
});

test("an option is taken from its minimum to its maximum, and not beyond", () => {
  for (const [name, option] of Object.entries(serverOptionTable)) {
    if (option.kind !== "number") continue;
    const { min, max } = option;
    assert.deepEqual(faultsOf({ [name]: min }), {}, name);
    assert.deepEqual(faultsOf({ [name]: max }), {}, name);
    for (const wrong of [min - 1, max + 1, min + 0.5, Number.NaN, "1"]) {
      const fault = String(faultsOf({ [name]: wrong })[name]);
      assert.ok(fault.includes(`from ${min} to ${max}`), `${name} ${String(wrong)}: ${fault}`);
    }
  }
});

test("all faults are told at once, strange options too", () => {
  const faults = faultsOf({ drainMs: -1, channelz: "yes", tlsCert: 7, frobnicate: true });
  assert.deepEqual(Object.keys(faults).sort(), ["channelz", "drainMs", "frobnicate", "tlsCert"]);
});

test("a certificate needs its key, and the other way round; client authorities need both", () => {
  assert.deepEqual(Object.keys(faultsOf({ tlsCert: "a" })), ["tlsCert"]);
  assert.deepEqual(Object.keys(faultsOf({ tlsKey: "a" })), ["tlsKey"]);
  assert.deepEqual(Object.keys(faultsOf({ tlsClientCa: "a" })), ["tlsClientCa"]);
  assert.deepEqual(faultsOf({ tlsCert: "a", tlsKey: "b", tlsClientCa: "c" }), {});
});
