/** The Storage Commitment Response Module (PS3.18 J.2) of a result. */
import type { CommitmentReference, CommitmentResult } from "../archive/commitment.ts";
import type { DicomJson } from "../dicom/json.ts";
import { sequence } from "./one-data-set.ts";

type Answered = CommitmentReference & { readonly failureReason?: number };

const tag = {
  failedSopSequence: "00081198",
  failedStudySequence: "0008119B",
  failureReason: "00081197",
  referencedInstanceSequence: "0008114A",
  referencedInstancesBySopClassSequence: "00081112",
  referencedSeriesSequence: "00081115",
  referencedSopClassUid: "00081150",
  referencedSopInstanceUid: "00081155",
  referencedSopSequence: "00081199",
  referencedStudySequence: "00081110",
  seriesInstanceUid: "0020000E",
  studyInstanceUid: "0020000D",
} as const;

/** The data set that answers a request, grouped as the request was. */
export function commitmentDocument({ form, committed, failed }: CommitmentResult): DicomJson {
  const items = form === "instances" ? flat : byStudy;
  const [committedTag, failedTag] =
    form === "instances"
      ? [tag.referencedSopSequence, tag.failedSopSequence]
      : [tag.referencedStudySequence, tag.failedStudySequence];
  return { ...sequence(committedTag, items(committed)), ...sequence(failedTag, items(failed)) };
}

function flat(references: readonly Answered[]): DicomJson[] {
  return references.map((one) => ({
    [tag.referencedSopClassUid]: uid(one.sopClassUid),
    ...instance(one),
  }));
}

function byStudy(references: readonly Answered[]): DicomJson[] {
  return grouped(
    references,
    (one) => one.studyInstanceUid,
    tag.studyInstanceUid,
    (ofStudy) =>
      sequence(
        tag.referencedSeriesSequence,
        grouped(
          ofStudy,
          (one) => one.seriesInstanceUid,
          tag.seriesInstanceUid,
          (ofSeries) =>
            sequence(
              tag.referencedInstancesBySopClassSequence,
              grouped(
                ofSeries,
                (one) => one.sopClassUid,
                tag.referencedSopClassUid,
                (ofClass) => sequence(tag.referencedInstanceSequence, ofClass.map(instance)),
              ),
            ),
        ),
      ),
  );
}

/** An item each of the references that share a UID, which stands in the item under `name`. */
function grouped(
  references: readonly Answered[],
  uidOf: (one: Answered) => string | undefined,
  name: string,
  below: (some: readonly Answered[]) => DicomJson,
): DicomJson[] {
  const groups = Map.groupBy(references, (one) => uidOf(one) ?? "");
  return [...groups].map(([value, some]) => ({ [name]: uid(value), ...below(some) }));
}

function instance({ sopInstanceUid, failureReason }: Answered): DicomJson {
  return {
    [tag.referencedSopInstanceUid]: uid(sopInstanceUid),
    ...(failureReason !== undefined && { [tag.failureReason]: { vr: "US", Value: [failureReason] } }),
  };
}

function uid(value: string) {
  return { vr: "UI", Value: [value] };
}
