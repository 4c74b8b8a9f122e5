/** The part of dcmjs (which ships no types) that Noctis uses. */
declare module "dcmjs" {
  interface DictionaryRow {
    readonly tag: string;
    readonly vr: string;
    readonly vm: string;
    readonly name: string;
  }
  interface DcmjsElement {
    readonly vr: string;
    readonly Value: readonly unknown[];
  }
  class DicomDict {
    constructor(meta: Readonly<Record<string, DcmjsElement>>);
    dict: Record<string, DcmjsElement>;
    write(options?: { allowInvalidVRLength?: boolean }): ArrayBuffer;
  }
  const dcmjs: {
    readonly data: {
      readonly DicomDict: typeof DicomDict;
      readonly DicomMetaDictionary: {
        readonly nameMap: Readonly<Record<string, DictionaryRow>>;
        denaturalizeDataset(dataSet: Readonly<Record<string, unknown>>): Record<string, DcmjsElement>;
      };
    };
  };
  // oxlint-disable-next-line import/no-default-export -- dcmjs is a default export
  export default dcmjs;
}
