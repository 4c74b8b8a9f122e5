/** TLS of both sides (PS3.15 B.12: BCP 195, that is RFC 8996 and RFC 9325): keys and certificates of files, read again when they change. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import type { ConnectionOptions, SecureContextOptions } from "node:tls";
import { ArchiveError } from "../errors.ts";

/** Paths of files in PEM, each by the setting that names it. */
export interface TlsFiles {
  readonly key?: string | undefined;
  readonly cert?: string | undefined;
  /** Certificates that are trusted, or those that have signed what is trusted. */
  readonly ca?: string | undefined;
}

export interface TlsOptions {
  readonly files: TlsFiles;
  /** Called when changed files cannot be used; the ones before stay in force. */
  readonly onFault: (error: ArchiveError) => void;
}

/** TLS 1.2 and 1.3, with the cipher suites that RFC 9325 4.2 recommends, and ChaCha20 for machines without AES. */
const profile = {
  minVersion: "TLSv1.2",
  maxVersion: "TLSv1.3",
  ciphers: [
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
  ].join(":"),
  honorCipherOrder: true,
} as const;

/** Names of the cipher suites, for documents. */
export const cipherSuites: readonly string[] = profile.ciphers.split(":");

/** The settings that name the files. */
const settings = { key: "DIMSE_TLS_KEY", cert: "DIMSE_TLS_CERT", ca: "DIMSE_TLS_CA" } as const;
const parts = ["key", "cert", "ca"] as const;
type Part = (typeof parts)[number];

/** What lies in the files now. Each call looks whether they have changed. */
export type CurrentTls = () => SecureContextOptions;

/**
 * Reads the files.
 * @throws ArchiveError `cannot-listen`: one sentence that names the setting whose file cannot be used
 */
export function openTls({ files, onFault }: TlsOptions): CurrentTls {
  let stamp = stampOf(files);
  let current = read(files);
  return () => {
    const now = stampOf(files);
    if (now === stamp) return current;
    stamp = now;
    try {
      current = read(files);
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error;
      onFault(error);
    }
    return current;
  };
}

/** What changes with the files, also when a link is put on others. */
function stampOf(files: TlsFiles): string {
  const stamps = parts.map((part) => {
    const file = files[part];
    const stats = file === undefined ? undefined : statSync(file, { throwIfNoEntry: false, bigint: true });
    return stats ? `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeNs}` : "";
  });
  return stamps.join(" ");
}

function read(files: TlsFiles): SecureContextOptions {
  const key = textOf(files, "key");
  const cert = textOf(files, "cert");
  const ca = textOf(files, "ca");
  const certificates = cert === undefined ? [] : certificatesOf(cert, "cert");
  const trusted = ca === undefined ? undefined : certificatesOf(ca, "ca");
  if (key !== undefined) checkKey(key, certificates[0]);
  return { ...profile, key, cert, ca: trusted?.map(String) };
}

function textOf(files: TlsFiles, part: Part): string | undefined {
  const file = files[part];
  if (file === undefined) return undefined;
  try {
    return readFileSync(file, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    throw unusable(part, code === "ENOENT" ? "there is none" : `the system says ${code}`, cause);
  }
}

function certificatesOf(text: string, part: Part): readonly X509Certificate[] {
  const blocks = text.match(/-----BEGIN (?:TRUSTED )?CERTIFICATE-----[\s\S]+?-----END (?:TRUSTED )?CERTIFICATE-----/g);
  if (!blocks) throw unusable(part, "it has no certificate in PEM");
  try {
    return blocks.map((block) => new X509Certificate(block));
  } catch (cause) {
    throw unusable(part, "a certificate in it is damaged", cause);
  }
}

function checkKey(text: string, certificate: X509Certificate | undefined): void {
  let isOfCertificate;
  try {
    isOfCertificate = certificate?.checkPrivateKey(createPrivateKey(text)) ?? true;
  } catch (cause) {
    const isLocked = /ENCRYPTED/.test(text);
    throw unusable("key", isLocked ? "it is locked by a passphrase" : "it has no private key in PEM", cause);
  }
  if (!isOfCertificate) throw unusable("key", "it is not the key of the certificate of DIMSE_TLS_CERT");
}

function unusable(part: Part, reason: string, cause?: unknown): ArchiveError {
  return new ArchiveError("cannot-listen", `The file of ${settings[part]} cannot be used: ${reason}.`, { cause });
}

/** When the certificate that is in force ends; undefined when there is none. */
export function certificateEnd(current: CurrentTls): Date | undefined {
  const { cert } = current();
  return typeof cert === "string" ? new X509Certificate(cert).validToDate : undefined;
}

/** What a client says, beside where it connects to; undefined `current`: it has nothing but what the system trusts. */
export function clientOptions(current: CurrentTls | undefined, checksHost: boolean): ConnectionOptions {
  const files = current?.() ?? profile;
  // The chain is verified in any case; what is left out is whether the certificate names the host.
  return { ...files, ...(!checksHost && { checkServerIdentity: () => undefined }) };
}
