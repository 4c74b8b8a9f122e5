/** C-FIND as a test asks it: one association, identifiers as JSON, every response. */
import assert from "node:assert/strict";
import type { DicomJson, JsonValue } from "../../server/dicom/json.ts";
import { entryOfKeyword, tagHex } from "../../server/dicom/dictionary.ts";
import type { Association } from "../../server/dimse/association.ts";
import { commandFields } from "../../server/dimse/command.ts";
import { connect } from "../../server/dimse/connect.ts";
import { encodeIdentifier, gatherIdentifier, readIdentifier } from "../../server/dimse/identifier.ts";

export const patientRoot = "1.2.840.10008.5.1.4.1.2.1.1";
export const studyRoot = "1.2.840.10008.5.1.4.1.2.2.1";
export const patientStudyOnly = "1.2.840.10008.5.1.4.1.2.3.1";
export const implicitVrLittleEndian = "1.2.840.10008.1.2";

/** What a peer answered to one request. */
export interface FindResult {
  readonly status: number | undefined;
  readonly offendingElements: readonly string[];
  readonly errorComment: string | undefined;
  /** Statuses of the pending responses, each once. */
  readonly pending: readonly (number | undefined)[];
  readonly answers: readonly DicomJson[];
  /** Specific Character Set of the answers, in their order. */
  readonly characterSets: readonly (readonly string[])[];
}

export interface FindClient {
  readonly association: Association;
  /** Asks and reads every response. */
  find(asked: DicomJson, options?: FindOptions): Promise<FindResult>;
  close(): Promise<void>;
}

export interface FindOptions {
  readonly characterSet?: readonly string[];
  /** Sends C-CANCEL-RQ when so many answers have come. */
  readonly cancelAfter?: number;
  /** Bytes to send instead of the identifier. */
  readonly bytes?: Buffer;
}

/**
 * An association for one SOP class of C-FIND.
 * @param negotiation Service Class Application Information (PS3.4 C.5.1.1); none: without extended negotiation
 */
export async function findClient(
  port: number,
  sopClassUid: string,
  negotiation: readonly number[] = [],
  transferSyntaxUid = implicitVrLittleEndian,
): Promise<FindClient> {
  const serviceClassApplicationInformation = Buffer.from(negotiation);
  const association = await connect(
    { aeTitle: "NOCTIS", host: "127.0.0.1", port },
    {
      callingAeTitle: "TEST",
      contexts: [{ abstractSyntaxUid: sopClassUid, transferSyntaxUids: [transferSyntaxUid] }],
      extendedNegotiations: negotiation.length === 0 ? [] : [{ sopClassUid, serviceClassApplicationInformation }],
    },
  );
  const [context] = association.contexts.values();
  assert.ok(context, `${sopClassUid} in ${transferSyntaxUid} is accepted`);
  return {
    association,
    find: async (asked, { characterSet, cancelAfter, bytes } = {}) => {
      const messageId = association.nextMessageId();
      const command = {
        commandField: commandFields.cFindRequest,
        messageId,
        affectedSopClassUid: sopClassUid,
        priority: 0,
      };
      const dataSet = bytes ?? encodeIdentifier(asked, transferSyntaxUid, characterSet);
      const pending = new Set<number | undefined>();
      const answers: DicomJson[] = [];
      const characterSets: (readonly string[])[] = [];
      for await (const response of association.invoke({ context, command, dataSet })) {
        const { status, offendingElements = [], errorComment, affectedSopClassUid } = response.command;
        assert.equal(affectedSopClassUid, sopClassUid);
        if (!response.dataSet) {
          return { status, offendingElements, errorComment, pending: [...pending], answers, characterSets };
        }
        pending.add(status);
        const read = readIdentifier(await gatherIdentifier(response.dataSet), transferSyntaxUid);
        answers.push(read.json);
        characterSets.push(read.characterSet);
        if (answers.length === cancelAfter) await association.cancel(context, messageId);
      }
      return assert.fail("there was no final response");
    },
    close: () => association.release(),
  };
}

/** An identifier from keywords: a text is one value, a list several, an object an item, nothing a return key. */
export function identifier(level: string, keys: Readonly<Record<string, KeyValue>>): DicomJson {
  return { "00080052": { vr: "CS", Value: [level] }, ...attributes(keys) };
}

export type KeyValue = string | readonly string[] | { readonly [keyword: string]: KeyValue };

function attributes(keys: Readonly<Record<string, KeyValue>>): DicomJson {
  const json: DicomJson = {};
  for (const [keyword, value] of Object.entries(keys)) {
    const entry = entryOfKeyword(keyword);
    assert.ok(entry, keyword);
    const values = typeof value === "string" ? [value].filter((text) => text !== "") : value;
    const { vr } = entry;
    const written: JsonValue[] = isList(values) ? values.map((text) => writtenValue(vr, text)) : [attributes(values)];
    json[tagHex(entry.tag)] = written.length === 0 ? { vr } : { vr, Value: written };
  }
  return json;
}

function isList(value: KeyValue): value is readonly string[] {
  return Array.isArray(value);
}

function writtenValue(vr: string, text: string): JsonValue {
  if (vr !== "PN") return text;
  const [alphabetic, ideographic, phonetic] = text.split("=");
  return {
    ...(alphabetic && { Alphabetic: alphabetic }),
    ...(ideographic && { Ideographic: ideographic }),
    ...(phonetic && { Phonetic: phonetic }),
  };
}

/** The first value of an attribute of an answer, a name as its alphabetic group. */
export function valueOf(answer: DicomJson | undefined, keyword: string): unknown {
  const entry = entryOfKeyword(keyword);
  assert.ok(entry, keyword);
  const value = answer?.[tagHex(entry.tag)]?.Value?.[0];
  return typeof value === "object" && value !== null && "Alphabetic" in value ? value.Alphabetic : value;
}
