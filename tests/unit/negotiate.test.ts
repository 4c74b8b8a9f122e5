/** What an acceptor answers to proposals of every kind. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { transferSyntaxes } from "../../server/dicom/transfer-syntax.ts";
import { type ExtendedOption, extendedNegotiationOf } from "../../server/dimse/extended-negotiation.ts";
import { acceptedContexts } from "../../server/dimse/accepted-contexts.ts";
import { type Admitted, negotiate, type NegotiationPolicy, negotiationPolicy } from "../../server/dimse/negotiate.ts";
import {
  type AssociateRequest,
  dicomApplicationContext,
  type ProposedContext,
  type UserInformation,
} from "../../server/dimse/pdu.ts";
import { syntaxUid } from "../support/dicom-writer.ts";

const verification = "1.2.840.10008.1.1";
const ct = "1.2.840.10008.5.1.4.1.1.2";
const mr = "1.2.840.10008.5.1.4.1.1.4";
const studyFind = "1.2.840.10008.5.1.4.1.2.2.1";
const studyGet = "1.2.840.10008.5.1.4.1.2.2.3";
const commitment = "1.2.840.10008.1.20.1";
const privateClass = "1.3.12.2.1107.5.9.1";
const { implicitLittle, explicitLittle, explicitBig, deflated, jpegBaseline, rle } = syntaxUid;

const policy = negotiationPolicy(
  [{ sopClassUids: [verification, studyFind, studyGet, commitment] }, { sopClassUids: "storage" }],
  {
    maximumLength: 131_072,
    operationsWindow: { maximumInvoked: 16, maximumPerformed: 8 },
    storesUnknown: true,
  },
);

/** A context proposed by id, class and syntaxes. */
type Proposal = readonly [id: number, abstractSyntaxUid: string, ...transferSyntaxUids: string[]];

function request(proposals: readonly Proposal[], information: Partial<UserInformation> = {}): AssociateRequest {
  return {
    type: "A-ASSOCIATE-RQ",
    protocolVersion: 1,
    calledAeTitle: "NOCTIS",
    callingAeTitle: "CT1",
    applicationContextName: dicomApplicationContext,
    presentationContexts: proposals.map(([id, abstractSyntaxUid, ...transferSyntaxUids]): ProposedContext => ({
      id,
      abstractSyntaxUid,
      transferSyntaxUids,
    })),
    userInformation: {
      maximumLength: 16_384,
      implementationClassUid: "1.2.3",
      roles: [],
      extendedNegotiations: [],
      commonExtendedNegotiations: [],
      ...information,
    },
  };
}

/** What the association will have. */
function contextsOf(asked: AssociateRequest) {
  return acceptedContexts(asked, negotiate(asked, policy), "acceptor");
}

/** Result and transfer syntax by context id. */
function answers(
  proposals: readonly Proposal[],
  { changed = {}, admitted }: { changed?: Partial<NegotiationPolicy>; admitted?: Admitted } = {},
) {
  const accept = negotiate(request(proposals), { ...policy, ...changed }, admitted);
  return accept.presentationContexts.map(({ id, result, transferSyntaxUid }) => [id, result, transferSyntaxUid]);
}

