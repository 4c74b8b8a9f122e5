/** Instances for scripted peers, and an association that stores while others are rude. */
import assert from "node:assert/strict";
import { newUid } from "../../server/dicom/uid.ts";
import { type Command, commandFields } from "../../server/dimse/command.ts";
import { encodeIdentifier } from "../../server/dimse/identifier.ts";
import type { AssociateRequest } from "../../server/dimse/pdu.ts";
import { associateRequest, commandPdu, dataPdu, secondaryCaptureSopClass, type TestDoor } from "./dimse.ts";
import { sendInstance, storeAssociation } from "./dimse-store.ts";
import { instanceFile } from "./instances.ts";

const explicitLittle = "1.2.840.10008.1.2.1";
const studyRootGet = "1.2.840.10008.5.1.4.1.2.2.3";

/** What is sent by hand. */
export interface Sent {
  readonly sopInstanceUid: string;
  readonly dataSet: Buffer;
  /** The C-STORE-RQ. */
  readonly command: Command;
}

/** An instance; of 256 KiB unless it is to be small. */
export function instance({ messageId = 1, isSmall = false, study = newUid() } = {}): Sent {
  const large = { Rows: 512, Columns: 512, PixelData: new ArrayBuffer(2 ** 18) };
  const { bytes, sopInstanceUid } = instanceFile({ ...(isSmall ? {} : large), StudyInstanceUID: study });
  return {
    sopInstanceUid,
    // Behind preamble, prefix, and the file meta information, whose first element tells its length.
    dataSet: bytes.subarray(144 + bytes.readUInt32LE(140)),
    command: {
      commandField: commandFields.cStoreRequest,
      messageId,
      affectedSopClassUid: secondaryCaptureSopClass,
      affectedSopInstanceUid: sopInstanceUid,
      priority: 0,
    },
  };
}

/** Stores so many instances of 256 KiB in one study, and gives the C-GET of it, for presentation context 5. */
export async function storeStudy(door: TestDoor, count: number): Promise<Buffer> {
  const study = newUid();
  const proposal = { sopClassUid: secondaryCaptureSopClass, transferSyntaxUid: explicitLittle };
  const good = await storeAssociation(door, proposal);
  for (let left = count; left > 0; left -= 1) {
    const { sopInstanceUid, dataSet } = instance({ study });
    const { status } = await sendInstance(good, { sopClassUid: secondaryCaptureSopClass, sopInstanceUid, dataSet });
    assert.equal(status, 0);
  }
  await good.association.release();
  const identifier = {
    "00080052": { vr: "CS", Value: ["STUDY"] },
    "0020000D": { vr: "UI", Value: [study] },
  };
  const command = {
    commandField: commandFields.cGetRequest,
    messageId: 1,
    affectedSopClassUid: studyRootGet,
    priority: 0,
  };
  const dataSet = encodeIdentifier(identifier, explicitLittle);
  return Buffer.concat([commandPdu(5, command, true), dataPdu(5, "data set", dataSet)]);
}

/** A request for an association on which images can be got by C-GET. */
export function getRequest(): AssociateRequest {
  const request = associateRequest({ callingAeTitle: "GETTER" });
  const { presentationContexts, userInformation } = request;
  const get = { id: 5, abstractSyntaxUid: studyRootGet, transferSyntaxUids: [explicitLittle] };
  const roles = [{ sopClassUid: secondaryCaptureSopClass, scuRole: false, scpRole: true }];
  return {
    ...request,
    presentationContexts: [...presentationContexts, get],
    userInformation: { ...userInformation, roles },
  };
}

/** Stores on an association of its own before, while and after `act`; all of it has to succeed. */
export async function besideStoring(door: TestDoor, act: () => Promise<void>): Promise<void> {
  const proposal = { sopClassUid: secondaryCaptureSopClass, transferSyntaxUid: explicitLittle };
  const good = await storeAssociation(door, proposal);
  const uids: string[] = [];
  const store = async () => {
    const { sopInstanceUid, dataSet } = instance();
    const { status } = await sendInstance(good, { sopClassUid: secondaryCaptureSopClass, sopInstanceUid, dataSet });
    assert.equal(status, 0);
    uids.push(sopInstanceUid);
  };
  await store();
  const over = new AbortController();
  const storing = (async () => {
    while (!over.signal.aborted) await store();
  })();
  try {
    await act();
  } finally {
    over.abort();
    await storing;
  }
  await store();
  await good.association.release();
  const stored = new Set(await door.storedUids());
  assert.deepEqual(
    uids.filter((uid) => !stored.has(uid)),
    [],
  );
}
