/** Tests of the demonstration: its objects are parsed back by another library, and pixels are looked at where they are known. */
import assert from "node:assert/strict";
import { before, describe, it } from "node:test";

import dicomParser from "dicom-parser";

import { demoUid, type DemoFile } from "../../server/cli/demo-compose.ts";
import { ctGrid, noduleCentre } from "../../server/cli/demo-ct.ts";
import { demoInstances } from "../../server/cli/demo-patient.ts";
import { pdf } from "../../server/cli/demo-pdf.ts";
import { cine, contraction } from "../../server/cli/demo-us.ts";
import { viewerLink } from "../../server/cli/demo.ts";

type DataSet = ReturnType<typeof dicomParser.parseDicom>;

function group(): Map<string, { file: DemoFile; dataSet: DataSet }[]> {
  const groups = new Map<string, { file: DemoFile; dataSet: DataSet }[]>();
  for (const { file } of demoInstances()) {
    const dataSet = dicomParser.parseDicom(file.bytes);
    const modality = dataSet.string("x00080060") ?? "";
    groups.set(modality, [...(groups.get(modality) ?? []), { file, dataSet }]);
  }
  return groups;
}

function pixels(dataSet: DataSet): DataView {
  const element = dataSet.elements["x7fe00010"];
  assert.ok(element);
  const { buffer, byteOffset } = dataSet.byteArray;
  return new DataView(buffer, byteOffset + element.dataOffset, element.length);
}

/** Mean of the values around a place of the CT, in millimetres. */
function hounsfield(ct: readonly { dataSet: DataSet }[], [x, y, z]: readonly [number, number, number]): number {
  const at = [x, y, z].map((place, axis) =>
    Math.round((place - (ctGrid.origin[axis] ?? 0)) / (ctGrid.spacing[axis] ?? 1)),
  );
  const [column = 0, row = 0, slice = 0] = at;
  const dataSet = ct[slice]?.dataSet;
  assert.ok(dataSet);
  let sum = 0;
  for (const dy of [-1, 0, 1]) {
    for (const dx of [-1, 0, 1]) sum += pixels(dataSet).getInt16(((row + dy) * ctGrid.columns + column + dx) * 2, true);
  }
  return sum / 9;
}

