/** Work that rejects after its time. Node ends a process with status 1 if no code handles a rejection. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { settlesWithin } from "../../src/settles-within.ts";

const { promise, reject } = Promise.withResolvers();
const done = await settlesWithin(20, promise);
reject(new Error("too late"));
await nextTurn();
process.stdout.write(`${done}\n`);
