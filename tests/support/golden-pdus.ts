/** PDUs as bytes and as values: written by hand after PS3.8 9.3, and recorded between programs of DCMTK 3.6.7. */
import type { ControlPdu } from "../../server/dimse/pdu.ts";

/** Bytes out of hexadecimal digits; what follows `;` in a line is a comment, text in quotes stands for itself. */
export function hex(text: string): Buffer {
  const parts = text
    .split("\n")
    .flatMap((line) => (line.split(";", 1)[0] ?? "").match(/"[^"]*"|[0-9a-fA-F]+/g) ?? [])
    .map((part) => (part.startsWith('"') ? Buffer.from(part.slice(1, -1), "latin1") : Buffer.from(part, "hex")));
  return Buffer.concat(parts);
}

/** One PDU both ways. */
export interface GoldenPdu {
  readonly name: string;
  readonly bytes: Buffer;
  readonly pdu: ControlPdu;
}

const titles = `
  "NOCTIS          "                          ; called AE title
  "CT1             "                          ; calling AE title
  0000000000000000000000000000000000000000000000000000000000000000`;

const applicationContext = `10 00 0015 "1.2.840.10008.3.1.1.1"`;

/** Every type of PDU but P-DATA-TF, and every item of an association request and acceptance. */
export const goldenPdus: readonly GoldenPdu[] = [
  {
    name: "A-ASSOCIATE-RQ with all items",
    bytes: hex(`01 00 00000158
      0001 0000 ${titles}
      ${applicationContext}
      20 00 0045  03 00 00 00                     ; presentation context 3
        30 00 0011 "1.2.840.10008.1.1"
        40 00 0011 "1.2.840.10008.1.2"
        40 00 0013 "1.2.840.10008.1.2.1"
      20 00 0023  01 00 00 00                     ; ids need not ascend
        30 00 0006 "1.2.99"
        40 00 0011 "1.2.840.10008.1.2"
      50 00 0087
        51 00 0004 00004000
        52 00 0008 "1.2.3.44"
        53 00 0004 0000 0008                      ; any number invoked, 8 performed
        54 00 000a 0006 "1.2.99" 00 01            ; SCP role alone
        54 00 000a 0006 "1.2.98" 01 01
        55 00 0006 "MODALI"
        56 00 000a 0006 "1.2.99" 01 00
        57 00 001d 0006 "1.2.99" 0005 "1.2.4"
          000c 0004 "1.98" 0004 "1.97"
        58 00 0012 02 01 0006 "m\u00fcller" 0006 "secret"
    `),
    pdu: {
      type: "A-ASSOCIATE-RQ",
      protocolVersion: 1,
      calledAeTitle: "NOCTIS",
      callingAeTitle: "CT1",
      applicationContextName: "1.2.840.10008.3.1.1.1",
      presentationContexts: [
        {
          id: 3,
          abstractSyntaxUid: "1.2.840.10008.1.1",
          transferSyntaxUids: ["1.2.840.10008.1.2", "1.2.840.10008.1.2.1"],
        },
        { id: 1, abstractSyntaxUid: "1.2.99", transferSyntaxUids: ["1.2.840.10008.1.2"] },
      ],
      userInformation: {
        maximumLength: 16_384,
        implementationClassUid: "1.2.3.44",
        implementationVersionName: "MODALI",
        operationsWindow: { maximumInvoked: 0, maximumPerformed: 8 },
        roles: [
          { sopClassUid: "1.2.99", scuRole: false, scpRole: true },
          { sopClassUid: "1.2.98", scuRole: true, scpRole: true },
        ],
        extendedNegotiations: [{ sopClassUid: "1.2.99", serviceClassApplicationInformation: Buffer.of(1, 0) }],
        commonExtendedNegotiations: [
          { sopClassUid: "1.2.99", serviceClassUid: "1.2.4", relatedGeneralSopClassUids: ["1.98", "1.97"] },
        ],
        userIdentity: {
          type: 2,
          positiveResponseRequested: true,
          primaryField: Buffer.from("müller", "latin1"),
          secondaryField: Buffer.from("secret"),
        },
      },
    },
  },
  {
    name: "A-ASSOCIATE-AC with all items",
    bytes: hex(`02 00 000000e7
      0001 0000 ${titles}
      ${applicationContext}
      21 00 0019  03 00 00 00 40 00 0011 "1.2.840.10008.1.2"
      21 00 0019  01 00 03 00 40 00 0011 "1.2.840.10008.1.2"
      50 00 004c
        51 00 0004 00020000
        52 00 0008 "1.2.3.45"
        53 00 0004 0001 0001
        54 00 000a 0006 "1.2.99" 00 01
        55 00 0006 "NOCTIS"
        56 00 000b 0006 "1.2.99" 01 00 01
        59 00 0005 0003 "yes"
    `),
    pdu: {
      type: "A-ASSOCIATE-AC",
      protocolVersion: 1,
      calledAeTitle: "NOCTIS",
      callingAeTitle: "CT1",
      applicationContextName: "1.2.840.10008.3.1.1.1",
      presentationContexts: [
        { id: 3, result: 0, transferSyntaxUid: "1.2.840.10008.1.2" },
        { id: 1, result: 3, transferSyntaxUid: "1.2.840.10008.1.2" },
      ],
      userInformation: {
        maximumLength: 131_072,
        implementationClassUid: "1.2.3.45",
        implementationVersionName: "NOCTIS",
        operationsWindow: { maximumInvoked: 1, maximumPerformed: 1 },
        roles: [{ sopClassUid: "1.2.99", scuRole: false, scpRole: true }],
        extendedNegotiations: [{ sopClassUid: "1.2.99", serviceClassApplicationInformation: Buffer.of(1, 0, 1) }],
        commonExtendedNegotiations: [],
        userIdentityResponse: Buffer.from("yes"),
      },
    },
  },
  {
    name: "A-ASSOCIATE-RJ",
    bytes: hex("03 00 00000004 00 02 03 02"),
    pdu: { type: "A-ASSOCIATE-RJ", result: 2, source: 3, reason: 2 },
  },
  { name: "A-RELEASE-RQ", bytes: hex("05 00 00000004 00000000"), pdu: { type: "A-RELEASE-RQ" } },
  { name: "A-RELEASE-RP", bytes: hex("06 00 00000004 00000000"), pdu: { type: "A-RELEASE-RP" } },
  {
    name: "A-ABORT",
    bytes: hex("07 00 00000004 00 00 02 06"),
    pdu: { type: "A-ABORT", source: 2, reason: 6 },
  },
];

/** What storescu and storescp (DCMTK 3.6.7) said to each other for one instance, with user name and passcode. */
export const recordedAssociation = {
  requestor: hex(`
    01000000013d0001000053544f52455f5343502020202020202053544f524553435520202020202020200000000000000000000000000000
    00000000000000000000000000000000000010000015312e322e3834302e31303030382e332e312e312e31200000380100ff003000001931
    2e322e3834302e31303030382e352e312e342e312e312e3740000013312e322e3834302e31303030382e312e322e312000004d0300ff0030
    000019312e322e3834302e31303030382e352e312e342e312e312e3740000013312e322e3834302e31303030382e312e322e324000001131
    2e322e3834302e31303030382e312e325000004f51000004000040005200001b312e322e3237362e302e373233303031302e332e302e332e
    362e375500000f4f464649535f44434d544b5f3336375800001102000005616c696365000673656372657404000000006c00000068010300
    000000040000005a000000000002001a000000312e322e3834302e31303030382e352e312e342e312e312e37000000000102000000010000
    00100102000000010000000007020000000000000000080200000001000000001008000000312e322e332e34000400000000600000005c01
    020800160055491a00312e322e3834302e31303030382e352e312e342e312e312e37000800180055490800312e322e332e3400100020004c
    4f0200412020000d0055490600312e322e330020000e0055490800312e322e332e310005000000000400000000`),
  acceptor: hex(`
    0200000000d90001000053544f52455f5343502020202020202053544f524553435520202020202020200000000000000000000000000000
    00000000000000000000000000000000000010000015312e322e3834302e31303030382e332e312e312e312100001b010000004000001331
    2e322e3834302e31303030382e312e322e312100001b0300000040000013312e322e3834302e31303030382e312e322e325000003a510000
    04000040005200001b312e322e3237362e302e373233303031302e332e302e332e362e375500000f4f464649535f44434d544b5f33363704
    000000006c00000068010300000000040000005a000000000002001a000000312e322e3834302e31303030382e352e312e342e312e312e37
    00000000010200000001800000200102000000010000000008020000000101000000090200000000000000001008000000312e322e332e34
    0006000000000400000000`),
} as const;
