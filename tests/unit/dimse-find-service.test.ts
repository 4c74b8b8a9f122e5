/** C-FIND at the pace of the peer: what is pulled from the archive, what ends it, and what each failure answers. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { readIdentifier } from "../../server/archive/query-identifier.ts";
import { makeQuery, type Query } from "../../server/archive/query.ts";
import type { DicomJson } from "../../server/dicom/json.ts";
import type { Association } from "../../server/dimse/association.ts";
import { commandFields } from "../../server/dimse/command.ts";
import { createFind, type FindDependencies } from "../../server/dimse/find.ts";
import { encodeIdentifier } from "../../server/dimse/identifier.ts";
import { ArchiveError } from "../../server/errors.ts";
import { identifier, implicitVrLittleEndian, studyRoot } from "../support/find-client.ts";

type Responses = { readonly status: number; readonly comment: string | undefined }[];

/** A request whose responses are kept, each as soon as `taken` resolves. */
function requestOf(taken: () => Promise<void> = () => Promise.resolve()) {
  const cancellation = new AbortController();
  const ended = new AbortController();
  const responses: Responses = [];
  const userInformation = { extendedNegotiations: [] };
  const association: Pick<Association, "ended"> & {
    readonly accept: { readonly userInformation: typeof userInformation };
  } = {
    ended: ended.signal,
    accept: { userInformation },
  };
  const dataSet = encodeIdentifier(identifier("STUDY", { StudyInstanceUID: "" }), implicitVrLittleEndian);
  const request = {
    association,
    context: {
      id: 1,
      abstractSyntaxUid: studyRoot,
      transferSyntaxUid: implicitVrLittleEndian,
      mayInvoke: false,
      mayPerform: true,
    },
    command: { commandField: commandFields.cFindRequest, messageId: 1 },
    dataSet: (async function* () {
      yield await Promise.resolve(dataSet);
    })(),
    signal: AbortSignal.any([cancellation.signal, ended.signal]),
    isCancelled: () => cancellation.signal.aborted,
    respond: async ({ status, errorComment }: { status: number; errorComment?: string | undefined }) => {
      responses.push({ status, comment: errorComment });
      await taken();
    },
  };
  return { request, responses, cancel: () => cancellation.abort(), end: () => ended.abort() };
}

/** An archive whose matches are these. */
function archiveOf(searchAll: (query: Query) => AsyncIterable<DicomJson>): FindDependencies["archive"] {
  return {
    queryIdentifier: (level, asked, rules) =>
      readIdentifier(level, asked, rules, (request) => Promise.resolve(makeQuery({ level }, request))),
    searchAll,
  };
}

const study: DicomJson = { "0020000D": { vr: "UI", Value: ["1.2"] } };

/** Runs the service over what stands for a request: of an association it needs no more. */
async function perform(archive: FindDependencies["archive"], request: object): Promise<void> {
  await Reflect.apply(createFind({ archive, aeTitle: "NOCTIS" }), undefined, [request]);
}

describe("the C-FIND service", () => {
  it("pulls no match before the peer has taken the last one", async () => {
    let pulled = 0;
    async function* matches() {
      for (; pulled < 50; pulled += 1) yield await Promise.resolve(study);
    }
    let most = 0;
    const { request, responses } = requestOf(async () => {
      await new Promise(setImmediate);
      most = Math.max(most, pulled + 1 - responses.length);
    });
    await perform(archiveOf(matches), request);
    assert.equal(responses.length, 51);
    assert.ok(most <= 1, `${most} matches ahead`);
  });

  it("ends at once when it is cancelled, whatever the database is at", async () => {
    const searching = Promise.withResolvers<void>();
    let isLetGo = false;
    async function* matches() {
      try {
        yield study;
        searching.resolve();
        await new Promise(() => undefined);
      } finally {
        isLetGo = true;
      }
    }
    const { request, responses, cancel } = requestOf();
    const performed = perform(archiveOf(matches), request);
    await searching.promise;
    cancel();
    await performed;
    assert.deepEqual(
      responses.map(({ status }) => status),
      [0xff00, 0xfe00],
    );
    assert.equal(isLetGo, false, "what never ends is not waited for");
  });

  it("lets go of the search when the association ends, and answers nothing any more", async () => {
    let isLetGo = false;
    const { request, responses, end } = requestOf(async () => {
      if (responses.length === 3) end();
      await Promise.resolve();
    });
    async function* matches() {
      try {
        for (;;) yield await Promise.resolve(study);
      } finally {
        isLetGo = true;
      }
    }
    await perform(archiveOf(matches), request);
    assert.equal(responses.length, 3);
    assert.ok(isLetGo);
  });

  const failures: readonly (readonly [what: string, error: Error, status: number, comment: RegExp])[] = [
    [
      "A700 without the database",
      new ArchiveError("database-unavailable", "The database does not answer."),
      0xa700,
      /database/,
    ],
    [
      "C001 for what nobody foresaw",
      new TypeError("select secret from table"),
      0xc001,
      /^The query could not be worked out/,
    ],
  ];
  for (const [what, error, status, comment] of failures) {
    it(`answers ${what}, behind the matches that were found`, async () => {
      async function* matches() {
        yield await Promise.resolve(study);
        throw error;
      }
      const { request, responses } = requestOf();
      await assert.rejects(perform(archiveOf(matches), request), error);
      assert.deepEqual(
        responses.map((response) => response.status),
        [0xff00, status],
      );
      assert.match(responses[1]?.comment ?? "", comment);
    });
  }
});
