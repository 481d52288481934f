/** What the command says when there is no server, or none that answers. */
import assert from "node:assert/strict";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server } from "node:net";
import { type TestContext, test } from "node:test";
import { type RunResult, runInside } from "../support/command-run.js";
import { scriptedServer } from "../support/scripted-server.js";
import { runKvix } from "../support/server-process.js";

/** Listens on a free port of the loopback until the test ends; "HOST:PORT". */
function listen(t: TestContext, server: Server): Promise<string> {
  t.after(() => server.close());
  return new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      resolve(`127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
  });
}

async function freePort(): Promise<string> {
  const server = createServer();
  return await new Promise((resolve) => {
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => resolve(`127.0.0.1:${port}`));
    });
  });
}

test("where nothing listens one line says so, and how to start a server, with code 5", async () => {
  const endpoint = await freePort();
  for (const args of [["get", "k"], ["set", "k", "v"], ["status"]]) {
    const { code, stdout, stderr } = await runKvix(...args, "--endpoint", endpoint);
    assert.equal(code, 5);
    assert.equal(stdout, "");
    assert.match(stderr, /^kvix \w+: no connection to [\d.:]+: nothing listens there/);
    assert.match(stderr, /Start a server with `kvix serve`.*--endpoint.*--tls\n$/);
    assert.equal(stderr.split("\n").length, 2, "one line");
    assert.doesNotMatch(stderr, /\n\s+at /, "no stack");
  }
});

test("a name that nobody has is told, with code 5", async () => {
  const { code, stderr } = await runKvix("get", "k", "--endpoint", "no-such-host.invalid:1");
  assert.equal(code, 5);
  assert.match(stderr, /^kvix get: no connection to no-such-host\.invalid:1: .*\n$/);
});

test("a server that takes the connection and never speaks is given up on, with code 5", async (t) => {
  const silent = createServer((socket) => t.after(() => socket.destroy()));
  const endpoint = await listen(t, silent);
  const begun = performance.now();
  const { code, stderr } = await runKvix(
    "set",
    "k",
    "v",
    "--endpoint",
    endpoint,
    "--timeout",
    "700ms",
  );
  assert.equal(code, 5, stderr);
  assert.match(stderr, /^kvix set: no connection to .*\n$/);
  assert.ok(performance.now() - begun < 20_000);
});

test("a server that is no gRPC server is told, in one line", async (t) => {
  const web = createHttpServer((_request, response) => response.end("hello"));
  const endpoint = await listen(t, web);
  const { code, stderr } = await runKvix("get", "k", "--endpoint", endpoint, "--timeout", "5s");
  assert.equal(code, 5);
  assert.match(stderr, /^kvix get: .*\n$/);
});

test("P3: a write that was sent and not answered ends with 8, for it may have happened; a read with 5", async (t) => {
  const servers = {
    silent: await scriptedServer(t, () => undefined),
    cut: await scriptedServer(t, (call) => call.session?.destroy()),
  };
  const input = '{"op": "delete", "key": "k"}';
  const id = ["--request-id", "0123456789abcdef"];
  const unchanged = /Nothing was changed; try again\.\n$/;
  const repeatable = /is unknown\. With a --request-id it could be run again\.\n$/;
  const named = /Run it again with the same --request-id: that does no harm\.\n$/;
  const calls: [string[], number, RegExp][] = [
    ...[
      ["set", "k", "v"],
      ["delete", "k"],
      ["touch", "k", "--persist"],
      ["delete", "--prefix", "k"],
    ].map((write): [string[], number, RegExp] => [
      write,
      8,
      /Whether it was applied is unknown\.\n$/,
    ]),
    [["incr", "k"], 8, repeatable],
    [["commit"], 8, repeatable],
    [["incr", "k", ...id], 8, named],
    [["commit", ...id], 8, named],
    [["get", "k"], 5, unchanged],
    [["get", "k", "l"], 5, unchanged],
    [["list"], 5, unchanged],
    [["scan"], 5, unchanged],
    [["status"], 5, unchanged],
    [["sync"], 5, /Trying again does no harm\.\n$/],
  ];
  for (const [what, endpoint] of Object.entries(servers)) {
    const where = ["--endpoint", endpoint, "--timeout", "1500ms"];
    // All at once: each waits for its whole time.
    const results = await Promise.all(
      calls.map(([line]) => runInside([...line, ...where], { input })),
    );
    for (const [at, [line, expectedCode, expected]] of calls.entries()) {
      const { code, stderr } = results[at] as RunResult;
      assert.equal(code, expectedCode, `${what}, ${line.join(" ")}: ${stderr}`);
      assert.match(stderr, expected, `${what}, ${line.join(" ")}`);
    }
  }
});

test("P3: a large value that was not sent to its end is not written, and a lost answer ends with 8", async (t) => {
  const input = Buffer.alloc(3_000_000);
  // A server that reads nothing takes no more than its window, and never the end.
  const silent = await scriptedServer(t, () => undefined);
  const set = ["set", "k", "-", "--timeout", "1500ms", "--endpoint"];
  const unsent = await runInside([...set, silent], { input });
  assert.equal(unsent.code, 5, unsent.stderr);
  assert.match(unsent.stderr, /Nothing was changed; try again\.\n$/);
  const reading = await scriptedServer(t, (call) => call.resume());
  const unanswered = await runInside([...set, reading], { input });
  assert.equal(unanswered.code, 8, unanswered.stderr);
  assert.match(unanswered.stderr, /Whether it was applied is unknown\.\n$/);
});

test("an endpoint or a time that is none is refused with what it must be", async () => {
  for (const endpoint of ["localhost", "localhost:x", "::1:5849", "a b:1", "host:70000", ""]) {
    const { code, stderr } = await runInside(["get", "k", "--endpoint", endpoint]);
    assert.equal(code, 2, endpoint);
    assert.match(stderr, /^kvix get: --endpoint is ".*"; it must be HOST:PORT/);
  }
  for (const timeout of ["5", "0s", "-1s", "soon", "100d"]) {
    const { code, stderr } = await runInside(["get", "k", `--timeout=${timeout}`]);
    assert.equal(code, 2, timeout);
    assert.match(stderr, /^kvix get: --timeout is ".*"; it must be 1ms to/);
  }
});
