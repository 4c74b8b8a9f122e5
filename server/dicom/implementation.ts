/** How this implementation names itself, in files (PS3.10 7.1) and on associations (PS3.7 D.3.3.2). */

export const implementationClassUid = "2.25.336549488731070712478028811569103497558";

/** At most 16 characters. */
export const implementationVersionName = "NOCTIS";
