/** The examples of PS3.5 Annexes H to K: text in character sets, and the bytes that say it. */

/** The bytes as a string of their values, and the VR where it is not PN. */
export type CharsetExample = readonly [
  section: string,
  terms: readonly string[],
  encoded: string,
  text: string,
  vr?: string,
];

export const charsetExamples: readonly CharsetExample[] = [
  [
    "H.3.1",
    ["", "ISO 2022 IR 87"],
    "Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
    "Yamada^Tarou=山田^太郎=やまだ^たろう",
  ],
  [
    "H.3.2",
    ["ISO 2022 IR 13", "ISO 2022 IR 87"],
    "\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
    "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
  ],
  [
    "I.2",
    ["", "ISO 2022 IR 149"],
    "Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
    "Hong^Gildong=洪^吉洞=홍^길동",
  ],
  [
    "I.3",
    ["", "ISO 2022 IR 149"],
    "\x1b$)CThe 1st line includes \xb1\xe6\xb5\xbf.\r\n" +
      "\x1b$)CThe 2nd line includes \xb1\xe6\xb5\xbf, too.\r\nThe 3rd line.",
    "The 1st line includes 길동.\r\nThe 2nd line includes 길동, too.\r\nThe 3rd line.",
    "LT",
  ],
  ["J.1", ["ISO_IR 192"], "Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=", "Wang^XiaoDong=王^小東="],
  ["J.3", ["GB18030"], "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="],
  ["J.5", ["GBK"], "Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="],
  ["K.2", ["", "ISO 2022 IR 58"], "Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=", "Zhang^XiaoDong=张^小东="],
  [
    "K.3",
    ["", "ISO 2022 IR 58"],
    "1.\x1b$)A\xb5\xda\xd2\xbb\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\x1b(B\r\n" +
      "2.\x1b$)A\xb5\xda\xb6\xfe\xd0\xd0\xce\xc4\xd7\xd6\xa1\xa3\x1b(B\r\n",
    "1.第一行文字。\r\n2.第二行文字。\r\n",
    "LT",
  ],
];
