/** Which victims are chosen of which segments. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import {
  type Choice,
  chooseVictims,
  isBehind,
  type PolicyInput,
} from "../../../src/engine/compaction/policy.js";
import { full, segments, store } from "../../support/policy-input.js";

const victims = (...ids: readonly number[]): Choice => ({ kind: "victims", ids });
const nothing: Choice = { kind: "nothing" };

interface Row {
  readonly of: string;
  readonly input: PolicyInput;
  readonly choice: Choice;
}

const rows: readonly Row[] = [
  { of: "a store without segments", input: store([]), choice: nothing },
  { of: "segments that live wholly", input: store(segments({}, {}, {})), choice: nothing },
  {
    of: "small segments that live wholly",
    input: store(segments({ bytes: 1, liveBytes: 1 }, { bytes: 1, liveBytes: 1 })),
    choice: nothing,
  },
  {
    of: "tombstones that still hide something",
    input: store(segments({ liveBytes: 0, keptBytes: full }, {})),
    choice: nothing,
  },
  {
    of: "segments of which less than a tenth is dead",
    input: store(segments({ liveBytes: 901 }, { liveBytes: 901 })),
    choice: nothing,
  },
  {
    of: "a segment of which a tenth is dead",
    input: store(segments({}, { liveBytes: 900 }, {})),
    choice: victims(1),
  },
  {
    of: "wholly dead segments beside better victims, and without room",
    input: store(segments({ liveBytes: 0 }, { liveBytes: 1 }, { liveBytes: 0 }), { roomBytes: 0 }),
    choice: victims(0, 2),
  },
  {
    of: "wholly dead segments although dead bytes are within their share",
    input: store(segments({}, {}, {}, { liveBytes: 0 }), { extent: "due" }),
    choice: victims(3),
  },
  {
    of: "dead bytes within their share",
    input: store(segments({ liveBytes: 400 }, {}, {}), { extent: "due", deadPercent: 20 }),
    choice: nothing,
  },
  {
    of: "dead bytes above their share",
    input: store(segments({ liveBytes: 400 }, {}, {}), { extent: "due", deadPercent: 19 }),
    choice: victims(0),
  },
  {
    of: "dead bytes above their share that lie in segments which are no candidates",
    input: store(segments({ liveBytes: 860 }, {}), { extent: "due", storeBytes: 10 * full }),
    choice: nothing,
  },
  {
    of: "two segments of one age: the one with more dead bytes",
    input: store(segments({ liveBytes: 700 }, { liveBytes: 600, highestVersion: 100 }, {})),
    choice: victims(1),
  },
  {
    of: "two segments nearly as dead as each other: the older one",
    input: store(segments({ liveBytes: 720 }, {}, {}, { liveBytes: 700 }, {})),
    choice: victims(0),
  },
  {
    of: "an output of old versions, made after a younger piece of the log",
    input: store(
      segments(
        { liveBytes: 700 },
        {},
        { liveBytes: 700, lowestVersion: 1, highestVersion: 50, isCompacted: true },
        {},
      ),
    ),
    choice: victims(0),
  },
  {
    of: "victims of similar age that fit into one output, when all will go",
    input: store(segments({}, {}, {}, {}, { liveBytes: 300 }, { liveBytes: 600 }, {}, {})),
    choice: victims(4, 5),
  },
  {
    of: "victims of similar age, one of them worth less, when it may be left",
    input: store(segments({}, {}, {}, {}, { liveBytes: 300 }, { liveBytes: 600 }, {}, {}), {
      extent: "due",
      deadPercent: 10,
    }),
    choice: victims(4),
  },
  {
    of: "victims of similar age and worth, when they may be left",
    input: store(segments({}, {}, {}, {}, { liveBytes: 300 }, { liveBytes: 265 }, {}, {}), {
      extent: "due",
      deadPercent: 10,
    }),
    choice: victims(4, 5),
  },
  {
    of: "victims of which two do not fit into one output",
    input: store(segments({}, {}, {}, {}, { liveBytes: 510 }, { liveBytes: 491 }, {}, {})),
    choice: victims(4),
  },
  {
    of: "kept tombstones: they need room as live records do",
    input: store(
      segments({}, {}, {}, {}, { liveBytes: 300, keptBytes: 210 }, { liveBytes: 491 }, {}, {}),
    ),
    choice: victims(4),
  },
  {
    of: "equal victims of very different age: hot and cold stay apart",
    input: store(segments({ liveBytes: 400 }, {}, {}, {}, {}, {}, {}, {}, { liveBytes: 105 }, {})),
    choice: victims(8),
  },
  {
    of: "a victim larger than a segment",
    input: store(segments({ bytes: 5 * full, liveBytes: 3 * full }, {})),
    choice: victims(0),
  },
  {
    of: "little room: the victim that fits, though it is worth less",
    input: store(segments({ liveBytes: 600 }, { liveBytes: 590 }, { bytes: 90, liveBytes: 80 }), {
      roomBytes: 100,
    }),
    choice: victims(2),
  },
  {
    of: "no room for any: what the cheapest needs",
    input: store(segments({ liveBytes: 600 }, { liveBytes: 400, keptBytes: 90 }, {}), {
      roomBytes: 489,
    }),
    choice: { kind: "no-room", neededBytes: 490 },
  },
];

for (const { of, input, choice } of rows) {
  test(`M7, M8: chosen of ${of}: ${JSON.stringify(choice)}`, () => {
    assert.deepEqual(chooseVictims(input), choice);
  });
}

test("M7: small segments go along with a victim only when there are many", () => {
  const small = Array.from({ length: 12 }, () => ({ bytes: 10, liveBytes: 10 }));
  const few = chooseVictims(store(segments({ liveBytes: 100 }, ...small.slice(0, 5))));
  assert.deepEqual(few, victims(0));
  const many = chooseVictims(store(segments({ liveBytes: 100 }, ...small)));
  assert.equal(many.kind === "victims" && many.ids.length, 13);
  const none = chooseVictims(store(segments({ liveBytes: 9 }, ...small)));
  assert.deepEqual(none, victims(0), "none is larger than what has been gathered");
});

test("V11: as many segments as there can be are no more than a pass over them", () => {
  let looks = 0;
  const candidates = segments(...Array.from({ length: 65_536 }, () => ({ liveBytes: 15 }))).map(
    (each) =>
      new Proxy(each, {
        get: (segment, name) => {
          looks += 1;
          return Reflect.get(segment, name);
        },
      }),
  );
  const input = store(segments());
  const choice = chooseVictims({
    ...input,
    candidates,
    storeVersion: 1,
    storeBytes: 65_536 * full,
  });
  assert.equal(choice.kind === "victims" && choice.ids.length, 32);
  assert.ok(looks < 65_536 * 40, `${looks} looks`);
});

test("M14: compaction is behind when more is dead than half way from what may be to all, where there is something to copy", () => {
  const behind = (...liveBytes: readonly number[]): boolean =>
    isBehind({
      ...store(segments(...liveBytes.map((each) => ({ liveBytes: each })))),
      deadPercent: 30,
    });
  assert.equal(behind(), false);
  assert.equal(behind(350), false);
  assert.equal(behind(349), true);
  assert.equal(behind(349, 351), false);
  assert.equal(behind(0, 0, 0, 350), false);
});
