/** Where the options of serve come from, and what counts more. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import { stringify } from "smol-toml";
import {
  configKeyOf,
  type ServeOption,
  serveOptionTable,
  variableOf,
} from "../../src/cli/serve-option-table.js";
import { readServeRequest, type ServeRequest } from "../../src/cli/serve-options.js";
import { jsonOf, run } from "../support/command-run.js";
import { makeFolder } from "../support/folder.js";

const folder = makeFolder();
after(() => folder.remove());

let files = 0;
function configFile(text: string): string {
  files += 1;
  const path = join(folder.path, `kvix-${files}.toml`);
  writeFileSync(path, text);
  return path;
}

interface Sources {
  readonly flags?: Readonly<Record<string, string | true>>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly strays?: readonly string[];
}

function request({ flags = {}, environment = {}, strays = [] }: Sources): Promise<ServeRequest> {
  return readServeRequest({ given: new Map(Object.entries(flags)), strays }, environment);
}

function effective({ effective: all }: ServeRequest, flag: string) {
  const found = all.find(({ option }) => option.flag === flag);
  assert.ok(found, flag);
  return { value: found.value, source: found.source };
}

function faultsOf({ faults }: ServeRequest): string[] {
  return faults.map(({ option, problem }) => `${option} ${problem}`);
}

/** A value of an option as somebody would write it, and as it comes out. */
interface Written {
  readonly text: string;
  readonly toml: string | number | boolean;
  readonly value: unknown;
}

function written({ rule, name }: ServeOption): fc.Arbitrary<Written> {
  const same = (text: string): Written => ({ text, toml: text, value: text });
  switch (rule.kind) {
    case "choice":
      return fc.constantFrom(...rule.choices.map(same));
    case "switch":
      return fc.boolean().map((value) => ({ text: String(value), toml: value, value }));
    case "number":
      return fc
        .integer({ min: rule.min, max: Math.min(rule.max, 2 ** 40) })
        .map((value) => ({ text: String(value), toml: value, value }));
    case "text":
      if (name === "listen") return fc.integer({ min: 0, max: 65_535 }).map((p) => same(`h:${p}`));
      if (name === "compactionWindow") return fc.constantFrom("22-6", "1:30-4").map(same);
      if (name.startsWith("tls")) return fc.constant(same(""));
      return fc
        .constantFrom("a", "b-c", "Z_9")
        .map((text) => same(name.endsWith("Dir") ? `/${text}` : text));
  }
}

test("a flag counts more than a variable, a variable more than the file, the file more than the default", async () => {
  const one = fc.constantFrom(...serveOptionTable).chain((option) =>
    fc.record({
      option: fc.constant(option),
      flag: fc.option(written(option)),
      variable: fc.option(written(option)),
      file: fc.option(written(option)),
    }),
  );
  const some = fc.uniqueArray(one, { maxLength: 6, selector: ({ option }) => option.flag });
  await fc.assert(
    fc.asyncProperty(some, async (given) => {
      const flags: Record<string, string> = {};
      const environment: Record<string, string> = {};
      const table: Record<string, string | number | boolean> = {};
      for (const { option, flag, variable, file } of given) {
        if (flag !== null) flags[option.flag] = flag.text;
        if (variable !== null) environment[variableOf(option)] = variable.text;
        if (file !== null) table[configKeyOf(option)] = file.toml;
      }
      const path = configFile(stringify(table));
      const asked = await request({ flags: { ...flags, "--config": path }, environment });
      assert.deepEqual(faultsOf(asked), []);
      for (const option of serveOptionTable) {
        const { flag, variable, file } = given.find((each) => each.option === option) ?? {};
        const { value, source } = effective(asked, option.flag);
        const winner = flag ?? variable ?? file;
        const expected =
          flag != null
            ? option.flag
            : variable != null
              ? variableOf(option)
              : file != null
                ? `${configKeyOf(option)} in ${path}`
                : "default";
        assert.equal(source, expected);
        if (winner != null && winner.value !== "") assert.equal(value, winner.value, option.flag);
      }
    }),
    { numRuns: 60 },
  );
});

