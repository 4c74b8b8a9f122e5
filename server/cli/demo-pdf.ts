/** The report of the demonstration: a page of PDF, and the DICOM instance around it. */
import { compose, type DemoFile, type DemoSeries } from "./demo-compose.ts";

const encapsulatedPdfStorage = "1.2.840.10008.5.1.4.1.1.104.1";

/** One line of the page; an empty text is a gap. */
interface Line {
  readonly text: string;
  /** Height of the letters in points. */
  readonly size: number;
  readonly bold?: boolean;
}

const reportTitle = "Chest CT: demonstration report";

const lines: readonly Line[] = [
  { text: reportTitle, size: 20, bold: true },
  { text: "", size: 8 },
  { text: "Patient: Demo Phantom (DEMO-0001)", size: 11 },
  { text: "This patient is computed. The images show no person.", size: 11 },
  { text: "", size: 12 },
  { text: "Findings", size: 14, bold: true },
  { text: "A round nodule of about 17 mm in the upper part of the right lung.", size: 11 },
  { text: "Heart, great vessels and upper abdomen as they were programmed.", size: 11 },
  { text: "", size: 12 },
  { text: "What to try in the viewer", size: 14, bold: true },
  { text: "- Scroll through the slices and look for the nodule.", size: 11 },
  { text: "- Change between the soft tissue and the lung window.", size: 11 },
  { text: "- Measure the nodule with the length tool.", size: 11 },
  { text: "- Open the volume in three planes (MPR).", size: 11 },
];

/** A PDF string literal (ISO 32000-1, 7.3.4.2). */
function literal(text: string): string {
  return `(${text.replace(/[\\()]/gu, String.raw`\$&`)})`;
}

/** The page's content stream: a coloured bar, and the lines below it. Points from the lower left corner. */
function content(page: readonly Line[]): string {
  const drawn = ["0.16 0.32 0.55 rg 0 806 595 36 re f 0.1 g"];
  let y = 770;
  for (const { text, size, bold } of page) {
    y -= size * 1.5;
    if (text !== "") drawn.push(`BT /${bold ? "F2" : "F1"} ${size} Tf 60 ${y} Td ${literal(text)} Tj ET`);
  }
  return drawn.join("\n");
}

function font(name: string): string {
  return `<< /Type /Font /Subtype /Type1 /BaseFont /${name} /Encoding /WinAnsiEncoding >>`;
}

/** A PDF 1.4 file of one A4 page (ISO 32000-1, 7.5). The text must be ASCII. */
export function pdf(title: string, page: readonly Line[]): Buffer {
  const stream = content(page);
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
    "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R /F2 6 0 R >> >> >>",
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    font("Helvetica"),
    font("Helvetica-Bold"),
    `<< /Title ${literal(title)} /Producer (Noctis) >>`,
  ];
  let file = "%PDF-1.4\n";
  const offsets = objects.map((object, index) => {
    const offset = file.length;
    file += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return offset;
  });
  const table = offsets.map((offset) => `${String(offset).padStart(10, "0")} 00000 n \n`).join("");
  const size = objects.length + 1;
  const trailer = `trailer\n<< /Size ${size} /Root 1 0 R /Info ${objects.length} 0 R >>`;
  const whole = `${file}xref\n0 ${size}\n0000000000 65535 f \n${table}${trailer}\nstartxref\n${file.length}\n%%EOF\n`;
  return Buffer.from(whole, "latin1");
}

/** The report as an Encapsulated PDF instance. */
export function* pdfFiles(series: DemoSeries): Generator<DemoFile> {
  const document = pdf(reportTitle, lines);
  // An OB value has an even length (PS3.5 6.2); the true one is in Encapsulated Document Length.
  const value = new Uint8Array(document.length + (document.length % 2));
  value.set(document);
  yield compose(series, encapsulatedPdfStorage, 1, {
    ContentDate: series.study.date,
    ContentTime: series.study.time,
    AcquisitionDateTime: `${series.study.date}${series.study.time}`,
    ConversionType: "SYN",
    BurnedInAnnotation: "YES",
    DocumentTitle: reportTitle,
    ConceptNameCodeSequence: [
      { CodeValue: "18748-4", CodingSchemeDesignator: "LN", CodeMeaning: "Diagnostic imaging report" },
    ],
    MIMETypeOfEncapsulatedDocument: "application/pdf",
    EncapsulatedDocument: value.buffer,
    EncapsulatedDocumentLength: document.length,
  });
}