describe("demonstration", () => {
  let groups = new Map<string, { file: DemoFile; dataSet: DataSet }[]>();
  before(() => {
    groups = group();
  });
  const of = (modality: string): { file: DemoFile; dataSet: DataSet }[] => groups.get(modality) ?? [];

  it("is one patient with a CT, a report, an MR and an ultrasound in three studies", () => {
    const counts = [...groups].map(([modality, { length }]) => [modality, length]);
    assert.deepEqual(counts, [
      ["CT", 128],
      ["DOC", 1],
      ["MR", 24],
      ["US", 1],
    ]);
    const all = [...groups.values()].flat();
    assert.deepEqual([...new Set(all.map(({ dataSet }) => dataSet.string("x00100010")))], ["Demo^Phantom"]);
    assert.equal(new Set(all.map(({ dataSet }) => dataSet.string("x0020000d"))).size, 3);
    assert.equal(of("DOC")[0]?.dataSet.string("x0020000d"), of("CT")[0]?.dataSet.string("x0020000d"));
  });

  it("has unique, valid UIDs that agree with the file meta information", () => {
    const all = [...groups.values()].flat();
    assert.equal(new Set(all.map(({ file }) => file.identifiers.sopInstanceUid)).size, all.length);
    for (const { file, dataSet } of all) {
      const { identifiers } = file;
      assert.match(identifiers.sopInstanceUid, /^2\.25\.[1-9]\d{30,38}$/u);
      assert.equal(dataSet.string("x00020002"), identifiers.sopClassUid);
      assert.equal(dataSet.string("x00020003"), identifiers.sopInstanceUid);
      assert.equal(dataSet.string("x00080018"), identifiers.sopInstanceUid);
      assert.equal(dataSet.string("x0020000e"), identifiers.seriesInstanceUid);
    }
  });

  it("is the same in every run", () => {
    assert.equal(demoUid("chest"), "2.25.222510251644382321426733170753501106961");
    const again = demoInstances().next();
    assert.ok(again.done !== true);
    assert.ok(again.value.file.bytes.equals(of("CT")[0]?.file.bytes ?? Buffer.alloc(0)));
  });

  it("has slices at even distances in one frame of reference", () => {
    for (const [modality, distance] of [
      ["CT", 2.5],
      ["MR", 5.5],
    ] as const) {
      const slices = of(modality).map(({ dataSet }) => dataSet);
      const places = slices.map((dataSet) => dataSet.floatString("x00200032", 2) ?? Number.NaN);
      for (const [index, place] of places.slice(1).entries()) {
        assert.ok(Math.abs(place - (places[index] ?? 0) - distance) < 1e-6);
      }
      assert.equal(new Set(slices.map((dataSet) => dataSet.string("x00200052"))).size, 1);
      assert.ok(slices.every((dataSet) => pixels(dataSet).byteLength === (dataSet.uint16("x00280010") ?? 0) ** 2 * 2));
    }
  });

  it("shows tissues in the Hounsfield units that they have", () => {
    const places: readonly (readonly [
      name: string,
      at: readonly [number, number, number],
      low: number,
      high: number,
    ])[] = [
      ["air", [0, -180, 0], -1024, -970],
      ["nodule", noduleCentre, 30, 90],
      ["lung", [-70, -45, 62], -900, -820],
      ["liver", [-68, 0, -130], 80, 110],
      ["aorta", [20, 38, -50], 230, 290],
      ["vertebra", [0, 68, 18], 180, 280],
    ];
    for (const [name, at, low, high] of places) {
      const value = hounsfield(of("CT"), at);
      assert.ok(value > low && value < high, `${name}: ${value}`);
    }
  });

  it("beats: the chamber is smaller at the height of a beat, and the loop closes", () => {
    const us = of("US")[0]?.dataSet;
    assert.ok(us);
    assert.equal(us.intString("x00280008"), cine.frames);
    const view = pixels(us);
    const size = cine.columns * cine.rows;
    assert.equal(view.byteLength, size * cine.frames);
    const dark = (frame: number): number => {
      let count = 0;
      for (let y = 40; y < 190; y += 1) {
        for (let x = 190; x < 270; x += 1) if (view.getUint8(frame * size + y * cine.columns + x) < 20) count += 1;
      }
      return count;
    };
    assert.ok(dark(7) < dark(0) * 0.8, `${dark(7)} of ${dark(0)}`);
    assert.equal(dark(20), dark(0));
    assert.equal(contraction(0), 0);
    assert.equal(contraction(1), 0);
    assert.equal(contraction(0.35), 1);
  });

  it("holds a PDF whose cross-reference table is right", () => {
    const doc = of("DOC")[0];
    assert.ok(doc);
    const element = doc.dataSet.elements["x00420011"];
    assert.ok(element);
    const length = doc.dataSet.uint32("x00420015") ?? 0;
    const document = doc.file.bytes.subarray(element.dataOffset, element.dataOffset + length).toString("latin1");
    assert.ok(document.startsWith("%PDF-1.4\n") && document.endsWith("%%EOF\n"));
    const table = Number(/startxref\n(\d+)\n/u.exec(document)?.[1]);
    assert.ok(document.startsWith("xref\n", table));
    const offsets = [...document.slice(table).matchAll(/^(\d{10}) 00000 n $/gmu)].map(([, offset]) => Number(offset));
    for (const [index, offset] of offsets.entries()) assert.ok(document.startsWith(`${index + 1} 0 obj\n`, offset));
    assert.equal(offsets.length, 7);
    assert.match(pdf("a (b) \\", []).toString("latin1"), /\/Title \(a \\\(b\\\) \\\\\)/u);
  });

  it("says where to see a study", () => {
    const link = viewerLink(new URL("http://user:secret@127.0.0.1:8080/dicom-web"), "1.2");
    assert.equal(link, "http://127.0.0.1:8080/viewer?StudyInstanceUIDs=1.2");
  });
});
