/** Names as PS3.3 C.12.1.1.2 and the annexes of PS3.5 encode them, and what they say. */

interface NamedCharacterSet {
  /** Short name of the matrix line. */
  readonly name: string;
  /** Specific Character Set (0008,0005). */
  readonly terms: string;
  readonly bytes: Buffer;
  /** The three component groups in Unicode. */
  readonly alphabetic?: string;
  readonly ideographic?: string;
  readonly phonetic?: string;
}

const latin1 = (text: string) => Buffer.from(text, "latin1");
const escape = "\u001B";
const jisX0208 = `${escape}$B`;
const ascii = `${escape}(B`;
const ksX1001 = `${escape}$)C`;

/** One name a character set. */
export const characterSets: readonly NamedCharacterSet[] = [
  { name: "ISO_IR 100", terms: "ISO_IR 100", bytes: latin1("Buc^J\xE9r\xF4me"), alphabetic: "Buc^Jérôme" },
  { name: "ISO_IR 101", terms: "ISO_IR 101", bytes: latin1("Wa\xB3\xEAsa"), alphabetic: "Wałęsa" },
  { name: "ISO_IR 144", terms: "ISO_IR 144", bytes: latin1("\xBB\xEE\xDA\xE1"), alphabetic: "Люкс" },
  {
    name: "ISO_IR 127",
    terms: "ISO_IR 127",
    bytes: latin1("\xE2\xC8\xC7\xE6\xEA^\xE4\xE6\xD2\xC7\xD1"),
    alphabetic: "قباني^لنزار",
  },
  {
    name: "ISO_IR 126",
    terms: "ISO_IR 126",
    bytes: latin1("\xC4\xE9\xEF\xED\xF5\xF3\xE9\xEF\xF2"),
    alphabetic: "Διονυσιος",
  },
  {
    name: "ISO_IR 138",
    terms: "ISO_IR 138",
    bytes: latin1("\xF9\xF8\xE5\xEF^\xE3\xE1\xE5\xF8\xE4"),
    alphabetic: "שרון^דבורה",
  },
  { name: "ISO_IR 148", terms: "ISO_IR 148", bytes: latin1("\xC7avu\xFEo\xF0lu"), alphabetic: "Çavuşoğlu" },
  { name: "ISO_IR 166", terms: "ISO_IR 166", bytes: latin1("\xB9\xD2\xC1"), alphabetic: "นาม" },
  {
    name: "ISO_IR 13",
    terms: "ISO_IR 13",
    bytes: latin1("\xD4\xCF\xC0\xDE^\xC0\xDB\xB3"),
    alphabetic: "ﾔﾏﾀﾞ^ﾀﾛｳ",
  },
  {
    name: "ISO 2022 IR 87",
    terms: String.raw`\ISO 2022 IR 87`,
    bytes: latin1(
      `Yamada^Tarou=${jisX0208};3ED${ascii}^${jisX0208}B@O:${ascii}=` +
        `${jisX0208}$d$^$@${ascii}^${jisX0208}$?$m$&${ascii}`,
    ),
    alphabetic: "Yamada^Tarou",
    ideographic: "山田^太郎",
    phonetic: "やまだ^たろう",
  },
  {
    name: "ISO 2022 IR 149",
    terms: String.raw`\ISO 2022 IR 149`,
    bytes: latin1(
      `Hong^Gildong=${ksX1001}\xFB\xF3^${ksX1001}\xD1\xCE\xD4\xD7=${ksX1001}\xC8\xAB^${ksX1001}\xB1\xE6\xB5\xBF`,
    ),
    alphabetic: "Hong^Gildong",
    ideographic: "洪^吉洞",
    phonetic: "홍^길동",
  },
  {
    name: "GB18030",
    terms: "GB18030",
    bytes: latin1("Wang^XiaoDong=\xCD\xF5^\xD0\xA1\xB6\xAB="),
    alphabetic: "Wang^XiaoDong",
    ideographic: "王^小东",
  },
  {
    name: "ISO_IR 192",
    terms: "ISO_IR 192",
    bytes: Buffer.from("Wang^XiaoDong=王^小東="),
    alphabetic: "Wang^XiaoDong",
    ideographic: "王^小東",
  },
];
