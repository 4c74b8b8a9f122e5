/** The tables of the Conformance Statement about DIMSE, made of the tables that the DIMSE door runs by. */
import { rejections } from "../server/dimse/admission.ts";
import { isSupported, optionsOf } from "../server/dimse/extended-negotiation.ts";
import { implementation } from "../server/dimse/implementation.ts";
import { patientRoot, studyRoot } from "../server/dimse/information-models.ts";
import { rejectionReason } from "../server/dimse/reject-words.ts";
import { serviceSopClasses, sopClassPolicies } from "../server/dimse/sop-class-policy.ts";
import { nonPatientSopClasses, storageSopClasses } from "../server/dimse/storage-sop-classes.ts";
import { cipherSuites } from "../server/dimse/tls.ts";
import { transferSyntaxes } from "../server/dicom/transfer-syntax.ts";
import { code, table, yes } from "./statement-markdown.ts";

/** Tables by name, as Markdown. */
export function dimseTables(): readonly (readonly [name: string, markdown: string])[] {
  return [
    ["dimse-services", serviceTable()],
    ["dimse-implementation", implementationTable()],
    ["dimse-rejections", rejectionTable()],
    ["dimse-contexts", contextTable()],
    ["dimse-extended", extendedTable()],
    ["dimse-storage", storageTable(storageSopClasses)],
    ["dimse-non-patient", storageTable(nonPatientSopClasses)],
    [
      "dimse-ciphers",
      table(
        ["cipher suite"],
        cipherSuites.map((suite) => [code(suite)]),
      ),
    ],
  ];
}

/** What this application asks of others: what it is told to by jobs and commands. */
const asUser = new Set([
  "1.2.840.10008.1.1",
  ...[patientRoot, studyRoot].flatMap((model) => [model.findSopClassUid, model.moveSopClassUid, model.getSopClassUid]),
]);

function serviceTable(): string {
  return table(
    ["SOP class", "UID", "SCP", "SCU"],
    [...serviceSopClasses].map(([uid, { name }]) => [name, uid, "yes", yes(asUser.has(uid))]),
  );
}

function implementationTable(): string {
  return table(
    ["what", "value"],
    [
      ["Implementation Class UID", implementation.implementationClassUid],
      ["Implementation Version Name", implementation.implementationVersionName],
    ],
  );
}

function rejectionTable(): string {
  return table(
    ["result", "source", "reason", "meaning"],
    Object.values(rejections).map((rejection) => [
      rejection.result === 1 ? "1 permanent" : "2 transient",
      `${rejection.source}`,
      `${rejection.reason}`,
      rejectionReason(rejection),
    ]),
  );
}

function contextTable(): string {
  return table(
    ["SOP classes", "transfer syntaxes", "order that decides", "SCU role of this acceptor"],
    Object.entries(sopClassPolicies).map(([kind, { transferSyntaxUids, orderOf, invokesFor }]) => [
      kind,
      transferSyntaxUids.length > 10 ? "all of section 6" : namesOf(transferSyntaxUids),
      `the ${orderOf}'s`,
      yes(invokesFor !== "nobody"),
    ]),
  );
}

function namesOf(uids: readonly string[]): string {
  return uids.map((uid) => transferSyntaxes.get(uid)?.name ?? uid).join(", ");
}

const services = { find: "C-FIND", retrieve: "C-MOVE, C-GET" } as const;

function extendedTable(): string {
  const rows = (["find", "retrieve"] as const).flatMap((kind) =>
    optionsOf[kind].map((option, index) => [services[kind], `${index + 1}`, option, yes(isSupported(option))]),
  );
  return table(["service", "byte", "option", "agreed to"], rows);
}

function storageTable(classes: typeof storageSopClasses): string {
  return table(
    ["SOP class", "UID"],
    [...classes.values()].map(({ name, uid, isRetired }) => [isRetired ? `${name} (retired)` : name, uid]),
  );
}
