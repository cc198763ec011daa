import { readFileSync } from "node:fs";
import { isMap, isScalar, parseDocument, type YAMLMap } from "yaml";

const MARKS = /(?<=<!-- values -->\n)[^]*(?=<!-- end of values -->)/;

/** A chart's README with the table of its values, between the two marks, made from the comments of its values.yaml. */
export function readmeWithValues(chart: string): string {
  const readme = readFileSync(`${chart}/README.md`, "utf8");
  if (!MARKS.test(readme)) throw new Error(`${chart}/README.md has no marks for the values`);
  const { contents } = parseDocument(readFileSync(`${chart}/values.yaml`, "utf8"));
  const rows = isMap(contents) ? rowsOf(contents, "") : [];
  const table = `| value | default | meaning |\n| --- | --- | --- |\n${rows.join("\n")}\n`;
  return readme.replace(MARKS, () => `\n${table}\n`);
}

/** One row for each key with a comment `# -- …`; a map whose keys have comments of their own has no default. */
function rowsOf(map: YAMLMap, above: string): string[] {
  return map.items.flatMap(({ key, value }, nth) => {
    if (!isScalar(key)) return [];
    const path = `${above}${String(key.value)}`;
    const below = isMap(value) ? rowsOf(value, `${path}.`) : [];
    // n.b. what stands before the first key is the map's comment to the parser.
    const comment = key.commentBefore ?? (nth === 0 ? map.commentBefore : undefined);
    const meaning = /^ -- ([^]*)/m.exec(comment ?? "")?.[1];
    if (meaning === undefined) return below;
    const initial = below.length > 0 ? "" : `\`${JSON.stringify(value)}\``;
    const cells = [`\`${path}\``, initial, meaning.replace(/\s*\n\s*/g, " ")];
    return [`| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`, ...below];
  });
}
