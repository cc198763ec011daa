/** Installs what package-lock.json names. Runs on the machine's own Node, 18 or newer: no dependencies. */
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";

/** Systems that get Node 24 as an optional dependency; npm scripts find it before the machine's. */
const bringsNode = ["linux-x64", "linux-arm64"].includes(`${process.platform}-${process.arch}`);
const [major, minor] = process.versions.node.split(".").map(Number);
if (!bringsNode && (major < 24 || (major === 24 && minor < 16)))
  fail(`Wellsent needs Node 24.16 or newer on this system; this is Node ${process.versions.node}.`);
if (!isInstalled()) {
  console.log("Installing dependencies (npm ci); this takes about half a minute");
  const npm = spawnSync("npm", ["ci", "--no-audit", "--no-fund"], { encoding: "utf8" });
  if (npm.status !== 0) fail(`${npm.stdout}${npm.stderr}npm ci failed.`);
}

/** Compares packages, not times: a checkout makes the lock file newer and changes nothing. */
function isInstalled() {
  if (bringsNode && !existsSync("node_modules/.bin/node")) return false;
  const installed = packagesIn("node_modules/.package-lock.json");
  const [, ...wanted] = Object.entries(packagesIn("package-lock.json")); // The first is ourselves.
  return wanted.every(([path, { version, optional }]) =>
    path in installed ? installed[path].version === version : optional,
  );
}

function packagesIn(lockFile) {
  return existsSync(lockFile) ? JSON.parse(readFileSync(lockFile, "utf8")).packages : {};
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
