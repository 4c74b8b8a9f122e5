/** The state table, held against Table 9-10 as the standard prints it: events down, states across. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Event, type State, transition } from "../../server/dimse/state-table.ts";

const states = Array.from({ length: 13 }, (_, index): State => stateOf(index + 1));

/** PS3.8 Table 9-10; `-` is an empty cell. */
const printed = `
  Evt1   AE-1  -     -     -     -     -     -     -     -     -     -     -     -
  Evt2   -     -     -     AE-2  -     -     -     -     -     -     -     -     -
  Evt3   -     AA-1  AA-8  -     AE-3  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
  Evt4   -     AA-1  AA-8  -     AE-4  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
  Evt5   AE-5  -     -     -     -     -     -     -     -     -     -     -     -
  Evt6   -     AE-6  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
  Evt7   -     -     AE-7  -     -     -     -     -     -     -     -     -     -
  Evt8   -     -     AE-8  -     -     -     -     -     -     -     -     -     -
  Evt9   -     -     -     -     -     DT-1  -     AR-7  -     -     -     -     -
  Evt10  -     AA-1  AA-8  -     AA-8  DT-2  AR-6  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
  Evt11  -     -     -     -     -     AR-1  -     -     -     -     -     -     -
  Evt12  -     AA-1  AA-8  -     AA-8  AR-2  AR-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-6
  Evt13  -     AA-1  AA-8  -     AA-8  AA-8  AR-3  AA-8  AA-8  AR-10 AR-3  AA-8  AA-6
  Evt14  -     -     -     -     -     -     -     AR-4  AR-9  -     -     AR-4  -
  Evt15  -     -     AA-1  AA-2  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  AA-1  -
  Evt16  -     AA-2  AA-3  -     AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-3  AA-2
  Evt17  -     AA-5  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AA-4  AR-5
  Evt18  -     AA-2  -     -     -     -     -     -     -     -     -     -     AA-2
  Evt19  -     AA-1  AA-8  -     AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-8  AA-7
`;

/** Where each action leads (PS3.8 Tables 9-6 to 9-9); of AE-6 and AR-8 the first of two. */
const nextStates: Readonly<Record<string, State>> = {
  "AE-1": "Sta4",
  "AE-2": "Sta5",
  "AE-3": "Sta6",
  "AE-4": "Sta1",
  "AE-5": "Sta2",
  "AE-6": "Sta3",
  "AE-7": "Sta6",
  "AE-8": "Sta13",
  "DT-1": "Sta6",
  "DT-2": "Sta6",
  "AR-1": "Sta7",
  "AR-2": "Sta8",
  "AR-3": "Sta1",
  "AR-4": "Sta13",
  "AR-5": "Sta1",
  "AR-6": "Sta7",
  "AR-7": "Sta8",
  "AR-8": "Sta9",
  "AR-9": "Sta11",
  "AR-10": "Sta12",
  "AA-1": "Sta13",
  "AA-2": "Sta1",
  "AA-3": "Sta1",
  "AA-4": "Sta1",
  "AA-5": "Sta1",
  "AA-6": "Sta13",
  "AA-7": "Sta13",
  "AA-8": "Sta13",
};

function stateOf(number: number): State {
  const name = `Sta${number}`;
  assert.ok(isState(name));
  return name;
}

function isState(name: string): name is State {
  return /^Sta([1-9]|1[0-3])$/.test(name);
}

function isEvent(name: string): name is Event {
  return /^Evt([1-9]|1[0-9])$/.test(name);
}

describe("state table", () => {
  const rows = printed
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/));

  it("has every event", () => {
    assert.deepEqual(
      rows.map(([event]) => event),
      Array.from({ length: 19 }, (_, index) => `Evt${index + 1}`),
    );
  });

  for (const [event = "", ...cells] of rows) {
    it(`is that of the standard for ${event}`, () => {
      assert.ok(isEvent(event));
      const expected = cells.map((action) => (action === "-" ? undefined : { action, next: nextStates[action] }));
      assert.deepEqual(
        states.map((state) => transition(state, event)),
        expected,
      );
    });
  }
});
