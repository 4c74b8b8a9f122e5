/** The state table of the upper layer (PS3.8 Table 9-10), as data. */

/** States (PS3.8 Tables 9-1 to 9-5). */
export type State =
  | "Sta1"
  | "Sta2"
  | "Sta3"
  | "Sta4"
  | "Sta5"
  | "Sta6"
  | "Sta7"
  | "Sta8"
  | "Sta9"
  | "Sta10"
  | "Sta11"
  | "Sta12"
  | "Sta13";

/** Events, in the order of Table 9-10. */
export type Event =
  | "Evt1"
  | "Evt2"
  | "Evt3"
  | "Evt4"
  | "Evt5"
  | "Evt6"
  | "Evt7"
  | "Evt8"
  | "Evt9"
  | "Evt10"
  | "Evt11"
  | "Evt12"
  | "Evt13"
  | "Evt14"
  | "Evt15"
  | "Evt16"
  | "Evt17"
  | "Evt18"
  | "Evt19";

/** Actions (PS3.8 Tables 9-6 to 9-9). */
export type Action =
  | `AE-${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8}`
  | `DT-${1 | 2}`
  | `AR-${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10}`
  | `AA-${1 | 2 | 3 | 4 | 5 | 6 | 7 | 8}`;

type Cells = Readonly<Partial<Record<State, readonly [Action, State]>>>;

/** States in which an association is there, or is being opened or closed. */
const busy = ["Sta5", "Sta6", "Sta7", "Sta8", "Sta9", "Sta10", "Sta11", "Sta12"] as const;
const established = ["Sta3", ...busy] as const;

function cells(states: readonly State[], action: Action, next: State): Cells {
  return Object.fromEntries(states.map((state) => [state, [action, next]]));
}

/** A PDU that is not expected: refused where an association is there, passed over where one is closing. */
const unexpected: Cells = {
  Sta2: ["AA-1", "Sta13"],
  ...cells(established, "AA-8", "Sta13"),
  Sta13: ["AA-6", "Sta13"],
};

/** Table 9-10. Where AE-6 may reject at once (Sta13), the acceptor does so from Sta3 (AE-8). */
const table: Readonly<Record<Event, Cells>> = {
  Evt1: { Sta1: ["AE-1", "Sta4"] },
  Evt2: { Sta4: ["AE-2", "Sta5"] },
  Evt3: { ...unexpected, Sta5: ["AE-3", "Sta6"] },
  Evt4: { ...unexpected, Sta5: ["AE-4", "Sta1"] },
  Evt5: { Sta1: ["AE-5", "Sta2"] },
  Evt6: { ...unexpected, Sta2: ["AE-6", "Sta3"], Sta13: ["AA-7", "Sta13"] },
  Evt7: { Sta3: ["AE-7", "Sta6"] },
  Evt8: { Sta3: ["AE-8", "Sta13"] },
  Evt9: { Sta6: ["DT-1", "Sta6"], Sta8: ["AR-7", "Sta8"] },
  Evt10: { ...unexpected, Sta6: ["DT-2", "Sta6"], Sta7: ["AR-6", "Sta7"] },
  Evt11: { Sta6: ["AR-1", "Sta7"] },
  Evt12: { ...unexpected, Sta6: ["AR-2", "Sta8"], Sta7: ["AR-8", "Sta9"] },
  Evt13: { ...unexpected, Sta7: ["AR-3", "Sta1"], Sta10: ["AR-10", "Sta12"], Sta11: ["AR-3", "Sta1"] },
  Evt14: { Sta8: ["AR-4", "Sta13"], Sta9: ["AR-9", "Sta11"], Sta12: ["AR-4", "Sta13"] },
  Evt15: { Sta4: ["AA-2", "Sta1"], ...cells(established, "AA-1", "Sta13") },
  Evt16: { Sta2: ["AA-2", "Sta1"], ...cells(established, "AA-3", "Sta1"), Sta13: ["AA-2", "Sta1"] },
  Evt17: {
    Sta2: ["AA-5", "Sta1"],
    ...cells(established, "AA-4", "Sta1"),
    Sta4: ["AA-4", "Sta1"],
    Sta13: ["AR-5", "Sta1"],
  },
  Evt18: { Sta2: ["AA-2", "Sta1"], Sta13: ["AA-2", "Sta1"] },
  Evt19: { ...unexpected, Sta13: ["AA-7", "Sta13"] },
};

/** What an event does in a state; undefined where it cannot be. */
export function transition(state: State, event: Event): { readonly action: Action; readonly next: State } | undefined {
  const cell = table[event][state];
  return cell && { action: cell[0], next: cell[1] };
}
