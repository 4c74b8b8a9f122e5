/** Transactions about peers. None is of the standard. */
import { peerAnswer, peerPut, peerRequest, peersAnswer } from "./peers.ts";
import type { Transaction } from "./route.ts";
import { anyArchive, nothing } from "./transactions.ts";

const peers: Transaction = {
  ...nothing,
  area: "Peers",
  section: "peers",
  responseTypes: ["application/json"],
  statuses: [200, ...anyArchive],
};

/** Peers: the DICOM applications that the archive talks to by name. */
export const peersListed: Transaction = { ...peers, responseSchema: peersAnswer };
export const peerAdded: Transaction = {
  ...peers,
  requestTypes: ["application/json"],
  requestSchema: peerRequest,
  responseSchema: peerAnswer,
  statuses: [201, 400, 409, 413, 415, ...anyArchive],
};
export const peerRead: Transaction = { ...peers, responseSchema: peerAnswer, statuses: [200, 400, 404, ...anyArchive] };
export const peerReplaced: Transaction = {
  ...peerAdded,
  requestSchema: peerPut,
  statuses: [200, ...peerAdded.statuses],
};
export const peerRemoved: Transaction = {
  ...peers,
  responseTypes: [],
  statuses: [204, 400, 404, 409, ...anyArchive],
};
