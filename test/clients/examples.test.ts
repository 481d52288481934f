/**
 * The examples in other languages, built from a clean folder and run as
 * examples/README.md says, each against a real server.
 */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, describe, test } from "node:test";
import { commandPath } from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";
import { repositoryRoot } from "../support/paths.js";
import { plainEnvironment } from "../support/plain-environment.js";
import { runProgram, ServerProcess } from "../support/server-process.js";
import { mustRun } from "../support/tool-cache.js";
import { PACKAGES, pythonEnvironment } from "./python-client.js";

/** What every tour prints. */
const TOUR = [
  "get: hello, missing: true",
  "ttl: true, cleared: true",
  "cas: true, then false, for it is mine",
  "commit: true, a: 70, b: 30, repeated: true",
  "scan: tour:account:a=70 tour:account:b=30",
  "watch: (set tour:watched:light = 1) (set tour:watched:light = 2) (set tour:watched:light = 3)",
];

const languages = ["go", "python", "java"] as const;

/** The repository as the examples need it, without what an earlier build left there. */
const clone = makeFolder();
/** Where the servers keep their data. */
const data = makeFolder();

const examplePath = (language: string): string => join(clone.path, "examples", language, "run");

before(async () => {
  for (const shared of ["proto", "node_modules", "buf.yaml", "package.json"]) {
    symlinkSync(join(repositoryRoot, shared), join(clone.path, shared));
  }
  mkdirSync(join(clone.path, "examples"));
  const left = ["kvixv1", "stubs", ".venv", "__pycache__", "target"];
  for (const language of languages) {
    const from = join(repositoryRoot, "examples", language);
    const filter = (path: string) => !left.some((name) => path.endsWith(`/${name}`));
    cpSync(from, join(clone.path, "examples", language), { recursive: true, filter });
  }
  // The packages are the same as those of the other tests, and so they are installed once.
  symlinkSync(await pythonEnvironment(), join(clone.path, "examples", "python", ".venv"));
});

after(() => {
  for (const each of [clone, data]) each.remove();
});

test("Python's example asks for what its tests have installed", () => {
  const path = join(repositoryRoot, "examples", "python", "requirements.txt");
  const lines = readFileSync(path, "utf8").split("\n");
  const asked = lines.filter((line) => line !== "" && !line.startsWith("#"));
  assert.ok(asked.length > 0);
  for (const line of asked) assert.ok(PACKAGES.includes(line), line);
});

test("every example of another language has a row in examples/README.md", () => {
  const page = readFileSync(join(repositoryRoot, "examples", "README.md"), "utf8");
  for (const language of languages) {
    assert.ok(page.includes(`| \`examples/${language}/run 127.0.0.1:5849\` |`), language);
  }
});

for (const language of languages) {
  describe(`the example in ${language}`, { timeout: 900_000 }, () => {
    let server: ServerProcess;
    const dataDir = join(data.path, language);

    before(async () => {
      server = await ServerProcess.start(dataDir);
    });
    after(() => server.end("SIGTERM"));

    test("it is built by one command and shows what it says", async () => {
      const printed = await mustRun(examplePath(language), [server.address], plainEnvironment());
      assert.deepEqual(printed.trimEnd().split("\n"), TOUR);
    });

    test("its watch tells each change once, also across the death of its server (G-WATCH-11)", async () => {
      const { address } = server;
      const watching = new Program(examplePath(language), [address, "watch", "light:"]);
      try {
        await watching.nextLine("watching");
        await set(address, "light:a", "on");
        assert.equal(await watching.nextChange(), "set light:a = on");
        await server.end("SIGKILL");
        server = await ServerProcess.start(dataDir, "--listen", address);
        await set(address, "dark:b", "on");
        await set(address, "light:a", "off");
        await set(address, "light:b", "on");
        assert.equal(await watching.nextChange(), "set light:a = off");
        assert.equal(await watching.nextChange(), "set light:b = on");
      } finally {
        await watching.end();
      }
    });
  });
}

async function set(address: string, key: string, value: string): Promise<void> {
  const env = { ...plainEnvironment(), KVIX_ENDPOINT: address };
  const { code, stderr } = await runProgram(
    process.execPath,
    [commandPath, "set", key, value],
    env,
  );
  assert.equal(code, 0, stderr);
}

/** A program that goes on until it is ended, and the lines that it prints. */
class Program {
  readonly #child: ChildProcess;
  readonly #closed: Promise<void>;
  readonly #lines: AsyncIterator<string>;
  #complaints = "";

  constructor(path: string, args: readonly string[]) {
    // A group of its own: what builds a program may start it as a child.
    this.#child = spawn(path, args, {
      detached: true,
      env: plainEnvironment(),
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#closed = new Promise((resolve) => this.#child.once("close", () => resolve()));
    const { stdout, stderr } = this.#child;
    assert.ok(stdout && stderr);
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
    stderr.setEncoding("utf8").on("data", (text: string) => {
      this.#complaints = (this.#complaints + text).slice(-2000);
    });
  }

  /** The next line, which must be this one. */
  async nextLine(expected: string): Promise<void> {
    assert.equal(await this.#next(), expected);
  }

  /** The next line that tells a change, and not only that the watch goes on. */
  async nextChange(): Promise<string> {
    for (;;) {
      const line = await this.#next();
      if (line !== "watching") return line;
    }
  }

  async #next(): Promise<string> {
    const { value, done } = await this.#lines.next();
    if (done === true) throw new Error(`it ended: ${this.#complaints}`);
    return value;
  }

  async end(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.pid !== undefined) {
      process.kill(-this.#child.pid, "SIGKILL");
    }
    await this.#closed;
  }
}
