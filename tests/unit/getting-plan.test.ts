/** The contexts of a C-GET: what the peer has comes as it is, as far as 128 contexts allow. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { planGetting } from "../../server/dimse/getting-plan.ts";
import { likelySopClasses } from "../../server/dimse/modality-sop-classes.ts";
import { storageSopClasses } from "../../server/dimse/storage-sop-classes.ts";

const ct = "1.2.840.10008.5.1.4.1.1.2";
const explicit = "1.2.840.10008.1.2.1";
const implicit = "1.2.840.10008.1.2";
const jpegLossless = "1.2.840.10008.1.2.4.70";

describe("the plan of a C-GET", () => {
  it("has one transfer syntax a context: those that are known, the native ones, the others", () => {
    const { contexts, roles } = planGetting([{ sopClassUid: ct, transferSyntaxUids: ["1.2.840.10008.1.2.4.90"] }]);
    assert.deepEqual(
      contexts.slice(0, 4).map(({ transferSyntaxUids }) => transferSyntaxUids),
      [["1.2.840.10008.1.2.4.90"], [explicit], [implicit], [jpegLossless]],
    );
    assert.ok(contexts.every(({ abstractSyntaxUid }) => abstractSyntaxUid === ct));
    assert.equal(new Set(contexts.map(({ transferSyntaxUids }) => transferSyntaxUids.join())).size, contexts.length);
    assert.deepEqual(roles, [{ sopClassUid: ct, scuRole: false, scpRole: true }]);
  });

  it("gives each SOP class something before any of them more, and never more contexts than there are", () => {
    const kinds = [...storageSopClasses.keys()]
      .slice(0, 100)
      .map((sopClassUid) => ({ sopClassUid, transferSyntaxUids: [] }));
    const { contexts } = planGetting(kinds);
    assert.equal(contexts.length, 127);
    // Without room for both, the peer chooses.
    assert.deepEqual(contexts[0]?.transferSyntaxUids, [explicit, implicit]);
    assert.equal(new Set(contexts.slice(0, 100).map((context) => context.abstractSyntaxUid)).size, 100);
    const { contexts: anything, roles } = planGetting([]);
    assert.deepEqual([anything.length, roles.length], [127, 127]);
  });

  it("guesses SOP classes by modality, all of them of the standard", () => {
    assert.equal(likelySopClasses(["CT"])?.[0], ct);
    assert.equal(likelySopClasses(["CT", "??"]), undefined);
    const modalities = [
      "CR",
      "CT",
      "DX",
      "ECG",
      "MG",
      "MR",
      "NM",
      "OP",
      "OT",
      "PT",
      "RTDOSE",
      "SEG",
      "SM",
      "SR",
      "US",
      "XA",
    ];
    for (const uid of likelySopClasses(modalities) ?? []) assert.ok(storageSopClasses.has(uid), uid);
  });
});
