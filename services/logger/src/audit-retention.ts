import { rename, unlink, writeFile } from "node:fs/promises";
import { MODE } from "./audit-file.ts";
import { parseLine, textsOf } from "./audit-tail.ts";

/** Stands in the lines that are looked for and in few others, which so need not be parsed. */
const PARKED = '"email.parked"';

/**
 * Deletes a file but for the lines by which what is still parked is known: from them the list is built anew. They stay
 * under its name, and nothing else of it does. Resolves to whether anything was deleted.
 */
export async function deleteButParked(
  path: string,
  isParked: (delivery: string) => boolean,
): Promise<boolean> {
  const kept: string[] = [];
  let count = 0;
  for await (const text of textsOf(path)) {
    count += 1;
    const line = text.includes(PARKED) ? parseLine(text) : undefined;
    if (line?.kind === "email.parked" && isParked(line.delivery)) kept.push(`${text}\n`);
  }
  if (kept.length === 0) await unlink(path);
  else if (kept.length < count) {
    await writeFile(`${path}.kept`, kept, { mode: MODE, flush: true });
    await rename(`${path}.kept`, path);
  }
  return kept.length === 0 || kept.length < count;
}
