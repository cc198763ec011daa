import { readdir } from "node:fs/promises";

const FILE_NAME = /^audit-(\d{4}-\d{2}-\d{2})\.(\d{3,})\.jsonl$/;
const NUMBER_DIGITS = 3;

/** A file `audit-2026-11-23.001.jsonl`: the day of writing, UTC, and its number on that day. */
export interface Name {
  file: string;
  day: string;
  number: number;
}

/** Names a file of the audit log. */
export function nameFile(day: string, number: number): Name {
  return { file: `audit-${day}.${String(number).padStart(NUMBER_DIGITS, "0")}.jsonl`, day, number };
}

/** The audit log's files in a directory, oldest first; other files are left alone. */
export async function listFiles(directory: string): Promise<Name[]> {
  const names = (await readdir(directory)).flatMap(parseName);
  return names.sort((a, b) => a.day.localeCompare(b.day) || a.number - b.number);
}

/** The day of a time in milliseconds since the epoch, UTC. */
export function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, "2026-11-23".length);
}

function parseName(file: string): Name[] {
  const [, day, number] = FILE_NAME.exec(file) ?? [];
  return day === undefined ? [] : [{ file, day, number: Number(number) }];
}
