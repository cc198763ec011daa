/** The program of a thread that waits for the disk: it runs one method of {@link Tables} or of the lock after another. */
import type { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import { openDatabase } from "./file.ts";
import { Tables } from "./tables.ts";

/** A call of a method. */
export interface Call {
  id: number;
  method: string;
  args: unknown[];
}

/** Its end: a result, or an error with its code. */
export interface Reply {
  id: number;
  result?: unknown;
  error?: { message: string; code?: string | undefined; errcode?: number | undefined };
}

const path = String(workerData);
let held: DatabaseSync | undefined;
const lock = {
  lock: () => void (held = openDatabase(path, "BEGIN EXCLUSIVE")),
  unlock: () => held?.close(),
};
const methods = Object.assign(new Tables(path), lock) as unknown as Record<
  string,
  (...args: unknown[]) => unknown
>;

parentPort?.on("message", ({ id, method, args }: Call) => {
  parentPort?.postMessage(replyTo(id, method, args));
});

function replyTo(id: number, method: string, args: unknown[]): Reply {
  try {
    return { id, result: methods[method]?.(...args) };
  } catch (error) {
    const { message, code, errcode } = error as Error & { code?: string; errcode?: number };
    return { id, error: { message, code, errcode } };
  }
}
