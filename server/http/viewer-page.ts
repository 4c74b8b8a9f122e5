/** The viewer's Content-Security-Policy, and the page that stands in while the viewer is not installed. */

/**
 * The policy under which the whole of OHIF works, and nothing else does. `'unsafe-eval'` cannot be narrowed to
 * `'wasm-unsafe-eval'`: the JPEG 2000 and JPEG-LS decoders and the loader of segmentations compile code at run time.
 * `connect-src` without foreign hosts also stops the two tools of the segmentation mode that would load models from one.
 */
export function viewerPolicy(inlineScripts: readonly string[]): string {
  const hashes = inlineScripts.map((source) => `'${source}'`).join(" ");
  return [
    "default-src 'self'",
    `script-src 'self' 'unsafe-eval' ${hashes}`.trimEnd(),
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self' blob: data:",
    "worker-src 'self' blob:",
    "media-src 'self' blob:",
    "object-src 'self'", // a PDF, by its rendered resource
    "frame-src 'self' blob:",
    "base-uri 'self'",
    "form-action 'self'",
    "frame-ancestors 'self'",
  ].join("; ");
}

/** Answer of `/` while there is no viewer. */
export const absentPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Noctis</title>
<style>body { font: 1rem/1.5 sans-serif; max-width: 40rem; margin: 4rem auto; padding: 0 1rem }</style>
<h1>The viewer is not installed</h1>
<p>The archive itself is running. To install the viewer, run <code>npm run viewer</code> in the folder of Noctis,
which downloads it once (50 MB), and reload this page.</p>
</html>
`;
