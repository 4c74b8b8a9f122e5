/** The Store Instances Response: statuses, sequences, reasons. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StoreOutcome } from "../../server/archive/store.ts";
import { parseUid } from "../../server/dicom/uid.ts";
import { parseAccept } from "../../server/http/media-type.ts";
import { ArchiveError, type ErrorCode } from "../../server/errors.ts";
import { negotiateDataSet } from "../../server/http/one-data-set.ts";
import { storeResponse } from "../../server/http/store-response.ts";

function stored(
  instance: string,
  warnings: readonly string[] = [],
  study = "1.1",
  status: "stored" | "already-stored" = "stored",
): StoreOutcome {
  return {
    status,
    warnings,
    sopClassUid: parseUid("1.2.840"),
    sopInstanceUid: parseUid(instance),
    studyInstanceUid: parseUid(study),
    seriesInstanceUid: parseUid("1.5"),
  };
}

const failed = (code: ErrorCode, sopInstanceUid?: string): StoreOutcome => ({
  status: "failed",
  error: new ArchiveError(code, `Because of ${code}.`),
  ...(sopInstanceUid !== undefined && { sopInstanceUid, sopClassUid: "1.2.840" }),
});

const asJson = negotiateDataSet(parseAccept(undefined));

function respond(...outcomes: StoreOutcome[]) {
  const { status, headers, body } = storeResponse(outcomes, asJson, (path) => `http://pacs/${path}`);
  assert.ok(typeof body === "string");
  return { status, type: headers?.["Content-Type"], json: JSON.parse(body) };
}

describe("store response", () => {
  it("of one that is stored", () => {
    assert.deepEqual(respond(stored("1.9")), {
      status: 200,
      type: "application/dicom+json",
      json: {
        "00081190": { vr: "UR", Value: ["http://pacs/studies/1.1"] },
        "00081199": {
          vr: "SQ",
          Value: [
            {
              "00081150": { vr: "UI", Value: ["1.2.840"] },
              "00081155": { vr: "UI", Value: ["1.9"] },
              "00081190": { vr: "UR", Value: ["http://pacs/studies/1.1/series/1.5/instances/1.9"] },
            },
          ],
        },
      },
    });
  });

  it("of one that was stored already is the same", () => {
    assert.deepEqual(respond(stored("1.9", [], "1.1", "already-stored")), respond(stored("1.9")));
  });

  it("of one that is stored with warnings: 200, a Warning Reason and what is wrong", () => {
    const { status, json } = respond(stored("1.9", ["StudyDate is ill-formed.", "Another."]));
    const [item] = json["00081199"].Value;
    assert.equal(status, 200);
    assert.deepEqual(item["00081196"], { vr: "US", Value: [0xb007] });
    assert.deepEqual(
      item["00741048"].Value.map((comment: Record<string, unknown>) => comment["00000902"]),
      [
        { vr: "LO", Value: ["StudyDate is ill-formed."] },
        { vr: "LO", Value: ["Another."] },
      ],
    );
  });

  it("of several studies names none of them", () => {
    assert.deepEqual(respond(stored("1.9"), stored("1.8", [], "1.2")).json["00081190"], { vr: "UR" });
  });

  it("of some that are stored: 202, each failure in its sequence with its reason", () => {
    const { status, json } = respond(stored("1.9"), failed("different-duplicate", "1.8"), failed("not-dicom"));
    assert.equal(status, 202);
    assert.deepEqual(json["00081198"].Value, [
      {
        "00081150": { vr: "UI", Value: ["1.2.840"] },
        "00081155": { vr: "UI", Value: ["1.8"] },
        "00081197": { vr: "US", Value: [0x0111] },
        "00741048": { vr: "SQ", Value: [{ "00000902": { vr: "LO", Value: ["Because of different-duplicate."] } }] },
      },
    ]);
    const [other] = json["0008119A"].Value;
    assert.deepEqual(other["00081197"], { vr: "US", Value: [0xc000] });
    assert.equal("00081155" in other, false);
  });

  it("of none that is stored: 409", () => {
    const { status, type, json } = respond(failed("missing-identifier", "1.8"), failed("not-dicom"));
    assert.deepEqual([status, type], [409, "application/dicom+json"]);
    assert.deepEqual(Object.keys(json), ["00081190", "00081198", "0008119A"]);
  });

  it("of failures of the server that differ is no single problem", () => {
    const { status, json } = respond(failed("storage-full"), failed("stopping"));
    assert.equal(status, 409);
    assert.equal(json["0008119A"].Value.length, 2);
  });

  it("is the problem itself when the server can store nothing, or the body is broken", () => {
    const expected: readonly [code: ErrorCode, httpStatus: number][] = [
      ["storage-full", 507],
      ["storage-unavailable", 503],
      ["database-unavailable", 503],
      ["stopping", 503],
      ["internal", 500],
      ["body-incomplete", 400],
      ["invalid-multipart", 400],
    ];
    for (const [code, httpStatus] of expected) {
      const { status, type, json } = respond(failed(code, "1.8"), failed(code));
      assert.deepEqual([status, type, json.code], [httpStatus, "application/problem+json", code]);
      assert.equal(respond(stored("1.9"), failed(code)).status, 202);
      assert.equal(respond(failed("not-dicom"), failed(code)).status, 409);
    }
  });
});
