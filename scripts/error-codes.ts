import { readdirSync, readFileSync } from "node:fs";
import { REASONS } from "@wellsent/contract";
import { PROBLEMS } from "../services/api/src/problems.ts";
import { PROBLEMS as INTERNAL_PROBLEMS } from "../services/logger/src/operator-api/problems.ts";

/** Compares the codes in the sources with those of docs/errors.md, where each has a row of a table. Returns the differences. */
export function errorCodeFaults(): string[] {
  const sources = ["packages", "services"].flatMap((root) =>
    readdirSync(root, { recursive: true, encoding: "utf8" }).map((file) => `${root}/${file}`),
  );
  const thrown = sources
    .filter((file) => /\/src\/.*\.ts$/.test(file) && !file.includes("node_modules"))
    .flatMap((file) => [
      ...readFileSync(file, "utf8").matchAll(/(?:Error|Refused|Unknown)\(\s*"([A-Z\d_]+)"/g),
    ])
    .map(([, code = ""]) => code);
  const used = new Set<string>([
    ...thrown,
    ...Object.keys(PROBLEMS),
    ...Object.keys(INTERNAL_PROBLEMS),
    ...REASONS,
  ]);
  const rows = readFileSync("docs/errors.md", "utf8").matchAll(/^\| `([A-Z\d_]+)` /gm);
  const described = new Set([...rows].map(([, code = ""]) => code));
  return [
    ...[...used.difference(described)].map((code) => `docs/errors.md lacks ${code}`),
    ...[...described.difference(used)].map(
      (code) => `docs/errors.md describes ${code}, which nothing uses`,
    ),
  ];
}
