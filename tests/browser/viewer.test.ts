/** A CT series, stored by STOW-RS, found and opened in the viewer by a real browser: the canvas must hold its pixels. */
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import path from "node:path";
import { after, before, describe, it } from "node:test";
import { setTimeout as wait } from "node:timers/promises";
import dicomParser from "dicom-parser";
import { startBrowser } from "../support/browser.ts";
import type { TestBrowser } from "../support/browser.ts";
import { corpusPath, requirement } from "../support/require.ts";
import { startTestServer } from "../support/server.ts";
import { drawSlice, meanDifference, readSlice } from "./ct-picture.ts";
import type { CtSlice, Turn } from "./ct-picture.ts";
import { readViewport } from "./viewport.ts";
import type { ViewportState } from "./viewport.ts";

/** Every fourth pixel of every fourth row of the canvas is compared. */
const step = 4;

/**
 * Mean difference, in grey levels of 255, that the right picture keeps below (it is 0.04: rounding) and that every
 * wrong one stays well above (the neighbouring slice, 2.5 mm away, differs by 3.2).
 */
const allowedDifference = 0.25;
const wrongDifference = 2;

const turns: readonly Turn[] = ["upright", "mirrored", "upside-down"];

describe("the viewer in a browser", requirement("chromium", "corpus", "viewer"), () => {
  let server: Awaited<ReturnType<typeof startTestServer>>;
  let browser: TestBrowser;
  let slices: readonly CtSlice[];

  before(async () => {
    const folder = corpusPath("study_ct_seg", "ct");
    const files = readdirSync(folder).map((name) => path.join(folder, name));
    slices = files.map(readSlice).toSorted((one, other) => one.instanceNumber - other.instanceNumber);
    server = await startTestServer();
    await store(server.url, files);
    browser = await startBrowser(server.url);
  });

  after(async () => {
    await browser?.stop();
    await server?.stop();
  });

  it("lists the study", async () => {
    const answer = await browser.page.goto(`${server.url}/`);
    assert.equal(answer?.status(), 200);
    const row = browser.page.getByRole("row").filter({ hasText: patientOf(slices) });
    await row.waitFor();
    assert.match((await row.textContent()) ?? "", /CT/);
    assert.match((await row.textContent()) ?? "", new RegExp(`${slices.length}`));
    assert.equal(await browser.page.title(), "Noctis");
  });

  it("opens the study and shows the pixels of its first slice", async () => {
    const { page } = browser;
    await page
      .getByRole("row")
      .filter({ hasText: patientOf(slices) })
      .click();
    await page.getByText("Basic Viewer").first().click();
    await page.waitForURL(/\/viewer\?/);
    const [first] = slices;
    assert.ok(first);
    await assertShows(browser, slices, first);
    // On the first visit OHIF offers a tour, which lies above the image.
    await page.getByText("Skip all").click();
  });

  it("shows the pixels of the slice that one scrolls to", async () => {
    const { page } = browser;
    await page.locator("canvas").first().hover();
    for (const slice of slices.slice(1, 4)) {
      await page.mouse.wheel(0, 100);
      await assertShows(browser, slices, slice);
    }
    // A picture for a page of documentation; as .jpg it takes 100 kB.
    const picture = process.env["NOCTIS_PICTURE"];
    if (picture !== undefined) await page.screenshot({ path: picture });
  });

  it("opens the study by its address alone", async () => {
    const [first] = slices;
    assert.ok(first);
    await browser.page.goto(`${server.url}/viewer?StudyInstanceUIDs=${first.studyInstanceUid}`);
    await assertShows(browser, slices, first);
  });

  it("shows an image with a VOI LUT Function, which the package as published leaves black", async () => {
    const file = corpusPath("mg", "gh133_mg_voilut_icon.dcm");
    await store(server.url, [file]);
    await browser.page.goto(`${server.url}/viewer?StudyInstanceUIDs=${studyOf(file)}`);
    for (const deadline = Date.now() + 30_000; ; await wait(100)) {
      const state = await readViewport(browser.page, step);
      if (state?.picture.levels.some((level) => level > 200)) break;
      if (Date.now() > deadline) assert.fail(`The viewport stayed black: ${browser.problems().join("; ")}`);
    }
  });

  it("shows a PDF and plays a video by their rendered resources", async () => {
    const { page } = browser;
    const document = corpusPath("document", "encapsulated_pdf.dcm");
    await store(server.url, [document]);
    const shown = page.waitForResponse((response) => response.url().endsWith("/rendered"));
    await page.goto(`${server.url}/viewer?StudyInstanceUIDs=${studyOf(document)}`);
    const pdf = await shown;
    assert.deepEqual([pdf.status(), pdf.headers()["content-type"]], [200, "application/pdf"]);
    const [object] = await page.locator("object").all();
    assert.match((await object?.getAttribute("data")) ?? "", /\/rendered$/);

    const movie = corpusPath("video", "h264_hp41_102_mp4.dcm");
    await store(server.url, [movie]);
    await page.goto(`${server.url}/viewer?StudyInstanceUIDs=${studyOf(movie)}`);
    for (const deadline = Date.now() + 30_000; ; await wait(100)) {
      const state = await page.evaluate(videoScript);
      if (state === "plays") break;
      if (Date.now() > deadline)
        assert.fail(`The video did not load (${String(state)}): ${browser.problems().join("; ")}`);
    }
  });

  it("met no error, and called no other host", () => {
    assert.deepEqual(browser.problems(), []);
  });
});

