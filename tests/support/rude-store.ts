/** Instances for scripted peers, and an association that stores while others are rude. */
import assert from "node:assert/strict";
import { type Command, commandFields } from "../../server/dimse/command.ts";
import { secondaryCaptureSopClass, type TestDoor } from "./dimse.ts";
import { sendInstance, storeAssociation } from "./dimse-store.ts";
import { instanceFile } from "./instances.ts";

const explicitLittle = "1.2.840.10008.1.2.1";

/** What is sent by hand. */
export interface Sent {
  readonly sopInstanceUid: string;
  readonly dataSet: Buffer;
  /** The C-STORE-RQ. */
  readonly command: Command;
}

/** An instance; of 256 KiB unless it is to be small. */
export function instance({ messageId = 1, isSmall = false } = {}): Sent {
  const large = { Rows: 512, Columns: 512, PixelData: new ArrayBuffer(2 ** 18) };
  const { bytes, sopInstanceUid } = instanceFile(isSmall ? {} : large);
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
