/** Holds the writer lock of the directory that it is given, until it is killed. */
import { createFakeLog } from "@wellsent/testing";
import { createWriterLock } from "../../src/audit/writer-lock.ts";

const lock = createWriterLock(process.argv[2] ?? "", createFakeLog());
await lock.start();
process.stdout.write("held\n");
setInterval(() => undefined, 60_000);