/** Runs in the page: whether a video has its first picture, or why not. OHIF may keep it outside the document. */
const videoScript = `(() => {
  const viewports = globalThis.cornerstone?.getRenderingEngines().flatMap((engine) => engine.getViewports()) ?? [];
  const video = viewports[0]?.videoElement ?? document.querySelector("video");
  if (!video) return "there is none";
  return video.readyState >= 2 && video.videoWidth > 0 ? "plays" : "state " + video.readyState + " " + video.error?.message;
})()`;

function studyOf(file: string): string {
  return dicomParser.parseDicom(readFileSync(file)).string("x0020000d") ?? "";
}

/** Waits until the viewport shows `slice`, and asserts that no other slice and no turned one is as like to its canvas. */
async function assertShows(browser: TestBrowser, slices: readonly CtSlice[], slice: CtSlice): Promise<void> {
  const state = await waitForSlice(browser, slice);
  const candidates = slices.flatMap((candidate) => turns.map((turn) => ({ candidate, turn })));
  const ranking = candidates
    .map(({ candidate, turn }) => ({
      name: `${candidate.instanceNumber} ${turn}`,
      difference: meanDifference(state.picture, drawSlice(candidate, state.canvas, step, turn)),
    }))
    .toSorted((one, other) => one.difference - other.difference);
  const [best, second] = ranking;
  assert.ok(best && second);
  assert.equal(best.name, `${slice.instanceNumber} upright`);
  assert.ok(best.difference < allowedDifference, `The canvas differs by ${best.difference} grey levels`);
  assert.ok(second.difference > wrongDifference, `${second.name} differs by ${second.difference} only`);
}

/** What the viewport shows once it shows `slice`, as it says itself and as its canvas bears out; else after a while. */
async function waitForSlice(browser: TestBrowser, slice: CtSlice): Promise<ViewportState> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    const state = await readViewport(browser.page, step);
    const isLate = Date.now() > deadline;
    if (state !== undefined && (isLate || isShown(state, slice))) return state;
    if (isLate) assert.fail(`The viewport drew nothing: ${browser.problems().join("; ")}`);
    await wait(100);
  }
}

function isShown(state: ViewportState, slice: CtSlice): boolean {
  if (state.sopInstanceUid !== slice.sopInstanceUid) return false;
  return meanDifference(state.picture, drawSlice(slice, state.canvas, step, "upright")) < allowedDifference;
}

function patientOf(slices: readonly CtSlice[]): string {
  return slices[0]?.patientId ?? "";
}

/** Stores the files in one STOW-RS request (PS3.18 10.5). */
async function store(url: string, files: readonly string[]): Promise<void> {
  const boundary = "boundary-of-the-test";
  const parts = files.flatMap((file) => [
    Buffer.from(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`),
    readFileSync(file),
    Buffer.from("\r\n"),
  ]);
  const answer = await fetch(`${url}/dicom-web/studies`, {
    method: "POST",
    headers: {
      "Content-Type": `multipart/related; type="application/dicom"; boundary=${boundary}`,
      Accept: "application/dicom+json",
    },
    body: Buffer.concat([...parts, Buffer.from(`--${boundary}--`)]),
  });
  assert.equal(answer.status, 200, await answer.text());
}
