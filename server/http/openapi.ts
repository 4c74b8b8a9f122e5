/** The list of routes as an OpenAPI 3.1 document. */
import { z } from "zod";
import { errorTable } from "../errors.ts";
import { version } from "../version.ts";
import type { Reply, Request } from "./reply.ts";
import { mediaTypesAt, operationId, type QueryParameter, type Route } from "./route.ts";
import { statusMeaning } from "./status-meaning.ts";

type Json = Readonly<Record<string, unknown>>;

const introduction = `Noctis is a DICOMweb archive. Its transactions are those of DICOM PS3.18; what is not of the standard says so.
Every address also answers OPTIONS with its methods, and HEAD where it answers GET. Errors are problem documents
(RFC 9457) with a stable code. UIDs, keywords and tags are written as in PS3.6.`;

/** GET of the document, made once; its server is the address that the client has called. */
export function openApiHandler(routesOf: () => readonly Route[]) {
  let document: Json | undefined;
  return async ({ urlOf }: Request<unknown>): Promise<Reply> => {
    document ??= openApi(routesOf());
    const servers = [{ url: new URL("..", urlOf("")).href.replace(/\/$/, "") }];
    return {
      status: 200,
      headers: { "Content-Type": "application/json", "Cache-Control": "no-cache" },
      body: JSON.stringify({ ...document, servers }),
    };
  };
}

function openApi(routes: readonly Route[]): Json {
  const paths: Record<string, Record<string, unknown>> = {};
  for (const route of routes) {
    const path = route.path.replaceAll(/[:*](\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operation(route) };
  }
  return {
    openapi: "3.1.1",
    info: {
      title: "Noctis",
      version,
      summary: "A DICOMweb archive",
      description: introduction,
      license: { name: "MIT", identifier: "MIT" },
    },
    tags: [...new Set(routes.map(({ area }) => area))].map((name) => ({ name })),
    paths,
    components: { schemas, responses: { Problem: problemResponse("Any other error.", undefined) } },
  };
}

function operation(route: Route): Json {
  const { area, summary, section, query, requestTypes, statuses, requestSchema } = route;
  const responses = [...statuses]
    .sort((a, b) => a - b)
    .map((status) => [`${status}`, response(route, status)] as const);
  return {
    operationId: operationId(route),
    tags: [area],
    summary,
    description: `${section}.`,
    parameters: [...pathParameters(route), ...query.map(queryParameter)],
    ...(requestTypes.length > 0 && {
      requestBody: { required: true, content: content(requestTypes, requestSchema) },
    }),
    responses: { ...Object.fromEntries(responses), default: { $ref: "#/components/responses/Problem" } },
  };
}

const jsonSchema = z.looseObject({ description: z.string().optional(), examples: z.array(z.unknown()).optional() });

/** Every parameter of a path: name, JSON Schema, sentence and example. */
export function pathParameters({ params }: Route): readonly Json[] {
  return Object.entries(params.shape).map(([name, schema]) => {
    const { description = `The ${name}.`, examples: [example] = [], ...rest } = jsonSchema.parse(toSchema(schema));
    return {
      name,
      in: "path",
      required: true,
      description,
      schema: rest,
      ...(example !== undefined && { example }),
    };
  });
}

/** A name in angle brackets stands for any: an object, whose properties are parameters of their own. */
function queryParameter({ name, meaning, schema, repeatable, example }: QueryParameter): Json {
  if (name.startsWith("<")) {
    const any = { type: "object", additionalProperties: { type: "string" } };
    return { name: name.slice(1, -1), in: "query", description: meaning, style: "form", explode: true, schema: any };
  }
  const single = toSchema(schema);
  return {
    name,
    in: "query",
    description: meaning,
    schema: repeatable ? { type: "array", items: single } : single,
    ...(repeatable && { style: "form", explode: true }),
    ...(example !== undefined && { example: repeatable ? [example] : example }),
  };
}

function response(route: Route, status: number): Json {
  const types = mediaTypesAt(route, status);
  const description = statusMeaning(status);
  if (status < 400) {
    return { description, ...(types.length > 0 && { content: content(types, route.responseSchema) }) };
  }
  const { content: problem } = problemResponse(description, status);
  return { description, content: { ...content(types, route.responseSchema), ...problem } };
}

function problemResponse(description: string, status: number | undefined) {
  const [code, answer] = Object.entries(errorTable).find(([, { httpStatus }]) => httpStatus === status) ?? [
    "internal",
    errorTable.internal,
  ];
  const { title, httpStatus } = answer;
  const example = { type: `urn:noctis:error:${code}`, title, status: httpStatus, detail: `${title}.`, code };
  return {
    description,
    content: { "application/problem+json": { schema: { $ref: "#/components/schemas/Problem" }, example } },
  };
}

function content(mediaTypes: readonly string[], schema: z.ZodType | undefined): Json {
  const isDicom = mediaTypes.includes("application/dicom+json");
  const described = schema ? toSchema(schema) : isDicom ? { $ref: "#/components/schemas/DicomJson" } : {};
  return Object.fromEntries(
    // Bytes have no schema: OpenAPI 3.1 leaves it out for them.
    mediaTypes.map((mediaType) => [mediaType, /[/+]json$/.test(mediaType) ? { schema: described } : {}]),
  );
}

/** What cannot be said in JSON Schema (a check in code) is said by the metadata of the schema. */
function toSchema(schema: z.core.$ZodType): Json {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest;
}

const schemas: Json = {
  Problem: {
    type: "object",
    description: "A problem document (RFC 9457).",
    required: ["type", "title", "status", "detail", "code"],
    properties: {
      type: { type: "string", format: "uri" },
      title: { type: "string" },
      status: { type: "integer", minimum: 400, maximum: 599 },
      detail: { type: "string", description: "One sentence on this request." },
      code: { type: "string", enum: Object.keys(errorTable), description: "Stable." },
    },
  },
  DicomJson: {
    description: "The DICOM JSON Model (PS3.18 Annex F): a data set, or a list of them.",
    anyOf: [
      { $ref: "#/components/schemas/DataSet" },
      { type: "array", items: { $ref: "#/components/schemas/DataSet" } },
    ],
  },
  DataSet: {
    type: "object",
    description: "Attributes by tag.",
    patternProperties: { "^[0-9A-F]{8}$": { $ref: "#/components/schemas/Attribute" } },
    additionalProperties: false,
    example: { "00100020": { vr: "LO", Value: ["TEST-1"] } },
  },
  Attribute: {
    type: "object",
    required: ["vr"],
    properties: {
      vr: { type: "string", pattern: "^[A-Z]{2}$" },
      Value: { type: "array" },
      InlineBinary: { type: "string", contentEncoding: "base64" },
      BulkDataURI: { type: "string", format: "uri-reference" },
    },
  },
};
