/** Retrieve (PS3.4 C): C-MOVE and C-GET, by DCMTK and byte by byte. */
import { mkdir, readdir, readFile } from "node:fs/promises";
import path from "node:path";
import type { Checks } from "../check.ts";
import { dcmtk, withFiles } from "../dcmtk.ts";
import { type Command, field } from "../dimse/command.ts";
import { partsOf } from "../dimse/part10.ts";
import { expectInstances, get, keysOf, type Level, move } from "../dimse/query.ts";
import { expect, expectEqual } from "../expect.ts";
import type { Instance } from "../instances.ts";
import { freePort } from "../listening.ts";
import { destination, makeKnown } from "../peers.ts";
import type { Session } from "../session.ts";
import type { DataSet } from "../write-dicom.ts";

/** A C-MOVE that succeeds with all of `instances`. */
async function expectMoved(session: Session, level: Level, keys: DataSet, instances: readonly Instance[]) {
  const { aeTitle, receiver } = await destination(session);
  receiver.take();
  const responses = await move(session, "study", level, keys, aeTitle);
  const received = receiver.take();
  expectEqual(outcomeOf(responses.at(-1)), { status: 0, completed: instances.length, failed: 0 }, "The outcome");
  expectInstances(received, instances);
  return { responses, received };
}

function outcomeOf(command: Command = {}) {
  const [status, completed, failed] = [field.status, field.completed, field.failed].map((one) => command[one]);
  return { status, completed, failed };
}

/** A whole study: three CT images and one of MR. */
function studyOf({ fixtures }: Session): Instance[] {
  return [...fixtures.ct, fixtures.mr];
}

/** Runs getscu or movescu, which put what they get into a folder; expects the data sets of `instances` there. */
async function expectFetched(
  session: Session,
  program: "getscu" | "movescu",
  args: readonly string[],
  instances: readonly Instance[],
): Promise<void> {
  await withFiles({}, async (folder) => {
    const output = path.join(folder, "output");
    await mkdir(output);
    const { status, output: printed } = await dcmtk(program, session.dimse, [...args, "-od", output]);
    expect(status === 0, `${program} ended with ${status}: ${printed.slice(-300)}`);
    const names = await readdir(output);
    expectEqual(names.length, instances.length, "The number of files");
    for (const { sopInstanceUid, file } of instances) {
      const name = names.find((one) => one.endsWith(sopInstanceUid)) ?? "";
      const got = await readFile(path.join(output, name));
      expect(partsOf(got).dataSet.equals(partsOf(file).dataSet), `The data set of ${sopInstanceUid} is another.`);
    }
  });
}

const studyKeys = ({ studyInstanceUid }: Instance) => ["-k", "0008,0052=STUDY", "-k", `0020,000D=${studyInstanceUid}`];

