/** The command against a server that speaks TLS only. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { run, runInside } from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";
import { ServerProcess } from "../support/server-process.js";

const folder = makeFolder();
const cert = join(folder.path, "cert.pem");
const key = join(folder.path, "key.pem");
let server: ServerProcess;

before(async () => {
  // Signed by itself for one day; no other program knows of it.
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"];
  const made = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-days", "1", "-keyout", key, "-out", cert, ...subject],
  ]);
  assert.equal(made.status, 0, String(made.stderr));
  const files = ["--tls-cert", cert, "--tls-key", key, "--tls-client-ca", cert];
  server = await ServerProcess.start(join(folder.path, "data"), ...files);
});
after(async () => {
  await server.end("SIGKILL");
  folder.remove();
});

test("with the authority and a certificate of its own the command is served", async () => {
  const files = ["--tls-ca", cert, "--tls-cert", cert, "--tls-key", key];
  const where = ["--endpoint", server.address, ...files];
  const set = await run(["set", "k", "v", ...where]);
  assert.equal(set.code, 0, set.stderr);
  assert.equal((await run(["get", "k", ...where])).stdout.toString(), "v");
});

test("without them it is refused in one line that says no more than it knows", async () => {
  const where = ["--endpoint", server.address, "--timeout", "5s"];
  const cases: readonly (readonly [string[], RegExp])[] = [
    [[], /^kvix get: .*\n$/],
    [["--tls"], /^kvix get: no connection to \S+ self-signed certificate\b.*--tls-ca.*\n$/],
    [["--tls-ca", cert], /^kvix get: .*\n$/],
  ];
  for (const [flags, expected] of cases) {
    const { code, stderr } = await run(["get", "k", ...where, ...flags]);
    assert.equal(code, 5, flags.join(" "));
    assert.match(stderr, expected);
  }
});

test("files that are no certificates are refused by the flag that names them", async () => {
  const garbage = join(folder.path, "garbage.pem");
  writeFileSync(garbage, "-----BEGIN nothing-----");
  const cases: readonly (readonly [string[], RegExp])[] = [
    [["--tls-cert", cert], /--tls-cert needs --tls-key beside it/],
    [["--tls-key", key], /--tls-key needs --tls-cert beside it/],
    [["--tls-ca", join(folder.path, "gone")], /--tls-ca cannot be read from .*gone: ENOENT/],
    [["--tls-cert", garbage, "--tls-key", key], /--tls-cert .*are no certificates and key, PEM/],
  ];
  for (const [flags, expected] of cases) {
    const { code, stderr } = await runInside(["get", "k", "--endpoint", server.address, ...flags]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, expected);
  }
});

test("a certificate for another address is refused, though its authority is known", async () => {
  const home = makeFolder();
  const other = join(home.path, "other.pem");
  const otherKey = join(home.path, "other-key.pem");
  const made = spawnSync("openssl", [
    ...["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"],
    ...["-days", "1", "-keyout", otherKey, "-out", other, "-subj", "/CN=address.invalid"],
    ...["-addext", "subjectAltName=IP:127.0.0.2,DNS:address.invalid"],
  ]);
  assert.equal(made.status, 0, String(made.stderr));
  const files = ["--tls-cert", other, "--tls-key", otherKey];
  const elsewhere = await ServerProcess.start(join(home.path, "data"), ...files);
  try {
    const where = ["--endpoint", elsewhere.address, "--tls-ca", other, "--timeout", "5s"];
    const { code, stderr } = await run(["get", "k", ...where]);
    assert.equal(code, 5, stderr);
    assert.match(stderr, /127\.0\.0\.1/);
  } finally {
    await elsewhere.end("SIGKILL");
    home.remove();
  }
});
