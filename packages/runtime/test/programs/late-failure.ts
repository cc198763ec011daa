/** Work that fails after the time for it: Node ends a process with 1 when nobody handles a rejection. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { inTime } from "../../src/in-time.ts";

const { promise, reject } = Promise.withResolvers();
const done = await inTime(20, promise);
reject(new Error("too late"));
await nextTurn();
process.stdout.write(`${done}\n`);
