/**
 * The tour of README.md, run as it stands there: every line of every block, in
 * their order, each answer held against what the page says behind `#`.
 *
 *     ```sh server     what goes on until it is stopped
 *     ```sh            while the server runs
 *     ```sh stopped    after it was stopped
 *     ```ts            the embedded store, compiled as it stands
 *
 * The port is a free one: the variables say so to kvix, to other clients the
 * address is replaced. `...` stands for what is different every time.
 */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { commandPath, quoted, runShell } from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";
import { grpcurlPath, installGrpcurl } from "../support/grpcurl.js";
import { repositoryRoot } from "../support/paths.js";
import { plainEnvironment } from "../support/plain-environment.js";

const ADDRESS = "127.0.0.1:5849";
const folder = makeFolder();
after(() => folder.remove());

interface Block {
  readonly language: string;
  readonly kind: string;
  readonly text: string;
}

/** The blocks of the tour. */
function tourBlocks(): Block[] {
  const readme = readFileSync(join(repositoryRoot, "README.md"), "utf8");
  const tour = /^## A five-minute tour$(.*?)^## /ms.exec(readme)?.[1] ?? "";
  return [...tour.matchAll(/^```(\w+)(?: (\w+))?\n(.*?)^```$/gms)].map((match) => ({
    language: match[1] ?? "",
    kind: match[2] ?? "",
    text: match[3] ?? "",
  }));
}

interface Step {
  readonly command: string;
  /** What it is to print; undefined: the page does not say. */
  readonly expected: string | undefined;
}

/** The commands of a block, each with the answer behind it. */
function stepsOf(text: string): Step[] {
  const steps: { command: string; expected: string | undefined }[] = [];
  for (const line of text.replaceAll("\\\n", " ").trimEnd().split("\n")) {
    const last = steps.at(-1);
    if (!line.startsWith("#")) steps.push({ command: line, expected: undefined });
    else if (last !== undefined) last.expected = `${last.expected ?? ""}${line.slice(2)}\n`;
  }
  return steps;
}

/** A pattern for an answer: `...` on its own is any lines, inside a line any text. */
function patternOf(expected: string): RegExp {
  const lines = expected.trimEnd().split("\n");
  const parts = lines.map((line) =>
    line === "..."
      ? "(?:.*\\n)*?"
      : `${line
          .split("...")
          .map((piece) => piece.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&").replaceAll(/ +/g, " +"))
          .join(".*")}\\n`,
  );
  return new RegExp(`^${parts.join("")}$`);
}

test("the tour has a server, clients of three kinds, what is left behind, and the embedded store", () => {
  const blocks = tourBlocks();
  assert.deepEqual(
    blocks.map(({ language, kind }) => `${language} ${kind}`.trim()),
    ["sh server", "sh", "sh", "sh", "sh", "sh", "sh stopped", "ts"],
  );
  const all = blocks.map(({ text }) => text).join("");
  for (const word of ["kvix set", "grpcurl ", "buf curl", "kvix verify"]) {
    assert.ok(all.includes(word), word);
  }
});

test("a pattern takes what the page says and nothing else", () => {
  assert.match("set version 1\n", patternOf("set version 1\n"));
  assert.match('{\n  "a": 1\n}\n', patternOf("{\n...\n}\n"));
  assert.doesNotMatch("set version 12\n", patternOf("set version 1\n"));
  assert.doesNotMatch("set version 1\nmore\n", patternOf("set version 1\n"));
});

test("every command of the tour in README.md does what the page says", async (t) => {
  await installGrpcurl();
  const blocks = tourBlocks();
  const server = blocks.find(({ kind }) => kind === "server");
  assert.ok(server);
  const running = await startServer(server.text.trim());
  t.after(() => running.stop());
  for (const { language, kind, text } of blocks) {
    if (language === "ts" || kind === "server") continue;
    if (kind === "stopped") await running.stop();
    for (const step of stepsOf(text)) runStep(step, running.address);
  }
  const program = blocks.find(({ language }) => language === "ts");
  assert.ok(program);
  assert.deepEqual(runProgramText(program.text), ["true good day true", "user:1"]);
});

function runStep({ command, expected }: Step, address: string): void {
  const line = command.replaceAll(ADDRESS, address);
  const tools = [
    `grpcurl() { ${quoted(grpcurlPath())} "$@"; }`,
    `npx() { ${quoted(join(repositoryRoot, "node_modules", ".bin", "buf"))} "\${@:2}"; }`,
  ];
  const result = runShell([...tools, line].join("\n"), {
    cwd: folder.path,
    environment: { KVIX_ENDPOINT: address },
  });
  assert.equal(result.code, 0, `${command}\n${result.stderr}`);
  if (expected === undefined) return;
  // The page shows what a terminal shows, where a value ends with a line feed.
  const shown = result.stdout.toString().replace(/([^\n])$/, "$1\n");
  assert.match(shown, patternOf(expected), command);
}

/** Runs the server's line with a free port, until it is stopped. */
async function startServer(line: string): Promise<{ address: string; stop: () => Promise<void> }> {
  const words = line.split(" ");
  assert.equal(words[0], "kvix");
  const child = spawn(process.execPath, [commandPath, ...words.slice(1)], {
    cwd: folder.path,
    env: { ...plainEnvironment(), KVIX_LISTEN: "127.0.0.1:0" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const address = await new Promise<string>((resolve, reject) => {
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      log += text;
      const serving = /^.*"msg":"serving".*$/m.exec(log)?.[0];
      if (serving !== undefined) resolve(String(JSON.parse(serving).address));
    });
    void exited.then(() => reject(new Error(`the server ended: ${log}`)));
  });
  return {
    address,
    stop: () => {
      child.kill("SIGTERM");
      return exited;
    },
  };
}

/** Compiles a program as a user of the package would, runs it, and gives its lines. */
function runProgramText(text: string): string[] {
  const modules = join(folder.path, "node_modules");
  mkdirSync(join(modules, "@types"), { recursive: true });
  symlinkSync(repositoryRoot, join(modules, "kvix"));
  const nodeTypes = join(repositoryRoot, "node_modules", "@types", "node");
  symlinkSync(nodeTypes, join(modules, "@types", "node"));
  writeFileSync(join(folder.path, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder.path, "tour.ts"), text);
  const compiler = join(repositoryRoot, "node_modules", ".bin", "tsc");
  const options = ["--strict", "--target", "ES2022", "--module", "NodeNext", "--types", "node"];
  const lib = ["--lib", "ES2023,ESNext.Disposable", "--skipLibCheck"];
  const compiled = spawnSync(compiler, [...options, ...lib, "tour.ts"], {
    cwd: folder.path,
    encoding: "utf8",
  });
  assert.equal(compiled.status, 0, compiled.stdout);
  const { status, stdout, stderr } = spawnSync(process.execPath, ["tour.js"], {
    cwd: folder.path,
    encoding: "utf8",
  });
  assert.equal(status, 0, stderr);
  return stdout.trim().split("\n");
}
