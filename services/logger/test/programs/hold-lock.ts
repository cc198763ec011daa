/** Holds the writer lock of the directory that it is given, until it is killed. */
import { createWriterLock } from "../../src/audit/writer-lock.ts";

const ignore = () => undefined;
const log = { debug: ignore, info: ignore, warn: ignore, error: ignore };
const lock = createWriterLock(process.argv[2] ?? "", log);
await lock.start();
process.stdout.write("held\n");
setInterval(ignore, 60_000);
