/** Makes one file of a service and all it imports, for its image: `node scripts/bundle.ts SERVICE DIRECTORY`. */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build, type Metafile, type Plugin } from "esbuild";

/** A map of all to the first line. A process holds its map in memory (9 to 12 MB with everything in it); stack traces need ours only. */
const EMPTY_MAP = Buffer.from('{"version":3,"sources":[""],"mappings":"AAAA"}').toString("base64");
const ownMapOnly: Plugin = {
  name: "own map only",
  setup(bundler) {
    bundler.onLoad({ filter: /\/node_modules\/.*\.[cm]?js$/ }, ({ path }) => ({
      contents: `${readFileSync(path, "utf8")}\n//# sourceMappingURL=data:application/json;base64,${EMPTY_MAP}`,
      loader: "js",
    }));
  },
};

/** The ledger's thread runs a program of its own, which is another file of the bundle. */
const bundledWorker: Plugin = {
  name: "bundled worker",
  setup(bundler) {
    bundler.onLoad({ filter: /ledger\/src\/sqlite\/worker-url\.ts$/ }, () => ({
      contents:
        'export const workerUrl = require("node:path").join(__dirname, "ledger-worker.cjs");',
      loader: "js",
    }));
  },
};

const [, , service = "", directory = ""] = process.argv;
const { metafile } = await build({
  entryPoints: {
    main: `services/${service}/src/main.ts`,
    healthcheck: "scripts/healthcheck.ts",
    ...(service === "logger" && { "ledger-worker": "packages/ledger/src/sqlite/worker.ts" }),
  },
  outdir: directory,
  outExtension: { ".js": ".cjs" },
  bundle: true,
  platform: "node",
  target: "node24",
  // n.b. as an ES module the bundle could not require() what its CommonJS libraries ask of Node.
  format: "cjs",
  // Their ES modules where they have one: jsonc-parser's other form hides its imports from a bundler.
  mainFields: ["module", "main"],
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: true,
  sourcesContent: false,
  plugins: [ownMapOnly, bundledWorker],
  metafile: true,
});
writeFileSync(join(directory, "licenses.txt"), licenses(metafile));

/** What the licences of the bundled packages ask for: that they come along. */
function licenses({ inputs }: Metafile): string {
  const roots = Object.keys(inputs).flatMap(
    (file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? [],
  );
  const files = [...new Set(roots)].flatMap((root) => globSync(`${root}/{LICEN[CS]E,license}*`));
  return files.map((file) => `${dirname(file)}\n\n${readFileSync(file, "utf8")}`).join("\n---\n");
}
