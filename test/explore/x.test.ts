/** explore */

import { connect as netConnect } from "node:net";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { KvService } from "../../gen/kvix/v1/kvix_pb.js";
import { RpcClient } from "../../src/rpc/client.js";
import { GET, MIB, Scene, SET } from "../service/abuse.js";
import { endingOf, framed, messagePrefix, rawCall, rawConnection } from "../support/raw-grpc.js";

const { set } = KvService.method;
const say = (...a: unknown[]) =>
  process.stderr.write(
    a.map((x) => (typeof x === "string" ? x : JSON.stringify(x))).join(" ") + "\n",
  );
const tally = (ends: { status: number | undefined; resetCode: number }[]) => {
  const m: Record<string, number> = {};
  for (const e of ends) {
    const k = `s${e.status} r${e.resetCode}`;
    m[k] = (m[k] ?? 0) + 1;
  }
  return m;
};
const mb = (n: number) => `${Math.round(n / MIB)} MiB`;
const flags = process.env["F"]?.split(" ") ?? [];
test("bomb", async (t) => {
  const scene = await Scene.open(t, ...flags);
  const bomb = gzipSync(Buffer.alloc(200 * MIB));
  const r = await scene.during(async () => {
    const ends = [];
    for (let c = 0; c < 4; c++) {
      const s = rawConnection(t, scene.address);
      for (let i = 0; i < 64; i++) {
        const x = rawCall(s, SET, { "grpc-encoding": "gzip" });
        x.end(framed(bomb, true));
        ends.push(endingOf(x));
      }
    }
    say("bomb", tally(await Promise.all(ends)));
  });
  say("bomb", r, mb(scene.growthBytes));
});
test("4gib", async (t) => {
  const scene = await Scene.open(t, ...flags);
  const r = await scene.during(async () => {
    const ends = [];
    const s = rawConnection(t, scene.address);
    for (let i = 0; i < 200; i++) {
      const x = rawCall(s, SET);
      x.write(messagePrefix(0xffffffff));
      ends.push(endingOf(x));
    }
    say("4gib", tally(await Promise.all(ends)));
  });
  say("4gib", r, mb(scene.growthBytes));
});
test("reset", async (t) => {
  const scene = await Scene.open(t, ...flags);
  const r = await scene.during(async () => {
    for (let c = 0; c < 10; c++) {
      const s = rawConnection(t, scene.address);
      let n = 0,
        goaway: unknown;
      s.on("goaway", (code) => {
        goaway = code;
      });
      await new Promise<void>((resolve) => {
        s.on("close", resolve);
        const more = () => {
          for (let i = 0; i < 200 && !s.destroyed && !s.closed; i++) {
            const x = rawCall(s, SET);
            x.close(8);
            n++;
          }
          if (s.destroyed || s.closed || n > 20000) {
            resolve();
            return;
          }
          setImmediate(more);
        };
        s.on("connect", more);
      });
      if (c === 0) say("reset", n, goaway ?? "none", s.destroyed);
    }
  });
  say("reset", r, mb(scene.growthBytes));
});
test("headers", async (t) => {
  const scene = await Scene.open(t, ...flags);
  const r = await scene.during(async () => {
    const ends = [];
    const s = rawConnection(t, scene.address);
    for (let i = 0; i < 200; i++) {
      const x = rawCall(s, SET, { "x-big": "a".repeat(40_000) });
      x.end();
      ends.push(endingOf(x));
    }
    say("headers", tally(await Promise.all(ends)));
  });
  say("headers", r, mb(scene.growthBytes));
});
test("continuation", async (t) => {
  const scene = await Scene.open(t, ...flags);
  const r = await scene.during(async () => {
    const [h, p] = scene.address.split(":");
    const sock = netConnect(Number(p), h);
    const frame = (type: number, flagsByte: number, id: number, body: Buffer) => {
      const b = Buffer.alloc(9);
      b.writeUIntBE(body.length, 0, 3);
      b[3] = type;
      b[4] = flagsByte;
      b.writeUInt32BE(id, 5);
      return Buffer.concat([b, body]);
    };
    sock.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    sock.write(frame(4, 0, 0, Buffer.alloc(0)));
    const lit = Buffer.concat([
      Buffer.from([0x00, 0x01, 0x78, 0x7f, 0x80, 0x7d]),
      Buffer.alloc(16127, 97),
    ]);
    sock.write(frame(1, 0, 1, lit.subarray(0, 16000)));
    let sent = 0;
    sock.on("error", () => undefined);
    const closed = new Promise<void>((res) => sock.on("close", () => res()));
    sock.resume();
    const go = () => {
      while (!sock.destroyed && sent < 20000) {
        sent++;
        if (!sock.write(frame(9, 0, 1, lit))) {
          sock.once("drain", go);
          return;
        }
      }
    };
    go();
    await Promise.race([closed, new Promise((r2) => setTimeout(r2, 5000))]);
    say("continuation frames sent", sent, sock.destroyed);
    sock.destroy();
  });
  say("continuation", r, mb(scene.growthBytes));
});
test("slow", async (t) => {
  const scene = await Scene.open(t, "--message-timeout", "1000", ...flags);
  const start = performance.now();
  const r = await scene.during(async () => {
    const ends = [];
    const s = rawConnection(t, scene.address);
    for (let i = 0; i < 200; i++) {
      const x = rawCall(s, SET);
      x.write(messagePrefix(4 * MIB));
      x.write(Buffer.alloc(1));
      ends.push(endingOf(x));
    }
    const e = await Promise.all(ends);
    say("slow", tally(e), e[0]!);
  });
  say("slow", r, mb(scene.growthBytes), Math.round(performance.now() - start));
});
test("noread", async (t) => {
  const scene = await Scene.open(t, "--message-timeout", "1000", ...flags);
  await scene.client.call(set, { key: Buffer.from("big"), value: Buffer.alloc(4 * MIB - 200, 1) });
  const start = performance.now();
  const r = await scene.during(async () => {
    const ends: Promise<unknown>[] = [];
    for (let c = 0; c < 4; c++) {
      const s = rawConnection(t, scene.address, { initialWindowSize: 65535 });
      for (let i = 0; i < 256; i++) {
        const x = rawCall(s, GET);
        x.end(framed(Buffer.from([0x0a, 3, 98, 105, 103])));
        let status: unknown;
        x.on("response", (h) => {
          status = h["grpc-status"];
        });
        ends.push(
          new Promise((res) =>
            x.once("close", () =>
              res({
                status: status === undefined ? undefined : Number(status),
                resetCode: x.rstCode ?? 0,
              }),
            ),
          ),
        );
        if (i > 200) x.resume();
      }
    }
    say("noread", tally((await Promise.all(ends)) as never));
  });
  say("noread", r, mb(scene.growthBytes), Math.round(performance.now() - start));
});
test("64 clients", async (t) => {
  const scene = await Scene.open(t, ...flags);
  const start = performance.now();
  const m: Record<string, number> = {};
  const r = await scene.during(async () => {
    await Promise.all(
      Array.from({ length: 64 }, async (_, i) => {
        const c = new RpcClient(scene.address, { "grpc.use_local_subchannel_pool": 1 });
        t.after(() => c.close());
        for (let k = 0; k < 4; k++) {
          const a = await c
            .call(set, { key: Buffer.from(`c${i}-${k}`), value: Buffer.alloc(4 * MIB - 200, i) })
            .then(
              () => "ok",
              (e) => String(e.message).slice(0, 60),
            );
          m[a] = (m[a] ?? 0) + 1;
        }
      }),
    );
  });
  say("64 clients", r, mb(scene.growthBytes), m, Math.round(performance.now() - start));
});
test("idle", async (t) => {
  const scene = await Scene.open(t, ...flags);
  const r = await scene.during(async () => {
    const all = await Promise.all(
      Array.from(
        { length: 1000 },
        () =>
          new Promise((res) => {
            const s = rawConnection(t, scene.address);
            s.once("remoteSettings", () => res(s));
          }),
      ),
    );
    say("connected", all.length);
    await new Promise((res) => setTimeout(res, 2000));
  });
  say("idle", r, mb(scene.growthBytes), mb(scene.server.residentBytes()));
});
