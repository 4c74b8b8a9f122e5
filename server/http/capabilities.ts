/** Retrieve Capabilities (PS3.18 8.9, Annex H): the list of routes as a WADL document, in XML or in JSON. */
import { ArchiveError } from "../errors.ts";
import { escaped } from "./markup.ts";
import { negotiate } from "./media-type.ts";
import type { Reply, Request } from "./reply.ts";
import { mediaTypesAt, operationId, type Route } from "./route.ts";

/** WADL names no media type for JSON; these are what clients ask for. XML is what is given to whom names none. */
const offers = [
  { mediaType: "application/vnd.sun.wadl+xml", multipart: false, form: "xml" },
  { mediaType: "application/xml", multipart: false, form: "xml" },
  { mediaType: "text/xml", multipart: false, form: "xml" },
  { mediaType: "application/json", multipart: false, form: "json" },
  { mediaType: "application/vnd.sun.wadl+json", multipart: false, form: "json" },
] as const;
/** For people, who come with a browser to the root. */
const page = { mediaType: "text/html", multipart: false, form: "page" } as const;

/** What `capabilitiesHandler` answers with. */
export const capabilitiesTypes: readonly string[] = [...offers.map(({ mediaType }) => mediaType), page.mediaType];

/** An element of XML: text is an attribute, a list the child elements of that name. */
interface Element {
  readonly [name: string]: string | readonly Element[] | undefined;
}

type Resource = {
  readonly path: string;
  readonly param?: readonly Element[];
  readonly method: Element[];
  readonly resource: Resource[];
};

/** GET of the root: everything below it. A browser is sent on to the page for people. */
export function capabilitiesHandler(routesOf: () => readonly Route[], root: string) {
  return async (request: Request<unknown>): Promise<Reply> => {
    const offer = negotiate(request.accept, [...offers, page]);
    if (offer?.form === "page") return { status: 303, headers: { Location: "../api/docs", Vary: "Accept" } };
    return description(request, routesOf(), root, root);
  };
}

/**
 * OPTIONS at `path`: the methods there, and the description of what is at it and below. A resource that is not of
 * DICOMweb, and an Accept that asks for something else, get the methods alone.
 */
export function optionsHandler(routes: readonly Route[], root: string, path: string) {
  const methods = routes.flatMap((route) => (route.path === path ? [route.method] : []));
  const allowed = [...methods, ...(methods.includes("GET") ? ["HEAD"] : []), "OPTIONS"].join(", ");
  return async (request: Request<unknown>): Promise<Reply> => {
    const ofResource = path.startsWith(`${root}/`) && negotiate(request.accept, offers) !== undefined;
    const described = path === root || ofResource;
    const { headers, ...reply } = described ? description(request, routes, root, path) : { status: 204, headers: {} };
    return { ...reply, headers: { ...headers, Allow: allowed } };
  };
}

/** @throws ArchiveError `not-acceptable` */
function description({ accept, urlOf }: Request<unknown>, routes: readonly Route[], root: string, at: string): Reply {
  const offer = negotiate(accept, offers);
  if (!offer) throw new ArchiveError("not-acceptable", "Capabilities are available as application/vnd.sun.wadl+xml.");
  const below = routes.filter(({ path }) => path.startsWith(`${root}/`) && `${path}/`.startsWith(`${at}/`));
  const application = { resources: [{ base: urlOf(""), resource: resourcesOf(below, root) }] };
  const json = offer.form === "json";
  return {
    status: 200,
    headers: {
      "Content-Type": json ? offer.mediaType : `${offer.mediaType}; charset=utf-8`,
      "Cache-Control": "no-cache",
      Vary: "Accept",
    },
    body: json
      ? JSON.stringify({ application })
      : `<?xml version="1.0" encoding="UTF-8"?>\n${xml("application", { xmlns: "http://wadl.dev.java.net/2009/02", ...application })}\n`,
  };
}

/** The tree of resources, a level for every segment of a path. */
function resourcesOf(routes: readonly Route[], root: string): Resource[] {
  const top: Resource[] = [];
  for (const route of routes) {
    let level = top;
    let found: Resource | undefined;
    for (const segment of route.path.slice(root.length + 1).split("/")) {
      const path = segment.replace(/^[:*](\w+)$/, "{$1}");
      found = level.find((resource) => resource.path === path);
      if (!found) {
        found = { path, ...(path.startsWith("{") && { param: [template(path)] }), method: [], resource: [] };
        level.push(found);
      }
      level = found.resource;
    }
    found?.method.push(methodOf(route));
  }
  return top;
}

function template(path: string): Element {
  return { name: path.slice(1, -1), style: "template", required: "true" };
}

function methodOf(route: Route): Element {
  const { method, summary, section, query, requestTypes, responseTypes, statuses } = route;
  const accept = {
    name: "Accept",
    style: "header",
    ...(responseTypes[0] !== undefined && { default: responseTypes[0] }),
    option: responseTypes.map((value) => ({ value })),
  };
  // WADL knows no parameter of any name.
  const named = query.filter(({ name }) => !name.startsWith("<"));
  const parameters = named.map(({ name, meaning, repeatable }) => ({
    name,
    style: "query",
    ...(repeatable && { repeating: "true" }),
    doc: [{ title: meaning }],
  }));
  const param = [...(responseTypes.length > 0 ? [accept] : []), ...parameters];
  const representation = requestTypes.map((mediaType) => ({ mediaType }));
  return {
    name: method,
    id: operationId(route),
    doc: [{ title: `${summary} (${section})` }],
    request: [{ param, representation }],
    response: [...statuses]
      .sort((a, b) => a - b)
      .map((status) => ({
        status: `${status}`,
        representation: mediaTypesAt(route, status).map((mediaType) => ({ mediaType })),
      })),
  };
}

function xml(name: string, element: Element | Resource): string {
  const parts: readonly (readonly [string, string | readonly (Element | Resource)[] | undefined])[] =
    Object.entries(element);
  const attributes = parts.map(([key, value]) => (typeof value === "string" ? ` ${key}="${escaped(value)}"` : ""));
  const children = parts.flatMap(([key, value]) =>
    typeof value === "object" ? value.map((child) => xml(key, child)) : [],
  );
  const head = `<${name}${attributes.join("")}`;
  return children.length === 0 ? `${head}/>` : `${head}>${children.join("")}</${name}>`;
}