test("sizes and times have units, in every source, and a bare number is the least unit", async () => {
  const cases: readonly (readonly [string, string, unknown])[] = [
    ["--segment-bytes-max", "1GiB", 2 ** 30],
    ["--segment-bytes-max", "536870912", 2 ** 29],
    ["--max-in-flight-bytes", "64MiB", 2 ** 26],
    ["--max-metadata-bytes", "8KiB", 8192],
    ["--flush-interval", "1s", 1000],
    ["--flush-interval", "250", 250],
    ["--drain-timeout", "1m30s", 90_000],
    ["--max-connection-age", "5h", 5 * 3_600_000],
    ["--max-connection-age", "unlimited", Number.MAX_SAFE_INTEGER],
    ["--max-connections", "7", 7],
    ["--compaction-interval", "5h", 5 * 3_600_000],
    ["--compaction-interval", "168h", 7 * 86_400_000],
    ["--compaction-dead-percent", "40", 40],
    ["--compaction-window", "22-6", "22-6"],
    ["--compaction-window", "22:30-6:15", "22:30-6:15"],
    ["--max-compaction-rate", "32MiB", 2 ** 25],
    ["--watch-retention", "1h30m", 5_400_000],
    ["--max-open-files", "900", 900],
  ];
  for (const [flag, text, value] of cases) {
    const option = serveOptionTable.find((each) => each.flag === flag);
    assert.ok(option, flag);
    const path = configFile(`${configKeyOf(option)} = ${JSON.stringify(text)}`);
    for (const sources of [
      { flags: { [flag]: text } },
      { environment: { [variableOf(option)]: text } },
      { environment: { KVIX_CONFIG: path } },
    ]) {
      const asked = await request(sources);
      assert.deepEqual(faultsOf(asked), []);
      assert.equal(effective(asked, flag).value, value, `${flag} ${text}`);
    }
  }
  for (const [flag, text] of [
    ["--segment-bytes-max", "1GB"],
    ["--segment-bytes-max", "1.5GiB"],
    ["--flush-interval", "1 second"],
    ["--flush-interval", "unlimited"],
    ["--max-connections", "7ms"],
    ["--trust-clock", "yes"],
    ["--compaction", "sometimes"],
    ["--compaction-window", "25-6"],
    ["--compaction-dead-percent", "33%"],
    ["--max-open-files", "many"],
  ] as const) {
    const [fault = ""] = faultsOf(await request({ flags: { [flag]: text } }));
    assert.ok(fault.startsWith(`${flag} is ${JSON.stringify(text)}; it must be`), fault);
  }
});

test("what is out of range is refused by option, value and range", async () => {
  for (const [flag, text, expected] of [
    ["--compaction-interval", "4h", "is 14400000; it must be a whole number of ms from 18000000"],
    ["--compaction-interval", "8d", "is 691200000; it must be a whole number of ms from 18000000"],
    [
      "--compaction-dead-percent",
      "91",
      "is 91; it must be a whole number of percent from 10 to 90",
    ],
    ["--max-compaction-rate", "1KiB", "is 1024; it must be a whole number of bytes from 1048576"],
    ["--watch-retention", "169h", "is 608400000; it must be a whole number of ms from 0 to"],
    ["--max-open-files", "3", "is 3; it must be a whole number of files from 16 to 65536"],
  ] as const) {
    const [fault = "", ...others] = faultsOf(await request({ flags: { [flag]: text } }));
    assert.deepEqual(others, []);
    assert.ok(fault.startsWith(`${flag} ${expected}`), fault);
  }
});

test("all faults of all sources are told at once, each by the place where it was written", async () => {
  const path = configFile('segment-bytes-max = 7\nsegment_prefix = "a"\nno-such-option = 1\n');
  const asked = await request({
    flags: { "--config": path, "--durability": "maybe" },
    environment: { KVIX_RECOVERY: "none", KVIX_LISTENS: "x", KVIX_TLS_CERT: "/c.pem" },
    strays: ["--frobnicate"],
  });
  assert.equal(asked.options, undefined);
  const faults = faultsOf(asked).join("\n");
  for (const expected of [
    /^--frobnicate is not an option of kvix serve$/m,
    /^segment_prefix in .*kvix-\d+\.toml is no option.*did you mean segment-prefix\?$/m,
    /^no-such-option in .* is no option of kvix serve$/m,
    /^KVIX_LISTENS is no variable of kvix$/m,
    /^segment-bytes-max in .* is 7; it must be a whole number of bytes from 536870912/m,
    /^KVIX_RECOVERY is "none"; it must be degraded or strict$/m,
    /^--durability is "maybe"; it must be sync or buffered$/m,
    /^KVIX_TLS_CERT needs --tls-key beside it$/m,
  ]) {
    assert.match(faults, expected);
  }
  assert.equal(asked.faults.length, 8);
});

