/** C-FIND, C-MOVE and C-GET (PS3.4 C.4) of checks, byte by byte. */
import { expect, expectEqual } from "../expect.ts";
import type { Instance } from "../instances.ts";
import type { Session } from "../session.ts";
import { type DataSet, transferSyntax, writeIdentifier } from "../write-dicom.ts";
import { Association } from "./association.ts";
import { type Command, field, request } from "./command.ts";
import { partsOf } from "./part10.ts";
import { type ReceivedInstance, storeResponse } from "./receiver.ts";

/** SOP classes of the query and retrieve information models (PS3.4 C.6). */
export const model = {
  patient: {
    find: "1.2.840.10008.5.1.4.1.2.1.1",
    move: "1.2.840.10008.5.1.4.1.2.1.2",
    get: "1.2.840.10008.5.1.4.1.2.1.3",
  },
  study: {
    find: "1.2.840.10008.5.1.4.1.2.2.1",
    move: "1.2.840.10008.5.1.4.1.2.2.2",
    get: "1.2.840.10008.5.1.4.1.2.2.3",
  },
} as const;

export type Model = keyof typeof model;
/** Query/Retrieve Level (0008,0052). */
export type Level = "PATIENT" | "STUDY" | "SERIES" | "IMAGE";

/** One answer of C-FIND: the text of each element, without padding, by tag. */
export type Match = ReadonlyMap<string, string>;

/** The Identifier of a request. */
export function identifier(level: string, keys: DataSet): Buffer {
  return writeIdentifier({ "00080052:CS": level, ...keys });
}

/** A C-FIND: its matches, and the status that ends it. */
export async function find(
  session: Session,
  root: Model,
  level: string,
  keys: DataSet,
): Promise<{ readonly matches: readonly Match[]; readonly status: number }> {
  const sopClass = model[root].find;
  const contexts = [{ id: 1, abstractSyntax: sopClass, transferSyntaxes: [transferSyntax.implicitLittle] }];
  const association = await Association.open(session.dimse, contexts);
  const command = { [field.command]: request.find, [field.affectedSopClass]: sopClass, [field.priority]: 0 };
  const responses = await association.exchange(command, identifier(level, keys));
  await association.release();
  const matches = responses.slice(0, -1).map(({ dataSet }) => textsOf(dataSet ?? Buffer.alloc(0)));
  return { matches, status: Number(responses.at(-1)?.command[field.status]) };
}

/** The same, which must succeed; the values of one attribute, in ascending order. */
export async function found(
  session: Session,
  root: Model,
  level: Level,
  keys: DataSet,
  tag: string,
): Promise<string[]> {
  const { matches, status } = await find(session, root, level, keys);
  expectEqual(status, 0, "The status of C-FIND");
  return matches.map((match) => match.get(tag) ?? "").toSorted();
}

/** A C-MOVE; its responses. */
export async function move(
  session: Session,
  root: Model,
  level: Level,
  keys: DataSet,
  destination: string,
): Promise<readonly Command[]> {
  const sopClass = model[root].move;
  const contexts = [{ id: 1, abstractSyntax: sopClass, transferSyntaxes: [transferSyntax.implicitLittle] }];
  const association = await Association.open(session.dimse, contexts);
  const command = {
    [field.command]: request.move,
    [field.affectedSopClass]: sopClass,
    [field.priority]: 0,
    [field.moveDestination]: destination,
    [field.messageId]: 42,
  };
  const responses = await association.exchange(command, identifier(level, keys));
  await association.release();
  return responses.map((response) => response.command);
}

/** A C-GET with contexts for `instances`: what came, and the last response with its data set. */
export async function get(
  session: Session,
  level: Level,
  keys: DataSet,
  instances: readonly Pick<Instance, "sopClassUid" | "transferSyntaxUid">[],
): Promise<{ readonly received: readonly ReceivedInstance[]; readonly command: Command; readonly dataSet: Buffer }> {
  const sopClass = model.study.get;
  const offered = instances.map(({ sopClassUid, transferSyntaxUid }, index) => ({
    id: index * 2 + 3,
    abstractSyntax: sopClassUid,
    transferSyntaxes: [transferSyntaxUid],
  }));
  const roles = [...new Set(instances.map(({ sopClassUid }) => sopClassUid))].map((uid) => ({
    sopClass: uid,
    scu: false,
    scp: true,
  }));
  const contexts = [{ id: 1, abstractSyntax: sopClass, transferSyntaxes: [transferSyntax.implicitLittle] }, ...offered];
  const association = await Association.open(session.dimse, contexts, { roles });
  const command = { [field.command]: request.get, [field.affectedSopClass]: sopClass, [field.priority]: 0 };
  await association.send(command, identifier(level, keys), 1);
  const received: ReceivedInstance[] = [];
  for (;;) {
    const message = await association.receive();
    const { dataSet = Buffer.alloc(0) } = message;
    if (message.command[field.command] !== request.store) {
      if (message.command[field.status] === 0xff00) continue;
      await association.release();
      return { received, command: message.command, dataSet };
    }
    received.push({
      sopClassUid: String(message.command[field.affectedSopClass]),
      sopInstanceUid: String(message.command[field.affectedSopInstance]),
      transferSyntaxUid: offered.find(({ id }) => id === message.contextId)?.transferSyntaxes[0] ?? "",
      dataSet,
      command: message.command,
    });
    await association.send(storeResponse(message.command), undefined, message.contextId);
  }
}

/** Expects these instances and no others, each in its transfer syntax with the bytes of its data set. */
export function expectInstances(received: readonly ReceivedInstance[], instances: readonly Instance[]): void {
  const wanted = instances.map(({ sopInstanceUid }) => sopInstanceUid).toSorted();
  expectEqual(received.map(({ sopInstanceUid }) => sopInstanceUid).toSorted(), wanted, "What came");
  for (const { sopInstanceUid, sopClassUid, transferSyntaxUid, file } of instances) {
    const one = received.find((candidate) => candidate.sopInstanceUid === sopInstanceUid);
    expectEqual([one?.sopClassUid, one?.transferSyntaxUid], [sopClassUid, transferSyntaxUid], "Class and syntax");
    expect(one?.dataSet.equals(partsOf(file).dataSet) === true, `The data set of ${sopInstanceUid} is another.`);
  }
}

/** The keys of an instance down to a level. */
export function keysOf({ studyInstanceUid, seriesInstanceUid, sopInstanceUid }: Instance, level: Level): DataSet {
  return {
    StudyInstanceUID: studyInstanceUid,
    ...(level !== "STUDY" && { SeriesInstanceUID: seriesInstanceUid }),
    ...(level === "IMAGE" && { SOPInstanceUID: sopInstanceUid }),
  };
}

/** Elements of a data set in implicit VR little endian; those of items stand in none of them. */
function textsOf(dataSet: Buffer): Match {
  const texts = new Map<string, string>();
  for (let at = 0; at + 8 <= dataSet.length;) {
    const tag = `${hex(dataSet.readUInt16LE(at))}${hex(dataSet.readUInt16LE(at + 2))}`;
    const length = dataSet.readUInt32LE(at + 4);
    const value = dataSet.subarray(at + 8, at + 8 + length);
    texts.set(tag, value.toString("utf8").replace(/[\0 ]+$/, ""));
    at += 8 + length;
  }
  return texts;
}

function hex(value: number): string {
  return value.toString(16).toUpperCase().padStart(4, "0");
}
