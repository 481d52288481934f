/**
 * Keyv over a kvix server: any program that takes a Keyv keeps what it stores.
 *
 *     npm install && npm start -- 127.0.0.1:5849
 */
import Keyv from "keyv";
import { connect } from "kvix/client";
import { KvixKeyvStore } from "kvix/keyv";

const kvix = connect({ address: process.argv[2] ?? "127.0.0.1:5849" });
const users = new Keyv(new KvixKeyvStore(kvix), { namespace: "users", throwOnErrors: true });
// Keyv swallows an error of a get unless it is told not to: it would look like a miss.
users.on("error", (error) => console.error(error.message));

await users.set("ada", { name: "Ada", born: 1815 });
await users.set("visitor", { name: "?" }, 60_000);
console.log("ada:", (await users.get("ada")).name);
console.log(
  "many:",
  (await users.get(["ada", "visitor", "nobody"])).map((user) => user?.name),
);
for await (const [key] of users.iterator()) console.log("stored:", key);

// The same record, seen as kvix has it: under the adapter's prefix, with its expiry.
const record = await kvix.get("keyv:users:visitor");
console.log("expires:", record.expireTime instanceof Date);

await users.clear();
console.log("left:", await users.has("ada"));
await kvix.close();
