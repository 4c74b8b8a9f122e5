/** Makes the viewer's app-config.js: the script that OHIF runs first and takes its configuration from. */

/** What a deployment decides about the viewer. */
export interface ViewerSettings {
  /** Root of the DICOMweb services on the viewer's own origin, e.g. `/dicom-web`: no host, no trailing slash. */
  readonly dicomWebRoot: string;
  /** URI of WADO-URI (PS3.18 9) on the same origin. Default: `/wado`. */
  readonly wadoUri?: string;
  /** Title of the browser window and friendly name of the data source. Default: `Noctis`. */
  readonly title?: string;
  /** Whether the study list offers to upload files, by STOW-RS. Default: true. */
  readonly uploadEnabled?: boolean;
  /** How many studies the study list asks for; further ones are found by filters alone. Default: 300. */
  readonly queryLimit?: number;
}

/** Name of the data source; it appears in URLs such as `/viewer/noctis`. */
const sourceName = "noctis";

/** A root on the viewer's own origin: the Content-Security-Policy lets it call nothing else. */
const ownOriginPath = /^(\/[\w.~-]+)+$/;

/**
 * The text of app-config.js.
 * @throws Error when a root is not a plain path on the viewer's own origin.
 */
export function makeAppConfig(settings: ViewerSettings): string {
  const { dicomWebRoot, wadoUri = "/wado", title = "Noctis" } = settings;
  for (const root of [dicomWebRoot, wadoUri]) {
    if (!ownOriginPath.test(root)) throw new Error(`${root} is not a path such as /dicom-web`);
  }
  const config = {
    name: sourceName,
    routerBasename: "/",
    // Empty: the build brings its own extensions and modes; these arrays only add to them.
    extensions: [],
    modes: [],
    customizationService: {},
    showStudyList: true,
    maxNumberOfWebWorkers: 3,
    showWarningMessageForCrossOrigin: false,
    showCPUFallbackMessage: true,
    showLoadingIndicator: true,
    strictZSpacingForVolumeViewport: true,
    groupEnabledModesFirst: true,
    showErrorDetails: "production",
    investigationalUseDialog: { option: "never" },
    // A browser opens six connections to one HTTP/1.1 server whatever is asked here.
    maxNumRequests: { interaction: 100, thumbnail: 5, prefetch: 25 },
    defaultDataSourceName: sourceName,
    dataSources: [
      {
        namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
        sourceName,
        configuration: dataSourceOf(settings, dicomWebRoot, wadoUri, title),
      },
    ],
  };
  // The script runs before the title of index.html is read, and the first title of a page wins.
  return `document.title = ${scriptLiteral(title)};\nwindow.config = ${scriptLiteral(config)};\n`;
}

function dataSourceOf(settings: ViewerSettings, dicomWebRoot: string, wadoUri: string, title: string): object {
  return {
    friendlyName: title,
    name: sourceName,
    qidoRoot: dicomWebRoot,
    wadoRoot: dicomWebRoot,
    wadoUriRoot: wadoUri,
    imageRendering: "wadors",
    thumbnailRendering: "wadors",
    enableStudyLazyLoad: true,
    supportsWildcard: true,
    supportsFuzzyMatching: true,
    supportsReject: false,
    // PDF and video by the rendered resource, a video in ranges; bulk data without the wrapping of one part.
    singlepart: "bulkdata,video,pdf",
    bulkDataURI: { enabled: true, relativeResolution: "studies" },
    omitQuotationForMultipartRequest: true,
    dicomUploadEnabled: settings.uploadEnabled ?? true,
    queryLimit: settings.queryLimit ?? 300,
  };
}

/** JSON that is also safe inside a script: no line separators of old scripts, and nothing that could close a tag. */
function scriptLiteral(value: unknown): string {
  return JSON.stringify(value, null, 2).replaceAll(/[<\u2028\u2029]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}
