/** What one setting needs of another; checked apart from the schema, since zod skips such checks when a setting is faulty. */

type Settings = Readonly<Record<string, string | undefined>>;

/** Settings that are needed with others, and those that mean nothing without others, each in one line. */
export function faultsAcross(set: Settings): string[] {
  const isSet = (name: string) => set[name] !== undefined;
  const needed = (names: readonly string[], condition: boolean, why: string) =>
    names.filter((name) => condition && !isSet(name)).map((name) => `${name}: is needed ${why}`);
  const stray = (names: readonly string[], condition: boolean, without: string) =>
    names.filter((name) => condition && isSet(name)).map((name) => `${name}: is set without ${without}`);
  const keys = ["S3_ACCESS_KEY", "S3_SECRET_KEY"];
  const onTls = isSet("DIMSE_TLS_PORT");
  const asksForCertificates = onTls && set["DIMSE_TLS_CLIENT_CERT"] !== "none";
  return [
    ...needed(keys, isSet("S3_ENDPOINT"), "with S3_ENDPOINT"),
    // Instances would go to a local folder, where nobody looks for them.
    ...stray(keys, !isSet("S3_ENDPOINT"), "S3_ENDPOINT"),
    // Without it no backup would ever be made.
    ...stray(["BACKUP_AT"], !isSet("BACKUP_TO"), "BACKUP_TO"),
    ...(set["DIMSE_USER_REQUIRED"] === "true" ? needed(["DIMSE_USERS_FILE"], true, "with DIMSE_USER_REQUIRED") : []),
    ...needed(["DIMSE_TLS_KEY"], onTls || isSet("DIMSE_TLS_CERT"), "for TLS"),
    ...needed(["DIMSE_TLS_CERT"], onTls || isSet("DIMSE_TLS_KEY"), "for TLS"),
    // Every certificate that any authority has ever signed would do.
    ...needed(["DIMSE_TLS_CA"], asksForCertificates, "unless DIMSE_TLS_CLIENT_CERT is none"),
  ];
}
