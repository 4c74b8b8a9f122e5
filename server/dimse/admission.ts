/** Who may open an association, and for what (PS3.8 9.3.4, PS3.7 D.3.3.7.3). */
import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { type AcceptRule, isWithin } from "./accept-rules.ts";
import type { Admitted } from "./negotiate.ts";
import { type AssociateReject, type AssociateRequest, dicomApplicationContext } from "./pdu.ts";
import type { CheckUser } from "./user-identity.ts";

/** A-ASSOCIATE-RJ for each reason that this server has (PS3.8 Table 9-21). */
export const rejections = {
  applicationContextNotSupported: reject(1, 1, 2),
  callingAeTitleNotRecognized: reject(1, 1, 3),
  calledAeTitleNotRecognized: reject(1, 1, 7),
  /** An authorization failure has no reason of its own (PS3.7 D.3.3.7.3). */
  userNotAuthorized: reject(1, 2, 1),
  protocolVersionNotSupported: reject(1, 2, 2),
  temporaryCongestion: reject(2, 3, 1),
  localLimitExceeded: reject(2, 3, 2),
} as const;

function reject(result: number, source: number, reason: number): AssociateReject {
  return { type: "A-ASSOCIATE-RJ", result, source, reason };
}

/** What is decided of a request: it is rejected, for a reason that the log tells, or admitted. */
export type Verdict =
  | { readonly rejection: AssociateReject; readonly why: string }
  | (Admitted & { readonly rejection?: undefined });

export interface AdmissionOptions {
  /** AE titles by which this server is called; `*` among them: any. */
  readonly calledAeTitles: readonly string[];
  readonly rules: readonly AcceptRule[];
  /** The host of the peer with an AE title; undefined when there is none. */
  readonly hostOfPeer: (aeTitle: string) => Promise<string | undefined>;
  /** Undefined: nobody looks at user identities. */
  readonly checkUser?: CheckUser | undefined;
  /** The addresses of a host; none when it is not known. Default: as the system resolves it. */
  readonly addressesOf?: (host: string) => Promise<readonly string[]>;
}

/**
 * Decides of a request from an address; rejects with what `hostOfPeer` and `checkUser` throw, so that the caller is asked
 * to come again.
 */
export type Admission = (request: AssociateRequest, remoteAddress: string) => Promise<Verdict>;

/** Makes the decision. */
export function createAdmission(options: AdmissionOptions): Admission {
  const { calledAeTitles, rules, hostOfPeer, checkUser, addressesOf = resolve } = options;

  const isAt = async (host: string | undefined, address: string) => {
    if (host === undefined) return false;
    const addresses = isIP(host) === 0 ? await addressesOf(host) : [host];
    return addresses.some((one) => isSame(plain(one), address));
  };
  const fits = async ({ callingAeTitle, from }: AcceptRule, title: string, address: string) => {
    if (!callingAeTitle.test(title)) return false;
    if (from === "anywhere") return true;
    if (from === "peers") return isAt(await hostOfPeer(title), address);
    return "host" in from ? isAt(from.host, address) : isWithin(from, address);
  };
  const ruleFor = async (title: string, address: string) => {
    for (const rule of rules) if (await fits(rule, title, address)) return rule;
    return undefined;
  };

  return async (request, remoteAddress) => {
    const { callingAeTitle, calledAeTitle, applicationContextName, protocolVersion, userInformation } = request;
    if ((protocolVersion & 1) === 0) {
      return { rejection: rejections.protocolVersionNotSupported, why: "its protocol version is not 1" };
    }
    if (applicationContextName !== dicomApplicationContext) {
      return { rejection: rejections.applicationContextNotSupported, why: "its application context is not DICOM's" };
    }
    if (!calledAeTitles.includes("*") && !calledAeTitles.includes(calledAeTitle)) {
      const why = "DIMSE_CALLED_AE_TITLES does not have the called AE title";
      return { rejection: rejections.calledAeTitleNotRecognized, why };
    }
    const rule = await ruleFor(callingAeTitle, plain(remoteAddress));
    if (!rule) {
      const why = "no rule of DIMSE_ACCEPT fits the calling AE title and the address";
      return { rejection: rejections.callingAeTitleNotRecognized, why };
    }
    const checked = await checkUser?.(userInformation.userIdentity);
    if (checked?.why !== undefined) return { rejection: rejections.userNotAuthorized, why: checked.why };
    return { rights: rule.rights, user: checked?.user, userIdentityResponse: checked?.response };
  };
}

/** An IPv4 address that a socket for both shows as one of IPv6 (RFC 4291 2.5.5.2), and one with a zone, without that. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/i, "").replace(/%.*$/, "");
}

/** Whether both are one address: one of IPv6 can be spelt in several ways. */
function isSame(one: string, other: string): boolean {
  const list = new BlockList();
  list.addAddress(one, isIP(one) === 6 ? "ipv6" : "ipv4");
  return isWithin(list, other);
}

async function resolve(host: string): Promise<readonly string[]> {
  try {
    return (await lookup(host, { all: true })).map(({ address }) => address);
  } catch {
    return [];
  }
}
