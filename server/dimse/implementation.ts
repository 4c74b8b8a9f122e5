/** How this implementation calls itself (PS3.7 D.3.3.2). */
import { implementationClassUid, implementationVersionName } from "../dicom/part10-writer.ts";

/** The same as in the files that it makes (PS3.10 7.1). */
export const implementation = { implementationClassUid, implementationVersionName } as const;
