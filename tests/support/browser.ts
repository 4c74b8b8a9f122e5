/** A real Chromium for tests, which keeps account of everything that went wrong in its pages. */
import { chromium } from "playwright-core";
import type { BrowserContext, Page, Request } from "playwright-core";
import { pathOf } from "./require.ts";

/** A running browser with one open page. */
export interface TestBrowser {
  readonly page: Page;
  /** What went wrong so far, one sentence each: console errors, uncaught errors, failed requests, foreign hosts. */
  problems(): readonly string[];
  /** Closes the browser and removes its profile. */
  stop(): Promise<void>;
}

/** Size of the page in CSS pixels; one CSS pixel is one device pixel. */
const viewport = { width: 1600, height: 1000 };

/** WebGL is drawn by software, the sandbox is left out where Chromium refuses it, and Chromium itself calls nobody. */
const flags = [
  "--use-gl=angle",
  "--use-angle=swiftshader",
  "--enable-unsafe-swiftshader",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
];

/**
 * Starts Chromium with a fresh profile, for pages of the server at `serverUrl`. Every request to another host is
 * counted as a problem, and fails. Guard the test by `requirement("chromium")`.
 */
export async function startBrowser(serverUrl: string): Promise<TestBrowser> {
  const asRoot = process.getuid?.() === 0;
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM"] ?? pathOf("chromium"),
    headless: true,
    args: asRoot ? [...flags, "--no-sandbox"] : flags,
  });
  const context = await browser.newContext({ viewport, deviceScaleFactor: 1 });
  const problems: string[] = [];
  watch(context, new URL(serverUrl).origin, problems);
  const page = await context.newPage();
  return { page, problems: () => problems, stop: () => browser.close() };
}

function watch(context: BrowserContext, origin: string, problems: string[]): void {
  context.on("request", (request) => {
    if (isForeign(request, origin)) problems.push(`A foreign host was called: ${request.url()}`);
  });
  context.on("requestfailed", (request) => {
    const reason = request.failure()?.errorText ?? "";
    // The page itself gave up the request, mostly because it was left.
    if (reason === "net::ERR_ABORTED") return;
    problems.push(`A request failed: ${request.method()} ${request.url()}: ${reason}`);
  });
  context.on("response", (response) => {
    if (response.status() >= 400) problems.push(`Status ${response.status()}: ${response.url()}`);
  });
  context.on("console", (message) => {
    if (message.type() === "error") problems.push(`Console: ${message.text()}`);
  });
  context.on("weberror", (error) => problems.push(`Uncaught: ${error.error().message}`));
}

/** Blobs and data URLs never leave the page. */
function isForeign(request: Request, origin: string): boolean {
  const url = new URL(request.url());
  return /^(https?|wss?):$/.test(url.protocol) && url.origin !== origin;
}
