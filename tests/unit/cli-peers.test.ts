/** The arguments of the commands that talk to peers: what they mean, and a sentence where they mean nothing. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parseFindArguments } from "../../server/cli/find-arguments.ts";
import { parsePeersArguments } from "../../server/cli/peers.ts";
import { parseFetchArguments, parseSendArguments } from "../../server/cli/send-arguments.ts";

describe("the arguments of noctis find", () => {
  it("go by level, and ask for what is shown there", () => {
    assert.deepEqual(
      [
        ["P"],
        ["P", "--study", "1.2"],
        ["P", "--study", "1.2", "--series", "1.3"],
        ["P", "--level", "patient"],
        ["P", "--level", "study", "--model", "patient"],
      ].map((args) => {
        const { level, model } = parseFindArguments(args);
        return `${level} ${model}`;
      }),
      ["STUDY study", "SERIES study", "IMAGE study", "PATIENT patient", "STUDY patient"],
    );
    const { keys, columns } = parseFindArguments([
      "P",
      "--study",
      "1.2",
      "--series",
      "1.3",
      "--return",
      "Rows,00280011",
    ]);
    assert.deepEqual(keys["0020000D"], { vr: "UI", Value: ["1.2"] });
    assert.deepEqual(keys["0020000E"], { vr: "UI", Value: ["1.3"] });
    assert.deepEqual(
      [keys["00280010"], keys["00280011"], keys["00080018"]],
      [{ vr: "US" }, { vr: "US" }, { vr: "UI" }],
    );
    assert.deepEqual(columns.slice(0, 5), ["00200013", "00080016", "00080018", "00280010", "00280011"]);
  });

  it("give values as DICOM JSON has them", () => {
    const { keys, limit } = parseFindArguments([
      "P",
      "PatientName=DOE^J*=山田^太郎",
      "0020,0010=a=b",
      "ModalitiesInStudy=CT\\MR",
      "StudyDate=",
      "SeriesNumber=7",
      "--limit",
      "0",
    ]);
    assert.deepEqual(keys["00100010"], { vr: "PN", Value: [{ Alphabetic: "DOE^J*", Ideographic: "山田^太郎" }] });
    assert.deepEqual(keys["00200010"], { vr: "SH", Value: ["a=b"] });
    assert.deepEqual(keys["00080061"], { vr: "CS", Value: ["CT", "MR"] });
    assert.deepEqual(keys["00080020"], { vr: "DA" });
    assert.deepEqual(keys["00200011"], { vr: "IS", Value: [7] });
    assert.equal(limit, Infinity);
  });

  it("are refused with a sentence when they are not understood", () => {
    for (const [wrong, message] of [
      [[], /which peer/],
      [["A@b"], /AE@host:port/],
      [["P", "PatientName"], /KEY=VALUE/],
      [["P", "=x"], /KEY=VALUE/],
      [["P", "PatientNmae=x"], /"PatientNmae" is not the keyword/],
      [["P", "ReferencedStudySequence=x"], /sequence/],
      [["P", "--level", "frame"], /--level/],
      [["P", "--model", "worklist"], /--model/],
      [["P", "--level", "patient", "--model", "study"], /--model patient/],
      [["P", "--limit", "many"], /--limit/],
    ] as const) {
      assert.throws(() => parseFindArguments(wrong), message, wrong.join(" "));
    }
  });
});

describe("the arguments of noctis send, fetch and peers", () => {
  it("say what goes where", () => {
    const files = parseSendArguments(["WS1@ws1:104", "a.dcm", "folder"]);
    assert.deepEqual([files.peer, files.paths, files.studies], ["WS1@ws1:104", ["a.dcm", "folder"], []]);
    assert.deepEqual(parseSendArguments(["P", "--study", "1.2,1.3", "--study", "1.4"]).studies, ["1.2", "1.3", "1.4"]);
    const fetch = parseFetchArguments(["P", "--study", "1.2", "--series", "1.3", "--instance", "1.4", "--by", "get"]);
    assert.deepEqual([fetch.studies, fetch.series, fetch.instance, fetch.by], [["1.2"], "1.3", "1.4", "get"]);
    assert.deepEqual(parsePeersArguments([]), { action: "list", json: false });
    assert.deepEqual(parsePeersArguments(["remove", "P"]), { action: "remove", names: ["P"] });
    assert.deepEqual(parsePeersArguments(["add", "n=A@[::1]:104?tls"]), {
      action: "add",
      peers: [{ kind: "dimse", name: "n", aeTitle: "A", host: "::1", port: 104, tls: true }],
    });
  });

  it("are refused with a sentence when they are not understood", () => {
    for (const [wrong, message] of [
      [["P"], /files or folders/],
      [["P", "a.dcm", "--study", "1.2"], /files or folders/],
      [["P", "--study", "x"], /--study/],
      [["P", "--study", "1.2", "--study", "1.3", "--series", "1.4"], /--series goes with one/],
    ] as const) {
      assert.throws(() => parseSendArguments(wrong), message, wrong.join(" "));
    }
    for (const [wrong, message] of [
      [["P"], /--study UID/],
      [["P", "1.2"], /does not know "1.2"/],
      [["P", "--study", "1.2", "--instance", "1.4"], /goes with --series/],
      [["P", "--study", "1.2", "--by", "post"], /get or move/],
    ] as const) {
      assert.throws(() => parseFetchArguments(wrong), message, wrong.join(" "));
    }
    for (const [wrong, message] of [
      [["dance"], /list, add or remove/],
      [["add"], /which peers to add/],
      [["add", "A@b"], /"A@b" must be/],
      [["list", "P"], /no names/],
    ] as const) {
      assert.throws(() => parsePeersArguments(wrong), message, wrong.join(" "));
    }
  });
});
