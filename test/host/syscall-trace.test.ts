/** That a trace is read as strace wrote it, and that a program runs under it as it would alone. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import {
  isBefore,
  parseTrace,
  runTraced,
  startTraced,
  type TracedCall,
} from "../support/syscall-trace.js";

const log = String.raw`
100 openat(AT_FDCWD</tmp>, "/data/a\"\nb>c.seg", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 18</data/a\"\nb\76c.seg>
100 pwrite64(18</data/a\"\nb\76c.seg>, "k\0\303\277\" ) = 5"..., 4096, 3) = 10
101 fdatasync(18</data/a.seg> <unfinished ...>
100 write(21<socket:[39879]>, "early", 5) = 5
101 <... fdatasync resumed>)             = 0
100 writev(21<socket:[39879]>, [{iov_base="la", iov_len=2}, {iov_base="te", iov_len=2}], 2) = 4
101 renameat2(AT_FDCWD</data>, "M.tmp", AT_FDCWD</data>, "M", 0) = 0
101 rename("/data/x", "/data/y") = -1 ENOSPC (No space left on device) (INJECTED)
100 --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=1, si_uid=0} ---
100 write(18</data/a.seg>(deleted), "", 0)   = 0
101 fsync(19</data> <unfinished ...>
100 close(18</data/a.seg> <unfinished ...>) = ?
100 +++ exited with 0 +++
101 +++ killed by SIGKILL +++
`.slice(1);

describe("a parsed trace", () => {
  const calls = parseTrace(log);
  const shown = calls.map((call) => `${call.pid} ${call.call} ${call.result} ${call.error ?? ""}`);

  it("has every call in the order in which they began, signals and exits left out", () => {
    assert.deepEqual(shown, [
      "100 openat 18 ",
      "100 pwrite64 10 ",
      "101 fdatasync 0 ",
      "100 write 5 ",
      "100 writev 4 ",
      "101 renameat2 0 ",
      "101 rename -1 ENOSPC",
      "100 write 0 ",
      "101 fsync undefined ",
      "100 close undefined ",
    ]);
  });

  it("names files by descriptor and by path, sockets too, escapes undone", () => {
    const paths = calls.map((call) => [call.descriptor, call.path, call.target]);
    assert.deepEqual(paths, [
      [undefined, '/data/a"\nb>c.seg', undefined],
      [18, '/data/a"\nb>c.seg', undefined],
      [18, "/data/a.seg", undefined],
      [21, "socket:[39879]", undefined],
      [21, "socket:[39879]", undefined],
      [undefined, "/data/M.tmp", "/data/M"],
      [undefined, "/data/x", "/data/y"],
      [18, "/data/a.seg", undefined],
      [19, "/data", undefined],
      [18, "/data/a.seg", undefined],
    ]);
  });

  it("shows what was written, byte by byte, in one piece", () => {
    const texts = calls.map((call) => call.text);
    assert.deepEqual(texts.slice(0, 5), [
      undefined,
      'k\0\xc3\xbf" ) = 5',
      undefined,
      "early",
      "late",
    ]);
  });

  it("tells whether one call had returned when another began (D1)", () => {
    const find = (name: string, text?: string): TracedCall => {
      const call = calls.find((one) => one.call === name && one.text === text);
      assert.ok(call !== undefined, name);
      return call;
    };
    const sync = find("fdatasync");
    assert.equal(isBefore(sync, find("writev", "late")), true);
    assert.equal(isBefore(sync, find("write", "early")), false);
    assert.equal(isBefore(find("write", "early"), sync), false);
    assert.equal(isBefore(find("openat"), sync), true);
    assert.equal(isBefore(find("fsync"), find("close")), false);
    assert.equal(isBefore(sync, sync), false);
  });

  it("refuses a line that it does not know", () => {
    assert.throws(() => parseTrace("100 what is this\n"), /line 0 of the trace/);
    assert.throws(() => parseTrace("100 <... write resumed>) = 3\n"), /line 0 of the trace/);
  });
});

describe("a traced program", () => {
  const folder = mkdtempSync(join(tmpdir(), "kvix-traced-"));
  after(() => rmSync(folder, { recursive: true }));
  const program = `
    import fs from "node:fs";
    const descriptor = fs.openSync(process.argv[1], "w");
    fs.writeSync(descriptor, "data");
    fs.fdatasync(descriptor, (error) => fs.writeSync(1, error === null ? "ack" : error.code));
    process.exitCode = 3;
  `;
  const command = (name: string): string[] => [
    ...[process.execPath, "--input-type=module", "-e", program],
    join(folder, name),
  ];

  it("is seen with its calls in order, and ends as it would have", async () => {
    const run = await runTraced(command("a"));
    assert.deepEqual([run.exitCode, run.signal, run.stdout, run.stderr], [3, null, "ack", ""]);
    const path = join(folder, "a");
    const opened = run.calls.find((call) => call.call === "openat" && call.path === path);
    const data = run.calls.find((call) => call.text === "data");
    const synced = run.calls.find((call) => call.call === "fdatasync");
    const told = run.calls.find((call) => call.text === "ack");
    assert.ok(opened && data && synced && told);
    assert.equal(synced.path, path);
    assert.ok(isBefore(opened, data) && isBefore(data, synced) && isBefore(synced, told));
  });

  it("can be made to fail, or to die, at a call of its own", async () => {
    const failed = await runTraced(command("b"), { inject: ["fdatasync:error=EIO:when=1"] });
    assert.equal(failed.stdout, "EIO");
    const killed = await runTraced(command("c"), { inject: ["fdatasync:signal=SIGKILL:when=1"] });
    assert.deepEqual([killed.exitCode, killed.signal, killed.stdout], [null, "SIGKILL", ""]);
    assert.ok(killed.calls.some((call) => call.text === "data"));
  });

  it("can be talked to and stopped while it runs", async () => {
    const echo = "process.stdin.on('data', (data) => process.stdout.write('got ' + data));";
    const trace = await startTraced([process.execPath, "-e", echo]);
    trace.program.stdin?.write("ping");
    trace.program.stdout?.once("data", () => trace.program.kill("SIGTERM"));
    const run = await trace.finished;
    assert.deepEqual([run.stdout, run.signal], ["got ping", "SIGTERM"]);
    assert.ok(run.calls.some((call) => call.text === "got ping"));
  });

  it("without strace fails, and says what is missing", async () => {
    const before = process.env["PATH"];
    process.env["PATH"] = folder;
    try {
      await assert.rejects(runTraced(command("d")), /needs it \(package strace\)/);
    } finally {
      process.env["PATH"] = before;
    }
  });
});
