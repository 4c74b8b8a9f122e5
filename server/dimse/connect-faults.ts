/** Why a peer cannot be reached, in words, by what the system and TLS say. */

const notTrusted = "its certificate is not trusted (DIMSE_TLS_CA)";
const noTls = "it does not speak TLS there";

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there",
  ENOTFOUND: "there is no such host",
  EAI_AGAIN: "its name cannot be resolved at the moment",
  EHOSTUNREACH: "there is no way to its host",
  ENETUNREACH: "there is no way to its network",
  DEPTH_ZERO_SELF_SIGNED_CERT: notTrusted,
  SELF_SIGNED_CERT_IN_CHAIN: notTrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: notTrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: notTrusted,
  CERT_HAS_EXPIRED: "its certificate has expired",
  CERT_NOT_YET_VALID: "its certificate is not valid yet",
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate does not name its host (DIMSE_TLS_CHECK_HOST)",
  ERR_SSL_WRONG_VERSION_NUMBER: noTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: noTls,
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: "it knows neither TLS 1.2 nor TLS 1.3",
};

/** One sentence on what went wrong with a connection. */
export function unreachableSentence(cause: unknown): string {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  if (code === "") return "The peer cannot be reached.";
  return `The peer cannot be reached: ${reasons[code] ?? `the system says ${code}`}.`;
}
