/** The hours in which compaction may run by itself: what is one, what is inside, when the next begins. */
import { strict as assert } from "node:assert";
import { test } from "node:test";
import { type DailyWindow, parseWindow } from "../../../src/engine/compaction/window.js";

const minuteMs = 60_000;
const dayMs = 24 * 60 * minuteMs;

/** An instant of the day after `day` whole ones. */
function at(time: string, day = 20_000): number {
  const [hours, minutes, seconds = "0"] = time.split(":");
  return day * dayMs + (Number(hours) * 60 + Number(minutes)) * minuteMs + Number(seconds) * 1000;
}

function windowOf(text: string): DailyWindow {
  const window = parseWindow(text);
  assert.ok(window, text);
  return window;
}

test("a window has its start inside and its end outside, over midnight too", () => {
  const cases: readonly [string, readonly string[], readonly string[]][] = [
    ["", ["0:00", "12:00", "23:59:59"], []],
    ["0-24", ["0:00", "12:00", "23:59:59"], []],
    ["22-6", ["22:00", "23:59:59", "0:00", "5:59:59"], ["6:00", "12:00", "21:59:59"]],
    ["22-0", ["22:00", "23:59:59"], ["0:00", "21:59:59"]],
    ["22-24", ["22:00", "23:59:59"], ["0:00", "21:59:59"]],
    ["1-05", ["1:00", "4:59:59"], ["0:59:59", "5:00"]],
    ["22:30-6:15", ["22:30", "6:14:59"], ["22:29:59", "6:15"]],
    ["12:00-11:59", ["12:00", "0:00", "11:58:59"], ["11:59", "11:59:59"]],
  ];
  for (const [text, inside, outside] of cases) {
    const window = windowOf(text);
    for (const day of [20_000, 0, -1]) {
      for (const time of inside) assert.ok(window.isInside(at(time, day)), `${text} at ${time}`);
      for (const time of outside) assert.ok(!window.isInside(at(time, day)), `${text} at ${time}`);
    }
  }
});

test("the next start is now if now is inside, else the start of today or tomorrow", () => {
  const night = windowOf("22-6");
  assert.equal(night.nextStartMs(at("23:10")), at("23:10"));
  assert.equal(night.nextStartMs(at("5:59:59")), at("5:59:59"));
  assert.equal(night.nextStartMs(at("6:00")), at("22:00"));
  const morning = windowOf("4:30-5");
  assert.equal(morning.nextStartMs(at("1:00")), at("4:30"));
  assert.equal(morning.nextStartMs(at("5:00")), at("4:30", 20_001));
  assert.equal(windowOf("").nextStartMs(at("7:07")), at("7:07"));
});

test("anything else is not a window", () => {
  const wrong = ["22", "22-", "-6", "6-6", "0-0", "24-6", "24-24", "22-25", "0-24:01", "1:60-2"];
  const alsoWrong = [
    "22 - 6",
    "22-6 ",
    "22-6\n",
    "22:5-6",
    "a-b",
    "1e1-2",
    "-1-5",
    "22-6-7",
    "٢-٦",
  ];
  for (const text of [...wrong, ...alsoWrong]) assert.equal(parseWindow(text), undefined, text);
});
