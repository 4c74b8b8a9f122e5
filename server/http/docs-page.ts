/** The list of routes as a page for people: no script, nothing from elsewhere, light or dark as the reader has it. */
import { createHash } from "node:crypto";
import { type BodyMember, bodyForms } from "./docs-body.ts";
import { docsStyle } from "./docs-style.ts";
import { escaped } from "./markup.ts";
import { pathParameters } from "./openapi.ts";
import type { Reply, Request } from "./reply.ts";
import { operationId, type QueryParameter, type Route } from "./route.ts";
import { statusMeaning } from "./status-meaning.ts";

const styleHash = createHash("sha256").update(docsStyle).digest("base64");

/** Only the one style sheet in the page itself. */
const headers = {
  "Content-Type": "text/html; charset=utf-8",
  "Cache-Control": "no-cache",
  "Content-Security-Policy": `default-src 'none'; style-src 'sha256-${styleHash}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'`,
};

/** Stands for the address of the server in a page that is made once: no route has the character. */
const baseMark = "\u{e000}";

/** GET of the page. */
export function docsHandler(routesOf: () => readonly Route[]) {
  let marked: string | undefined;
  return async ({ urlOf }: Request<unknown>): Promise<Reply> => {
    marked ??= page(routesOf(), baseMark);
    const base = new URL("..", urlOf("")).href.replace(/\/$/, "");
    return { status: 200, headers, body: marked.replaceAll(baseMark, () => escaped(base)) };
  };
}

function page(routes: readonly Route[], base: string): string {
  const areas = [...new Set(routes.map(({ area }) => area))];
  const links = areas.map((area) => `<li><a href="#${anchor(area)}">${escaped(area)}</a></li>`);
  const sections = areas.map((area) => {
    const cards = routes.filter((route) => route.area === area).map((route) => card(route, base));
    return `<section id="${anchor(area)}"><h2>${escaped(area)}</h2>${cards.join("")}</section>`;
  });
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>API of Noctis</title>
<link rel="icon" href="data:,">
<style>${docsStyle}</style>
</head>
<body>
<header>
<h1>Noctis <span>API</span></h1>
<p>A DICOMweb archive: the transactions of DICOM PS3.18 below <code>${escaped(base)}/dicom-web</code>, and what is not of the
standard. Every address answers <code>OPTIONS</code> with its methods, and <code>HEAD</code> where it answers <code>GET</code>.
Errors are problem documents (RFC 9457) with a stable <code>code</code>.</p>
<p>For programs: <a href="openapi.json">OpenAPI 3.1</a>, and the <a href="../dicom-web/?accept=application/vnd.sun.wadl%2Bxml">capabilities</a>
of PS3.18 8.9 as WADL.</p>
</header>
<div class="columns">
<nav aria-label="Areas"><ul>${links.join("")}</ul></nav>
<main>${sections.join("\n")}</main>
</div>
</body>
</html>
`;
}

function anchor(area: string): string {
  return area.toLowerCase().replaceAll(/\W+/g, "-");
}

function card(route: Route, base: string): string {
  const { method, path, summary, section, query, requestTypes, responseTypes, statuses, requestSchema } = route;
  const shownPath = escaped(path).replaceAll(/[:*](\w+)/g, "<var>{$1}</var>");
  const named = query.filter(({ isAttribute }) => !isAttribute);
  const attributes = query.filter(({ isAttribute }) => isAttribute);
  const sequences = query.flatMap((parameter) => parameter.sequences ?? []);
  const inPath = pathParameters(route).map(({ name, description }) => row(String(name), String(description), "path"));
  const inQuery = named.map((parameter) => row(parameter.name, parameter.meaning, queryPlace(parameter)));
  const parameters = [...inPath, ...inQuery];
  const rows = [...statuses].sort((a, b) => a - b).map(statusRow);
  return `<details id="${operationId(route)}">
<summary><b class="${method.toLowerCase()}">${method}</b> <code>${shownPath}</code> <span>${escaped(summary)}</span></summary>
<div>
<p class="section">${escaped(section)}</p>
${parameters.length > 0 ? `<h3>Parameters</h3><table>${parameters.join("")}</table>` : ""}
${attributes.length > 0 ? `<h3>Attributes matched here</h3><p class="chips">${attributes.map(chip).join(" ")}</p>` : ""}
${sequences.length > 0 ? `<h3>Attributes of items matched here</h3><p class="chips">${codes(sequences.map((name) => `${name}.<attribute>`))}</p>` : ""}
${requestTypes.length > 0 ? `<h3>Content-Type</h3><p class="chips">${codes(requestTypes)}</p>` : ""}
${requestSchema ? bodyForms(requestSchema).map(bodyTable).join("") : ""}
${responseTypes.length > 0 ? `<h3>Accept</h3><p class="chips">${codes(responseTypes)}</p>` : ""}
<h3>Statuses</h3><table>${rows.join("")}</table>
<h3>Example</h3><pre><code>${escaped(curl(route, base))}</code></pre>
</div>
</details>`;
}

function queryPlace({ repeatable }: QueryParameter): string {
  return repeatable ? "query, repeatable" : "query";
}

function row(name: string, meaning: string, place: string): string {
  return `<tr><th scope="row"><code>${escaped(name)}</code><small>${place}</small></th><td>${escaped(meaning)}</td></tr>`;
}

function bodyTable(members: readonly BodyMember[], form: number): string {
  const rows = members.map(({ name, meaning, need }) => row(name, meaning, escaped(need)));
  return `<h3>${form === 0 ? "Members" : "Or these members"} of the body</h3><table>${rows.join("")}</table>`;
}

function statusRow(status: number): string {
  const kind = status < 300 ? "good" : status < 400 ? "elsewhere" : "bad";
  const meaning = escaped(statusMeaning(status));
  return `<tr><th scope="row"><code class="${kind}">${status}</code></th><td>${meaning}</td></tr>`;
}

function chip({ name, meaning }: QueryParameter): string {
  return `<code title="${escaped(meaning)}">${escaped(name)}</code>`;
}

function codes(types: readonly string[]): string {
  return types.map((type) => `<code>${escaped(type)}</code>`).join(" ");
}

/** Something to paste into a shell; only the UIDs are made up. */
function curl(route: Route, base: string): string {
  const { method, path, query, requestTypes, responseTypes } = route;
  const examples = new Map(pathParameters(route).map(({ name, example }) => [name, String(example)]));
  const address = path.replaceAll(/[:*](\w+)/g, (_, name: string) => examples.get(name) ?? name);
  const search = query.some(({ isAttribute }) => isAttribute) ? "?PatientName=Doe*&limit=10" : "";
  const sent = requestTypes.find((type) => !type.startsWith("multipart/")) ?? requestTypes[0];
  const wanted = responseTypes.length > 1 ? responseTypes.find((type) => !type.startsWith("multipart/")) : undefined;
  const binary = /json|xml|text/.test(wanted ?? responseTypes[0] ?? "json") ? "" : " -o answer";
  const body = sent === undefined ? "" : ` -H 'Content-Type: ${sent}' --data-binary @${fileFor(sent)}`;
  return `curl${method === "GET" ? "" : ` -X ${method}`}${wanted === undefined ? "" : ` -H 'Accept: ${wanted}'`}${body}${binary} '${base}${address}${search}'`;
}

function fileFor(mediaType: string): string {
  if (mediaType.endsWith("json")) return "body.json";
  return mediaType === "application/dicom" ? "a.dcm" : "body";
}
