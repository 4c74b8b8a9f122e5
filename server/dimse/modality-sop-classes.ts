/** Which SOP classes series of a modality are likely to have instances of (PS3.3 C.7.3.1.1.1, PS3.4 B.5). */

const root = "1.2.840.10008.5.1.4.1.1.";

/** Secondary captures, reports, key objects, presentation states, encapsulated PDF: what any study may have. */
const everywhere = ["7", "88.11", "88.22", "88.33", "88.59", "88.67", "11.1", "104.1", "7.2", "7.4"];

/** Below the root. A series is of one modality, and most are of the first class. */
const byModality: Readonly<Record<string, readonly string[]>> = {
  CR: ["1"],
  DX: ["1.1", "1.1.1"],
  MG: ["1.2", "1.2.1", "13.1.3", "13.1.4", "13.1.5"],
  IO: ["1.3", "1.3.1"],
  PX: ["1.1", "1.1.1"],
  CT: ["2", "2.1", "2.2"],
  MR: ["4", "4.1", "4.2", "4.3", "4.4"],
  US: ["6.1", "3.1", "6.2", "6", "3"],
  IVUS: ["3.1", "6.1"],
  NM: ["20", "5"],
  PT: ["128", "130", "128.1"],
  XA: ["12.1", "12.1.1", "13.1.1"],
  RF: ["12.2", "12.2.1"],
  ES: ["77.1.1", "77.1.1.1"],
  GM: ["77.1.2", "77.1.2.1"],
  SM: ["77.1.6", "77.1.3"],
  XC: ["77.1.4", "77.1.4.1"],
  OP: ["77.1.5.1", "77.1.5.2", "77.1.5.4"],
  OPT: ["77.1.5.4"],
  OT: ["7", "7.1", "7.2", "7.3", "7.4"],
  SC: ["7", "7.1", "7.2", "7.3", "7.4"],
  RTIMAGE: ["481.1"],
  RTDOSE: ["481.2"],
  RTSTRUCT: ["481.3"],
  RTPLAN: ["481.5", "481.8"],
  RTRECORD: ["481.4", "481.6", "481.7", "481.9"],
  REG: ["66.1", "66.3"],
  SEG: ["66.4", "66.7"],
  PR: ["11.1", "11.2", "11.3", "11.4"],
  KO: ["88.59"],
  SR: ["88.11", "88.22", "88.33", "88.34", "88.50", "88.65", "88.67", "88.71"],
  DOC: ["104.1", "104.2"],
  ECG: ["9.1.1", "9.1.2", "9.1.3"],
  HD: ["9.2.1"],
  AU: ["9.4.1", "9.4.2"],
};

/** UIDs for series of `modalities`; undefined when one of them is not in the table. */
export function likelySopClasses(modalities: Iterable<string>): readonly string[] | undefined {
  const likely = new Set<string>();
  for (const modality of modalities) {
    const own = byModality[modality];
    if (!own) return undefined;
    for (const part of own) likely.add(root + part);
  }
  for (const part of everywhere) likely.add(root + part);
  return [...likely];
}
