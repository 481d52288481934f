/**
 * Keyv's published test suite over the adapter, run by vitest in a folder of its own
 * (keyv.test.ts): the server is at KVIX_TEST_ADDRESS.
 */
import keyvTestSuite, { keyvIteratorTests } from "@keyv/test-suite";
import Keyv from "keyv";
import { connect } from "kvix/client";
import { KvixKeyvStore } from "kvix/keyv";
import * as vitest from "vitest";

const kvix = connect({ address: process.env["KVIX_TEST_ADDRESS"] });
vitest.afterAll(() => kvix.close());

const store = () => new KvixKeyvStore(kvix);
keyvTestSuite(vitest, Keyv, store);
keyvIteratorTests(vitest, Keyv, store);