export const dimseRetrieveChecks: Checks = {
  "dimse-move-study": async (session) => {
    await expectMoved(session, "STUDY", keysOf(session.fixtures.mr, "STUDY"), studyOf(session));
  },
  "dimse-move-series": async (session) => {
    const [first] = session.fixtures.ct;
    if (!first) throw new TypeError("the fixture has instances");
    await expectMoved(session, "SERIES", keysOf(first, "SERIES"), session.fixtures.ct);
  },
  "dimse-move-instances": async (session) => {
    const [first, , third] = session.fixtures.ct;
    if (!first || !third) throw new TypeError("the fixture has three instances");
    const uids = [first.sopInstanceUid, third.sopInstanceUid];
    await expectMoved(session, "IMAGE", { ...keysOf(first, "IMAGE"), SOPInstanceUID: uids }, [first, third]);
  },
  "dimse-move-patient": async (session) => {
    const { aeTitle, receiver } = await destination(session);
    receiver.take();
    const { photo } = session.fixtures;
    const keys = { PatientID: session.run.patientId("A") };
    const responses = await move(session, "patient", "PATIENT", keys, aeTitle);
    const instances = [...studyOf(session), photo];
    expectEqual(outcomeOf(responses.at(-1)), { status: 0, completed: instances.length, failed: 0 }, "The outcome");
    expectInstances(receiver.take(), instances);
  },
  "dimse-move-compressed": async (session) => {
    const { photo, lossless } = session.fixtures;
    for (const one of [photo, lossless]) await expectMoved(session, "IMAGE", keysOf(one, "IMAGE"), [one]);
  },
  "dimse-move-originator": async (session) => {
    const { mr } = session.fixtures;
    const { received } = await expectMoved(session, "IMAGE", keysOf(mr, "IMAGE"), [mr]);
    expectEqual(received[0]?.command[field.moveOriginator], "CONFORMANCE", "Move Originator AE Title");
    expectEqual(received[0]?.command[field.moveOriginatorMessageId], 42, "Move Originator Message ID");
  },
  "dimse-move-counts": async (session) => {
    const { responses } = await expectMoved(session, "STUDY", keysOf(session.fixtures.mr, "STUDY"), studyOf(session));
    const last = responses.at(-1) ?? {};
    expect(last[field.remaining] === undefined, "The last response has a Number of Remaining Sub-operations.");
    expectEqual(last[field.warnings], 0, "Number of Warning Sub-operations");
    for (const pending of responses.slice(0, -1)) {
      const counts = [field.remaining, field.completed, field.failed, field.warnings].map((one) =>
        Number(pending[one]),
      );
      const sum = counts.reduce((total, count) => total + count, 0);
      expectEqual(sum, 4, "The sub-operations that a pending response counts");
    }
  },
  "dimse-move-nothing": async (session) => {
    const { aeTitle, receiver } = await destination(session);
    receiver.take();
    const keys = { StudyInstanceUID: session.run.uid("never stored") };
    const responses = await move(session, "study", "STUDY", keys, aeTitle);
    expectEqual(responses.at(-1)?.[field.status], 0, "The status of a C-MOVE of nothing");
    expectEqual(receiver.take().length, 0, "What came");
  },
  "dimse-move-unknown-destination": async (session) => {
    const responses = await move(session, "study", "STUDY", keysOf(session.fixtures.mr, "STUDY"), "CFNOBODY");
    expectEqual(responses.at(-1)?.[field.status], 0xa801, "The status of an unknown move destination");
  },
  "dimse-move-dead-destination": async (session) => {
    const aeTitle = `CFD${session.run.token}`;
    await makeKnown(session, aeTitle, await freePort());
    const responses = await move(session, "study", "STUDY", keysOf(session.fixtures.mr, "STUDY"), aeTitle);
    const { status, completed } = outcomeOf(responses.at(-1));
    expect(status !== 0 && status !== 0xb000, "A C-MOVE to a destination that is away is a success.");
    expect(completed === undefined || completed === 0, `${completed} sub-operations are said to be completed.`);
  },
  "dimse-move-movescu": async (session) => {
    const port = await freePort();
    const aeTitle = `CFM${session.run.token}`;
    await makeKnown(session, aeTitle, port);
    const args = ["-S", "+B", "-aem", aeTitle, "+P", String(port), ...studyKeys(session.fixtures.mr)];
    await expectFetched(
      session,
      "movescu",
      ["+xe", ...args].filter((one) => one !== "+B"),
      studyOf(session),
    );
  },
  "dimse-get-study": async (session) => {
    const instances = studyOf(session);
    const { received, command } = await get(session, "STUDY", keysOf(session.fixtures.mr, "STUDY"), instances);
    expectEqual(outcomeOf(command), { status: 0, completed: 4, failed: 0 }, "The outcome");
    expectInstances(received, instances);
  },
  "dimse-get-instance": async (session) => {
    const { photo } = session.fixtures;
    const { received, command } = await get(session, "IMAGE", keysOf(photo, "IMAGE"), [photo]);
    expectEqual(outcomeOf(command), { status: 0, completed: 1, failed: 0 }, "The outcome");
    expectInstances(received, [photo]);
  },
  "dimse-get-without-context": async (session) => {
    const { ct, mr } = session.fixtures;
    const { received, command, dataSet } = await get(session, "STUDY", keysOf(mr, "STUDY"), ct);
    expectEqual(outcomeOf(command), { status: 0xb000, completed: 3, failed: 1 }, "The outcome");
    expectInstances(received, ct);
    // Failed SOP Instance UID List (0008,0058).
    expect(dataSet.includes(mr.sopInstanceUid), "The instance that could not be sent is not listed.");
  },
  "dimse-get-getscu": async (session) => {
    await expectFetched(session, "getscu", ["-S", "+B", ...studyKeys(session.fixtures.mr)], studyOf(session));
  },
};
