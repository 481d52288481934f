/**
 * Puts kvix in the place of express-session's MemoryStore, before its own tests load it
 * (session.test.ts): every store that they make, and the one that it makes by default, is
 * a prefix of its own on the server at KVIX_TEST_ADDRESS.
 */
import { createRequire } from "node:module";
import { connect } from "kvix/client";
import { sessionStore } from "kvix/session";

const require = createRequire(import.meta.url);
const Store = require("express-session/session/store.js");
const memory = require.resolve("express-session/session/memory.js");
require(memory);

const kvix = connect({ address: process.env["KVIX_TEST_ADDRESS"] });
let stores = 0;

function MemoryStore() {
  stores += 1;
  return sessionStore(Store, kvix, { prefix: `session-${process.pid}-${stores}:` });
}
require.cache[memory].exports = MemoryStore;

export const mochaHooks = {
  async afterAll() {
    await kvix.close();
    // That the suite met kvix is for the caller to see.
    process.stdout.write(`stores of kvix: ${stores}\n`);
  },
};