describe("negotiation", () => {
  it("answers each context once, in the order and with the ids that were sent", () => {
    const proposals: Proposal[] = [
      [7, ct, explicitLittle],
      [255, verification, implicitLittle],
      [1, "1.2.840.10008.5.1.4.31", explicitLittle],
      [3, ct, "1.2.3.4"],
    ];
    assert.deepEqual(answers(proposals), [
      [7, 0, explicitLittle],
      [255, 0, implicitLittle],
      [1, 3, explicitLittle],
      [3, 4, "1.2.3.4"],
    ]);
    const contexts = contextsOf(request(proposals));
    assert.deepEqual([...contexts.keys()], [7, 255]);
    assert.equal(contexts.get(7)?.abstractSyntaxUid, ct);
  });

  it("accepts an association on which nothing is accepted, or proposed", () => {
    assert.deepEqual(answers([[1, "1.2.840.10008.5.1.4.31", implicitLittle]]), [[1, 3, implicitLittle]]);
    assert.deepEqual(answers([]), []);
    assert.deepEqual(answers([[1, ct]]), [[1, 4, implicitLittle]]);
  });

  it("takes of images what the requestor names first and this server stores", () => {
    assert.deepEqual(
      answers([
        [1, ct, "1.2.3.4", jpegBaseline, explicitLittle],
        [3, ct, implicitLittle, explicitLittle, rle],
        [5, ct, explicitBig, explicitLittle],
        [7, ct, deflated],
      ]),
      [
        [1, 0, jpegBaseline],
        [3, 0, implicitLittle],
        [5, 0, explicitBig],
        [7, 0, deflated],
      ],
    );
    for (const uid of transferSyntaxes.keys()) assert.deepEqual(answers([[1, ct, uid]]), [[1, 0, uid]]);
  });

  it("takes of identifiers what keeps VRs, whatever is named first, and never what is for images", () => {
    assert.deepEqual(
      answers([
        [1, studyFind, deflated, explicitBig, implicitLittle, explicitLittle],
        [3, studyGet, deflated, explicitBig, implicitLittle],
        [5, studyFind, deflated, explicitBig],
        [7, studyFind, deflated],
        [9, studyFind, jpegBaseline],
        [11, commitment, implicitLittle, explicitLittle],
        [13, verification, jpegBaseline],
      ]),
      [
        [1, 0, explicitLittle],
        [3, 0, implicitLittle],
        [5, 0, explicitBig],
        [7, 0, deflated],
        [9, 4, jpegBaseline],
        [11, 0, explicitLittle],
        [13, 0, jpegBaseline],
      ],
    );
  });

  it("stores private classes and new ones of the standard unless told otherwise, and no other services", () => {
    const proposals: Proposal[] = [
      [1, privateClass, explicitLittle],
      [3, "1.2.840.10008.5.1.4.1.1.999.1", explicitLittle],
      [5, "1.2.840.10008.5.1.4.1.1.6", explicitLittle],
      [7, "1.2.840.10008.5.1.4.1.1.200.4", explicitLittle],
      [9, "1.2.840.10008.5.1.1.9", explicitLittle],
      [11, "CT Image Storage", explicitLittle],
    ];
    const results = (storesUnknown: boolean) =>
      answers(proposals, { changed: { storesUnknown } }).map(([, result]) => result);
    assert.deepEqual(results(true), [0, 0, 0, 3, 3, 3]);
    assert.deepEqual(results(false), [3, 3, 0, 3, 3, 3]);
  });

  it("takes a specialised class for storage when common extended negotiation says that it is", () => {
    const closed = { ...policy, storesUnknown: false };
    const resultWith = (serviceClassUid: string, relatedGeneralSopClassUids: readonly string[], uid = privateClass) => {
      const special = { sopClassUid: uid, serviceClassUid, relatedGeneralSopClassUids };
      const asked = request([[1, uid, explicitLittle]], { commonExtendedNegotiations: [special] });
      return negotiate(asked, closed).presentationContexts[0]?.result;
    };
    assert.equal(resultWith("1.2.840.10008.4.2", []), 0);
    assert.equal(resultWith("1.2.3", ["1.2.3.4", ct]), 0);
    assert.equal(resultWith("1.2.3", [studyFind]), 3);
    assert.equal(resultWith("1.2.840.10008.4.2", [], "1.2.840.10008.5.1.4.31"), 3);
  });

  it("agrees to roles that were proposed, and to no others", () => {
    const roleOf = (sopClassUid: string, scuRole: boolean, scpRole: boolean) => {
      const asked = request([[1, sopClassUid, explicitLittle]], { roles: [{ sopClassUid, scuRole, scpRole }] });
      const accept = negotiate(asked, policy);
      const context = contextsOf(asked).get(1);
      return {
        answered: accept.userInformation.roles.map((role) => [role.scuRole, role.scpRole]),
        result: accept.presentationContexts[0]?.result,
        roles: context && [context.mayPerform, context.mayInvoke],
      };
    };
    assert.deepEqual(roleOf(ct, false, true), { answered: [[false, true]], result: 0, roles: [false, true] });
    assert.deepEqual(roleOf(ct, true, true), { answered: [[true, true]], result: 0, roles: [true, true] });
    assert.deepEqual(roleOf(ct, true, false), { answered: [[true, false]], result: 0, roles: [true, false] });
    assert.deepEqual(roleOf(studyFind, true, true), { answered: [[true, false]], result: 0, roles: [true, false] });
    assert.deepEqual(roleOf(studyFind, false, true), { answered: [], result: 1, roles: undefined });
    assert.deepEqual(roleOf(ct, false, false), { answered: [], result: 1, roles: undefined });
    const plain = request([[1, ct, explicitLittle]]);
    const context = contextsOf(plain).get(1);
    assert.deepEqual([context?.mayPerform, context?.mayInvoke], [true, false]);
    assert.deepEqual(negotiate(plain, policy).userInformation.roles, []);
  });

  it("holds to what a peer may do", () => {
    const may = (...rights: ("store" | "query" | "retrieve")[]) => {
      const roles = [{ sopClassUid: mr, scuRole: true, scpRole: true }];
      const classes = [verification, ct, mr, studyFind, studyGet, commitment];
      const proposals = classes.map((uid, index): Proposal => [2 * index + 1, uid, explicitLittle]);
      const accept = negotiate(request(proposals, { roles }), policy, { rights: new Set(rights) });
      return {
        results: accept.presentationContexts.map(({ result }) => result),
        mr: accept.userInformation.roles.map(({ scuRole, scpRole }) => [scuRole, scpRole]),
      };
    };
    assert.deepEqual(may(), { results: [0, 1, 1, 1, 1, 1], mr: [] });
    assert.deepEqual(may("store"), { results: [0, 0, 0, 1, 1, 0], mr: [[true, false]] });
    assert.deepEqual(may("query"), { results: [0, 1, 1, 0, 1, 1], mr: [] });
    assert.deepEqual(may("retrieve"), { results: [0, 1, 0, 1, 0, 1], mr: [[false, true]] });
  });

  it("answers extended negotiation field by field, as many as were asked, where the context is accepted", () => {
    const negotiated = (sopClassUid: string, ...fields: number[]) => {
      const item = { sopClassUid, serviceClassApplicationInformation: Buffer.from(fields) };
      const first = { sopClassUid, serviceClassApplicationInformation: Buffer.from([9]) };
      const other = { sopClassUid: "1.2.3", serviceClassApplicationInformation: Buffer.from([1]) };
      const asked = request([[1, sopClassUid, explicitLittle]], { extendedNegotiations: [other, first, item] });
      const accept = negotiate(asked, policy);
      const answered = accept.userInformation.extendedNegotiations;
      assert.ok(answered.every((one) => one.sopClassUid === sopClassUid));
      return { accept, fields: answered.map((one) => [...one.serviceClassApplicationInformation]) };
    };
    assert.deepEqual(negotiated(studyFind, 1).fields, [[1]]);
    assert.deepEqual(negotiated(studyFind, 0, 1, 1).fields, [[0, 1, 1]]);
    assert.deepEqual(negotiated(studyFind, 1, 1, 1, 1, 1, 1, 1, 1).fields, [[1, 1, 1, 1, 0, 1, 1]]);
    assert.deepEqual(negotiated(studyGet, 1, 1).fields, [[1, 0]]);
    assert.deepEqual(negotiated(ct, 3, 0, 0, 0, 2, 0).fields, [[2, 0, 3, 0, 0, 0]]);
    assert.deepEqual(negotiated(commitment, 1).fields, []);

    const { accept } = negotiated(studyFind, 0, 1, 1, 1);
    const agreed = extendedNegotiationOf({ accept }, "find", studyFind);
    assert.deepEqual([...agreed], [
      "combinedDateTimeMatching",
      "fuzzySemanticMatching",
      "timezoneQueryAdjustment",
    ] satisfies ExtendedOption[]);
    assert.equal(extendedNegotiationOf({ accept }, "find", "1.2.3").size, 0);
    const retrieval = extendedNegotiationOf(negotiated(studyGet, 1), "retrieve", studyGet);
    assert.deepEqual([...retrieval], ["relationalRetrieval"]);
  });

  it("fails at start when a service has a SOP class of which it is not said how it is negotiated", () => {
    const settings = { maximumLength: 1, operationsWindow: policy.operationsWindow, storesUnknown: true };
    assert.throws(() => negotiationPolicy([{ sopClassUids: ["1.2.3"] }], settings), /1\.2\.3/);
    const none = negotiationPolicy([], settings);
    assert.equal(negotiate(request([[1, ct, explicitLittle]]), none).presentationContexts[0]?.result, 3);
  });

  it("says of storage that this server is none when the requestor is to store", () => {
    const item = { sopClassUid: ct, serviceClassApplicationInformation: Buffer.from([2, 0, 0, 0, 0, 0]) };
    const roles = [{ sopClassUid: ct, scuRole: false, scpRole: true }];
    const accept = negotiate(request([[1, ct, explicitLittle]], { roles, extendedNegotiations: [item] }), policy);
    const [answer] = accept.userInformation.extendedNegotiations;
    assert.deepEqual([...(answer?.serviceClassApplicationInformation ?? [])], [3, 0, 0, 0, 2, 0]);
  });

  it("grants of the operations window what both sides can do, and answers none that was not asked", () => {
    const windowFor = (maximumInvoked: number, maximumPerformed: number) =>
      negotiate(request([], { operationsWindow: { maximumInvoked, maximumPerformed } }), policy).userInformation
        .operationsWindow;
    assert.deepEqual(windowFor(4, 2), { maximumInvoked: 4, maximumPerformed: 2 });
    assert.deepEqual(windowFor(100, 100), { maximumInvoked: 16, maximumPerformed: 8 });
    assert.deepEqual(windowFor(0, 0), { maximumInvoked: 16, maximumPerformed: 8 });
    assert.deepEqual(windowFor(1, 1), { maximumInvoked: 1, maximumPerformed: 1 });
    assert.equal(negotiate(request([]), policy).userInformation.operationsWindow, undefined);
  });

  it("says its own greatest length, whatever the requestor's is, and repeats the titles", () => {
    const accept = negotiate(request([], { maximumLength: 0 }), policy);
    assert.equal(accept.userInformation.maximumLength, 131_072);
    assert.match(accept.userInformation.implementationClassUid, /^2\.25\./);
    assert.deepEqual([accept.calledAeTitle, accept.callingAeTitle, accept.protocolVersion], ["NOCTIS", "CT1", 1]);
    assert.equal(accept.applicationContextName, dicomApplicationContext);
    assert.equal(accept.userInformation.userIdentityResponse, undefined);
  });
});
