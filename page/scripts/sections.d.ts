/** The scripts of the folder `sections` by their names, which build.js collects. */
declare module "sections" {
  const sections: Record<string, import("./types.d.ts").Mount>;
  export default sections;
}
