/**
 * Makes the picture of the README from the demonstration patient, never from anybody's data:
 *
 *     npm start                                                          # in one terminal
 *     npx noctis demo                                                    # in another one
 *     node tests/browser/picture.ts http://127.0.0.1:8080 docs/viewer.jpg
 *
 * Chromium must be installed. The file must end in .jpg or .png; as .jpg it takes less.
 */
import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import { startBrowser } from "../support/browser.ts";

/** Hanging protocol of OHIF with three planes of one volume, the axial one large. */
const hangingProtocol = "primaryAxial";

/** Runs in the page: whether every viewport has drawn its plane of the whole volume. */
const isDrawn = `(() => {
  const viewports = globalThis.cornerstone?.getRenderingEngines().flatMap((engine) => engine.getViewports()) ?? [];
  const volumes = viewports.map((viewport) => globalThis.cornerstone.cache.getVolume(viewport.getVolumeId?.()));
  return viewports.length === 3 && volumes.every((volume) => volume?.loadStatus.loaded === true);
})()`;

/** Study Instance UID of the demonstration's CT. @throws Error when the server does not have it */
async function findDemoCt(url: string): Promise<string> {
  const answer = await fetch(`${url}/dicom-web/studies?PatientID=DEMO-0001&ModalitiesInStudy=CT`);
  if (answer.status !== 200) throw new Error(`${url} answered ${answer.status} to a search`);
  const matches = z.array(z.looseObject({ "0020000D": z.object({ Value: z.array(z.string()) }) }));
  const uid = matches.parse(await answer.json())[0]?.["0020000D"].Value[0];
  if (uid === undefined) throw new Error(`${url} has no demonstration: run npx noctis demo`);
  return uid;
}

async function main([url, file]: readonly string[]): Promise<void> {
  if (url === undefined || file === undefined) throw new Error("Usage: node tests/browser/picture.ts URL FILE");
  const studyInstanceUid = await findDemoCt(url);
  const browser = await startBrowser(url);
  const { page } = browser;
  try {
    await page.goto(`${url}/viewer?StudyInstanceUIDs=${studyInstanceUid}&hangingProtocolId=${hangingProtocol}`);
    // On the first visit OHIF offers a tour, which lies above the image.
    await page.getByText("Skip all").click();
    await page.waitForFunction(isDrawn, undefined, { timeout: 60_000 });
    // The planes are drawn anew as the slices come in; nothing tells of the last time.
    await wait(5000);
    await page.screenshot({ path: file, ...(/\.jpe?g$/.test(file) && { quality: 85 }) });
  } finally {
    await browser.stop();
  }
}

await main(process.argv.slice(2));
