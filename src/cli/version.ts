/** The version of this build, for the command line. */
export { buildVersion } from "../base/version.js";
