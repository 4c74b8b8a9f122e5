/** The version of Noctis, of which package.json is the one place. */
import manifest from "../package.json" with { type: "json" };

/** Such as `0.1.0`. */
export const { version } = manifest;
