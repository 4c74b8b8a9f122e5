/** The patient of the demonstration: three studies of a person who never was. */
import type { DemoFile, DemoSeries, DemoStudy } from "./demo-compose.ts";
import { ctFiles } from "./demo-ct.ts";
import { mrFiles } from "./demo-mr.ts";
import { pdfFiles } from "./demo-pdf.ts";
import { usFiles } from "./demo-us.ts";

const chest: DemoStudy = { key: "chest", description: "CT chest", date: "20240312", time: "101500" };
const head: DemoStudy = { key: "head", description: "MR head", date: "20240319", time: "143000" };
const heart: DemoStudy = { key: "heart", description: "Echocardiography", date: "20240402", time: "090500" };

interface Part {
  readonly series: DemoSeries;
  readonly make: (series: DemoSeries) => Iterable<DemoFile>;
}

const parts: readonly Part[] = [
  { series: { study: chest, key: "ct", number: 1, modality: "CT", description: "Thorax 2.5 mm" }, make: ctFiles },
  { series: { study: chest, key: "report", number: 2, modality: "DOC", description: "Report" }, make: pdfFiles },
  { series: { study: head, key: "mr", number: 1, modality: "MR", description: "T1 axial" }, make: mrFiles },
  { series: { study: heart, key: "us", number: 1, modality: "US", description: "Four chambers" }, make: usFiles },
];

/** A file and the description of its study. */
export interface DemoInstance {
  readonly file: DemoFile;
  readonly studyDescription: string;
}

/** Every instance of the demonstration, made as it is asked for; the same bytes in every run. */
export function* demoInstances(): Generator<DemoInstance> {
  for (const { series, make } of parts) {
    for (const file of make(series)) yield { file, studyDescription: series.study.description };
  }
}
