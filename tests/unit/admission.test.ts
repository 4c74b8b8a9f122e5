/** Who may open an association: rules, titles, addresses, and the reason of each rejection. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseAcceptRule } from "../../server/dimse/accept-rules.ts";
import { type AdmissionOptions, createAdmission } from "../../server/dimse/admission.ts";
import { type AssociateRequest, dicomApplicationContext } from "../../server/dimse/pdu.ts";

function requestBy(callingAeTitle: string, changed: Partial<AssociateRequest> = {}): AssociateRequest {
  return {
    type: "A-ASSOCIATE-RQ",
    protocolVersion: 1,
    calledAeTitle: "NOCTIS",
    callingAeTitle,
    applicationContextName: dicomApplicationContext,
    presentationContexts: [],
    userInformation: {
      maximumLength: 0,
      implementationClassUid: "1.2.3",
      roles: [],
      extendedNegotiations: [],
      commonExtendedNegotiations: [],
    },
    ...changed,
  };
}

function admissionBy(rules: readonly string[], changed: Partial<AdmissionOptions> = {}) {
  return createAdmission({
    calledAeTitles: ["NOCTIS"],
    rules: rules.map((text) => {
      const rule = parseAcceptRule(text);
      assert.ok(rule, text);
      return rule;
    }),
    hostOfPeer: async (aeTitle) => ({ WS1: "10.1.0.7", WS2: "ws2.example" })[aeTitle],
    addressesOf: async (host) => (host === "ws2.example" ? ["10.1.0.8", "fe80::8"] : []),
    ...changed,
  });
}

/** What somebody may do, or the result, source and reason of the rejection. */
async function outcome(admission: ReturnType<typeof createAdmission>, request: AssociateRequest, address: string) {
  const verdict = await admission(request, address);
  if (!verdict.rejection) return [...verdict.rights].join("+");
  assert.notEqual(verdict.why, "");
  const { result, source, reason } = verdict.rejection;
  return `${result}/${source}/${reason}`;
}