test("what Kubernetes sets beside a service called kvix is nobody's mistake", async () => {
  const environment = {
    KVIX_SERVICE_HOST: "10.0.0.1",
    KVIX_SERVICE_PORT: "5849",
    KVIX_SERVICE_PORT_GRPC: "5849",
    KVIX_PORT: "tcp://10.0.0.1:5849",
    KVIX_PORT_5849_TCP: "tcp://10.0.0.1:5849",
    KVIX_PORT_5849_TCP_PROTO: "tcp",
    KVIX_PORT_5849_TCP_PORT: "5849",
    KVIX_PORT_5849_TCP_ADDR: "10.0.0.1",
    KVIX_HEADLESS_SERVICE_HOST: "10.0.0.2",
    KVIX_ENDPOINT: "127.0.0.1:5849",
  };
  assert.deepEqual(faultsOf(await request({ environment })), []);
  assert.equal((await request({ environment: { KVIX_PORTS: "1" } })).faults.length, 1);
});

test("a config file that cannot be read or is no TOML is told without its content", async () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    [join(folder.path, "gone.toml"), /cannot be read as a config file: ENOENT$/],
    [folder.path, /cannot be read as a config file: EISDIR$/],
    [configFile('listen = "secret'), /cannot be read as a config file: line 1, column \d+: /],
    [configFile('listen = "a:1"\nlisten = "b:2"\n'), /line 2/],
    [configFile("#".repeat(2 ** 20 + 1)), /it has more than 1048576 bytes$/],
  ];
  for (const [path, expected] of cases) {
    const faults = faultsOf(await request({ flags: { "--config": path } }));
    assert.equal(faults.length, 1);
    assert.match(faults[0] ?? "", expected);
    assert.doesNotMatch(faults[0] ?? "", /secret/);
  }
  const nested = configFile("[store]\ndata-dir = '/x'\n");
  assert.match(faultsOf(await request({ flags: { "--config": nested } })).join(), /^store in/);
  const wrong = configFile("data-dir = 5\ntrust-clock = 1\nflush-interval = 1.5\n");
  assert.equal((await request({ flags: { "--config": wrong } })).faults.length, 3);
});

test("kvix config check prints every option with its source, and ends with 2 if one is wrong", async () => {
  const path = configFile('durability = "buffered"\nflush-interval = "20ms"\n');
  const environment = { KVIX_FLUSH_INTERVAL: "30ms" };
  const dataDir = join(dirname(path), "data");
  const args = ["config", "check", "--config", path, "--data-dir", dataDir, "--json"];
  const good = await run(args, { environment });
  assert.equal(good.code, 0, good.stderr);
  const { ok, options } = jsonOf(good) as {
    ok: boolean;
    options: { option: string; value: unknown; source: string }[];
  };
  assert.equal(ok, true);
  assert.deepEqual(
    options.map(({ option }) => option),
    serveOptionTable.map(configKeyOf),
  );
  const of = (name: string) => options.find(({ option }) => option === name);
  assert.deepEqual(of("flush-interval"), {
    option: "flush-interval",
    value: 30,
    source: "KVIX_FLUSH_INTERVAL",
  });
  assert.deepEqual(of("durability")?.source, `durability in ${path}`);
  assert.deepEqual(of("segment-dir"), {
    option: "segment-dir",
    value: join(dataDir, "segments"),
    source: "default",
  });
  assert.equal(of("max-index-bytes")?.value, null);
  const bad = await run(["config", "check", "--durability", "x", "--listen", "y"]);
  assert.equal(bad.code, 2);
  assert.match(bad.stdout.toString(), /^durability +x +--durability$/m);
  assert.match(bad.stderr, /--durability is "x".*\n.*--listen is "y"/);
});
