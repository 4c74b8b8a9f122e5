/** Why something is said of an instance that is stored: one table for every door. */

/** Data Set does not match SOP Class (PS3.4 B.2.3, PS3.18 Table I.2-2): stored, though something in it is ill-formed. */
const dataSetDoesNotMatch = 0xb007;

/** Coercion of Data Elements (ibidem), the nearest there is: stored, and more has changed than asked. */
const coercion = 0xb000;

/** Warning Reason (0008,1196) and DIMSE status of what is stored with warnings. */
export function warningReason({ replaced = false }: { readonly replaced?: boolean }): number {
  return replaced ? coercion : dataSetDoesNotMatch;
}