describe("admission", () => {
  it("lets in by title, by address, by network and by name, the first rule that fits", async () => {
    const rules = ["CT1@10.0.0.5=store", "WS?@10.1.0.0/16=query+retrieve", "X*@fd00::/8", "MR@ws2.example", "MON=echo"];
    const admission = admissionBy(rules);
    const may = (title: string, address: string) => outcome(admission, requestBy(title), address);
    assert.equal(await may("CT1", "10.0.0.5"), "store");
    assert.equal(await may("CT1", "::ffff:10.0.0.5"), "store");
    assert.equal(await may("CT1", "10.0.0.6"), "1/1/3");
    assert.equal(await may("ct1", "10.0.0.5"), "1/1/3");
    assert.equal(await may("CT10", "10.0.0.5"), "1/1/3");
    assert.equal(await may("WS9", "10.1.255.255"), "query+retrieve");
    assert.equal(await may("WS9", "10.2.0.0"), "1/1/3");
    assert.equal(await may("WS99", "10.1.0.1"), "1/1/3");
    assert.equal(await may("XRAY", "fd12::1"), "store+query+retrieve");
    assert.equal(await may("XRAY", "fe80::1%eth0"), "1/1/3");
    assert.equal(await may("MR", "fe80::8%eth0"), "store+query+retrieve");
    assert.equal(await may("MR", "10.1.0.9"), "1/1/3");
    assert.equal(await may("MON", "192.0.2.1"), "");
  });

  it("takes the first rule that fits, not the best", async () => {
    const admission = admissionBy(["CT*=store", "CT1=query"]);
    assert.equal(await outcome(admission, requestBy("CT1"), "10.0.0.1"), "store");
  });

  it("knows an address of IPv6 however the peer's is spelt", async () => {
    const admission = admissionBy(["*@peers"], { hostOfPeer: async () => "2001:DB8:0:0::7" });
    assert.equal(await outcome(admission, requestBy("WS1"), "2001:db8::7"), "store+query+retrieve");
    assert.equal(await outcome(admission, requestBy("WS1"), "2001:db8::70"), "1/1/3");
  });

  it("lets in known peers alone when told so, at their address", async () => {
    const admission = admissionBy(["*@peers"]);
    const may = (title: string, address: string) => outcome(admission, requestBy(title), address);
    assert.equal(await may("WS1", "10.1.0.7"), "store+query+retrieve");
    assert.equal(await may("WS1", "::ffff:10.1.0.7"), "store+query+retrieve");
    assert.equal(await may("WS1", "10.1.0.8"), "1/1/3");
    assert.equal(await may("WS2", "10.1.0.8"), "store+query+retrieve");
    assert.equal(await may("WS3", "10.1.0.7"), "1/1/3");
  });

  it("has a reason for each rejection (PS3.8 Table 9-21)", async () => {
    const admission = admissionBy(["CT1"]);
    const rejected = (changed: Partial<AssociateRequest>, title = "CT1") =>
      outcome(admission, requestBy(title, changed), "10.0.0.1");
    assert.equal(await rejected({}), "store+query+retrieve");
    assert.equal(await rejected({ protocolVersion: 2 }), "1/2/2");
    assert.equal(await rejected({ protocolVersion: 3 }), "store+query+retrieve");
    assert.equal(await rejected({ applicationContextName: "1.2.3" }), "1/1/2");
    assert.equal(await rejected({ calledAeTitle: "OTHER" }), "1/1/7");
    assert.equal(await rejected({}, "CT2"), "1/1/3");
    const open = admissionBy(["*"], { calledAeTitles: ["NOCTIS", "*"] });
    assert.equal(await outcome(open, requestBy("", { calledAeTitle: "OTHER" }), "10.0.0.1"), "store+query+retrieve");
  });

  it("leaves it to the caller when a peer cannot be looked up", async () => {
    const hostOfPeer = async () => Promise.reject(new Error("the database is away"));
    await assert.rejects(admissionBy(["*@peers"], { hostOfPeer })(requestBy("CT1"), "10.0.0.1"), /away/);
  });

  it("knows what is no rule", () => {
    const wrong = [
      "",
      "@10.0.0.1",
      "CT1@",
      "CT1@10.0.0.0/33",
      "CT1@10.0.0.0/",
      "CT1@ws1/8",
      "CT1@10.0.0.0/8/8",
      "CT1=",
      "CT1=write",
      "CT1=store,query",
      "A\\B",
      "SEVENTEEN-LETTERS",
      "CT1@10.0.0.5@peers",
      "CT1=store=query",
      "CT1@999.1.1.1",
    ];
    for (const text of wrong) assert.equal(parseAcceptRule(text), undefined, text);
    for (const text of ["*", "CT 1", "A.B@::1", "A@10.0.0.0/0=echo", "A=echo+store"])
      assert.ok(parseAcceptRule(text), text);
    const [dot] = [parseAcceptRule("A.B")];
    assert.equal(dot?.callingAeTitle.test("AXB"), false);
  });

  it("rejects for a user by 1/2/1 (PS3.7 D.3.3.7.3), and gives what is answered to the negotiation", async () => {
    const refusing = admissionBy(["*"], { checkUser: async () => ({ why: "the passcode is wrong" }) });
    assert.equal(await outcome(refusing, requestBy("CT1"), "10.0.0.1"), "1/2/1");
    const checkUser = async () => ({ user: "Station 7", response: Buffer.alloc(0) });
    const verdict = await admissionBy(["*"], { checkUser })(requestBy("CT1"), "10.0.0.1");
    assert.ok(!verdict.rejection);
    assert.deepEqual([verdict.user, verdict.userIdentityResponse], ["Station 7", Buffer.alloc(0)]);
  });
});
