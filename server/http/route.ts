/** What a route is: everything that is known of it, said once, for the door, the documents and the tests. */
import type { z } from "zod";
import { ArchiveError } from "../errors.ts";
import { parseParams } from "./params.ts";
import type { Reply, Request } from "./reply.ts";

/** Methods of routes. A GET answers HEAD, too; OPTIONS is answered at every address. */
export type Method = "GET" | "POST" | "PUT" | "DELETE";

/** One parameter of a query. */
export interface QueryParameter {
  /** In angle brackets where it stands for many names: `<attribute>`. */
  readonly name: string;
  /** One sentence for people. */
  readonly meaning: string;
  /** What its value is. A value that does not fit is answered with 400; the message follows the name. */
  readonly schema: z.ZodType;
  /** Whether it may be given more than once. */
  readonly repeatable?: boolean;
  readonly example?: string;
  /** Whether it is one of the many attributes that a search matches. */
  readonly isAttribute?: boolean;
  /** Of a parameter that stands for any attribute: sequences whose items are matched. */
  readonly sequences?: readonly string[];
}

/** What routes of one transaction have in common. */
export interface Transaction {
  /** Heading under which people find it. */
  readonly area: string;
  /** Section of PS3.18, or what the route is where that has none. */
  readonly section: string;
  readonly query: readonly QueryParameter[];
  /** Media types of the body of the request; none when it has none. */
  readonly requestTypes: readonly string[];
  /** Media types of the body of an answer of success; none when it has none. */
  readonly responseTypes: readonly string[];
  /** Every status that it may answer, beside those that the door answers for all routes; another one is a defect. */
  readonly statuses: readonly number[];
  /** Statuses of failure whose body is one of `responseTypes` instead of a problem document. */
  readonly outcomes?: readonly number[];
  /** What a JSON body of the request holds, where it is not DICOM JSON. */
  readonly requestSchema?: z.ZodType;
  /** The same of the answer. */
  readonly responseSchema?: z.ZodType;
}

/** One route, its handler behind the check of its path and of its query. */
export interface Route extends Transaction {
  readonly method: Method;
  /** Path with the parameters of its schema, as @koa/router writes them. */
  readonly path: string;
  /** One line for people. */
  readonly summary: string;
  readonly params: z.ZodObject;
  readonly handle: (request: Request<unknown>) => Promise<Reply>;
}

/** Media type of a problem document (RFC 9457). */
const problemType = "application/problem+json";

/** Answers of a GET to conditions on the state of the resource (RFC 9110 13), which the door gives for every route. */
const conditional = [304, 412];

/** Answer to a page of another origin that would change something (foreign-pages.ts). */
const changing = [403];

/** Makes a route; see `Route` for what its parts mean. */
export function route<Schema extends z.ZodObject>(
  method: Method,
  path: string,
  params: Schema,
  summary: string,
  transaction: Transaction,
  handle: (request: Request<z.infer<Schema>>) => Promise<Reply>,
): Route {
  const checked = (request: Request<unknown>) => {
    checkQuery(transaction.query, request.query);
    return handle({ ...request, params: parseParams(params, request.params) });
  };
  const statuses = [...new Set([...transaction.statuses, 400, ...(method === "GET" ? conditional : changing)])];
  return { ...transaction, statuses, method, path, summary, params, handle: checked };
}

/** Name of a route for programs: its summary in one word, and unique. */
export function operationId({ summary }: Route): string {
  return summary
    .split(/\W+/)
    .filter((word) => word !== "" && !["a", "an", "the"].includes(word))
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join("");
}

/** Media types of the body that comes with a status; none where there is no body. */
export function mediaTypesAt({ responseTypes, outcomes = [] }: Transaction, status: number): readonly string[] {
  if (status === 204 || (status >= 300 && status < 400)) return [];
  if (status < 300) return responseTypes;
  return outcomes.includes(status) ? [...responseTypes, problemType] : [problemType];
}

/** Checks the parameters that a route names; the others are its own business. @throws ArchiveError `invalid-query` */
function checkQuery(parameters: readonly QueryParameter[], query: URLSearchParams): void {
  for (const { name, schema, repeatable } of parameters) {
    const values = query.getAll(name);
    if (values.length > 1 && repeatable !== true) {
      throw new ArchiveError("invalid-query", `${name} is given more than once.`);
    }
    for (const value of values) {
      const [issue] = schema.safeParse(value).error?.issues ?? [];
      if (issue) throw new ArchiveError("invalid-query", `${name} ${issue.message}.`);
    }
  }
}
