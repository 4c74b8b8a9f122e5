/** The one OHIF build that Noctis serves: its package, its version and the hash of its bytes. */
import path from "node:path";

/** The npm package of the viewer, pinned by the hash of its tarball: other bytes are refused. */
export const viewerPackage = {
  name: "@ohif/app",
  version: "3.13.2",
  /** Subresource integrity of the tarball: `sha512-` and the hash in base64. */
  integrity: "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA==",
} as const;

/** Number of the way in which a build is made from the package; raise it when that changes, and builds are made anew. */
export const buildRecipe = 2;

/** Where the installed build lies. */
export const viewerBuildFolder = path.join(import.meta.dirname, "build", viewerPackage.version);
