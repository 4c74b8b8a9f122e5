/** Tests of how a Store Instances Response is read and matched to the files of the request. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import type { Instance, Outcome } from "../../server/cli/import-instance.ts";
import { matchOutcomes, readStoreResponse, type ResponseItem } from "../../server/cli/import-outcomes.ts";

const stored: Outcome = { kind: "stored" };
const failed: Outcome = { kind: "not-stored", reason: "x" };

function instance(sopInstanceUid?: string): Instance {
  return {
    name: "file",
    byteLength: 0,
    identifiers: sopInstanceUid === undefined ? {} : { sopInstanceUid },
    async *open() {},
  };
}

function read(response: unknown): ResponseItem[] | undefined {
  return readStoreResponse(Buffer.from(JSON.stringify(response)));
}

const ui = (uid: string): object => ({ vr: "UI", Value: [uid] });
const us = (value: number): object => ({ vr: "US", Value: [value] });
const sq = (...items: object[]): object => ({ vr: "SQ", Value: items });

describe("outcomes of an import", () => {
  describe("Store Instances Response", () => {
    it("tells stored and failed instances, with the reason in words", () => {
      const response = {
        "00081199": sq({ "00081150": ui("1.9"), "00081155": ui("1.1") }),
        "00081198": sq({ "00081150": ui("1.9"), "00081155": ui("1.2"), "00081197": us(0xa900) }),
      };
      assert.deepEqual(read(response), [
        { sopInstanceUid: "1.1", outcome: stored },
        { sopInstanceUid: "1.2", outcome: { kind: "not-stored", reason: "Data Set does not match SOP Class (A900)" } },
      ]);
    });

    it("adds the Error Comments of the Failed Attributes Sequence", () => {
      const attributes = sq({ "00000902": { vr: "LO", Value: ["no Study Instance UID."] } });
      const response = { "0008119A": sq({ "00081197": us(0xc000), "00741048": attributes }) };
      assert.deepEqual(read(response), [
        { outcome: { kind: "not-stored", reason: "Cannot understand (C000): no Study Instance UID" } },
      ]);
    });

    it("keeps a warning of an instance that is stored", () => {
      const response = { "00081199": sq({ "00081155": ui("1.1"), "00081196": us(0xb000) }) };
      assert.deepEqual(read(response), [
        { sopInstanceUid: "1.1", outcome: { kind: "stored", warning: "Coercion of data elements (B000)" } },
      ]);
    });

    it("names the number of a reason that it does not know", () => {
      const response = { "00081198": sq({ "00081155": ui("1.1"), "00081197": us(0x0999) }) };
      assert.deepEqual(read(response)?.[0]?.outcome, { kind: "not-stored", reason: "Failure (0999)" });
    });

    it("understands a response in an array of one, and UIDs with padding", () => {
      assert.deepEqual(read([{ "00081199": sq({ "00081155": ui("1.1\0") }) }]), [
        { sopInstanceUid: "1.1", outcome: stored },
      ]);
    });

    it("takes nothing else for a response", () => {
      for (const other of [null, [], [1, 2], "text", { title: "Bad request" }, { "00081190": {} }]) {
        assert.equal(read(other), undefined);
      }
      assert.equal(readStoreResponse(Buffer.from("<html>")), undefined);
    });

    it("survives elements of the wrong shape", () => {
      const response = {
        "00081199": { Value: [null, 7, { "00081155": 3 }] },
        "00081198": 1,
        "0008119A": { Value: "x" },
      };
      assert.deepEqual(read(response), [{ outcome: stored }, { outcome: stored }, { outcome: stored }]);
    });
  });

  describe("matching", () => {
    it("goes by SOP Instance UID, whatever the order", () => {
      const items = [
        { sopInstanceUid: "1.2", outcome: failed },
        { sopInstanceUid: "1.1", outcome: stored },
      ];
      assert.deepEqual(matchOutcomes([instance("1.1"), instance("1.2")], items), [stored, failed]);
    });

    it("gives the one item that is left to the one instance that is left", () => {
      const items = [{ outcome: failed }, { sopInstanceUid: "1.1", outcome: stored }];
      assert.deepEqual(matchOutcomes([instance("1.1"), instance("1.2")], items), [stored, failed]);
      assert.deepEqual(matchOutcomes([instance()], [{ outcome: failed }]), [failed]);
    });

    it("leaves in doubt what several items without UID may mean", () => {
      const items = [{ outcome: failed }, { outcome: failed }];
      assert.deepEqual(matchOutcomes([instance("1.1"), instance("1.2")], items), [undefined, undefined]);
    });

    it("leaves in doubt an instance that the response names twice, or not at all", () => {
      const twice = [
        { sopInstanceUid: "1.1", outcome: stored },
        { sopInstanceUid: "1.1", outcome: failed },
      ];
      assert.deepEqual(matchOutcomes([instance("1.1")], twice), [undefined]);
      assert.deepEqual(matchOutcomes([instance("1.1"), instance("1.2")], []), [undefined, undefined]);
    });

    it("leaves in doubt two instances with one UID", () => {
      const items = [{ sopInstanceUid: "1.1", outcome: stored }];
      assert.deepEqual(matchOutcomes([instance("1.1"), instance("1.1")], items), [undefined, undefined]);
    });
  });
});
