/** Rules of who may connect, as people write them: TITLE[@ADDRESS][=RIGHTS]. */
import { BlockList, isIP } from "node:net";
import { isHost } from "../archive/peer-address.ts";
import { type Right, rights } from "./sop-class-policy.ts";

/** One rule; of several the first that fits counts. */
export interface AcceptRule {
  /** What the calling AE title has to be: `*` stands for any characters, `?` for one. */
  readonly callingAeTitle: RegExp;
  /** Where the caller has to be; `peers`: it has to be a known peer, at its own address. */
  readonly from: "anywhere" | "peers" | BlockList | { readonly host: string };
  readonly rights: ReadonlySet<Right>;
}

/** What is said of a rule that is none. */
export const acceptRuleForm =
  "must be rules such as CT1@10.0.0.5=store, WS*@10.1.0.0/16=query+retrieve or *@peers, joined by comma";

/** The rule that `text` is; undefined when it is none. */
export function parseAcceptRule(text: string): AcceptRule | undefined {
  const parts = /^([^@=]{1,16})(?:@([^@=]+))?(?:=([a-z+]+))?$/.exec(text.trim());
  const title = parts?.[1]?.trim() ?? "";
  if (title === "" || title.includes("\\")) return undefined;
  const from = parts?.[2] === undefined ? "anywhere" : parseAddress(parts[2]);
  const allowed = parts?.[3] === undefined ? new Set(rights) : parseRights(parts[3]);
  return from && allowed && { callingAeTitle: patternOf(title), from, rights: allowed };
}

function patternOf(title: string): RegExp {
  const escaped = title.replaceAll(/[^\w*?]/g, String.raw`\$&`);
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
}

function parseAddress(text: string): AcceptRule["from"] | undefined {
  if (text === "peers") return "peers";
  const [address = "", prefix, ...more] = text.split("/");
  if (more.length > 0) return undefined;
  const version = isIP(address);
  if (version === 0) return prefix === undefined && isHost(address) ? { host: address } : undefined;
  const longest = version === 6 ? 128 : 32;
  const length = prefix === undefined ? longest : Number(prefix);
  if (!/^\d{1,3}$/.test(prefix ?? "0") || length > longest) return undefined;
  const network = new BlockList();
  network.addSubnet(address, length, version === 6 ? "ipv6" : "ipv4");
  return network;
}

/** C-ECHO is everyone's; the word is there for those who have nothing else. */
function parseRights(text: string): ReadonlySet<Right> | undefined {
  const words = text.split("+");
  if (!words.every((word) => word === "echo" || rights.some((right) => right === word))) return undefined;
  return new Set(rights.filter((right) => words.includes(right)));
}

/** Whether an address of a connection is in the network. */
export function isWithin(network: BlockList, address: string): boolean {
  const version = isIP(address);
  return version !== 0 && network.check(address, version === 6 ? "ipv6" : "ipv4");
}
