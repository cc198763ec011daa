/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- winston's types import one class in several ways */
import winston from "winston";
import Transport from "winston-transport";
import { describeLine, type AuditLine } from "./line.ts";
import type { GroupCommit } from "./group-commit.ts";

const LINE = Symbol("line");
const STANDS = Symbol("stands");

/** What goes through winston: words for people, and beside them the line with the function to call when it stands. */
interface Info extends winston.LogEntry {
  [LINE]: AuditLine;
  [STANDS]: () => void;
}

/** Creates the function that records a line, in the audit log and for people on stdout; resolves when it is on disk. */
export function createRecord(
  append: GroupCommit["append"],
  stdout: winston.transport = new winston.transports.Console(),
): (line: AuditLine) => Promise<void> {
  // n.b. winston's own file transports swallow a full disk.
  const audit = new Transport({
    // Calls `next` at once: withheld until the sync, it would make every line a commit of its own.
    log(info: Info, next) {
      next();
      append(info[LINE], info[STANDS]);
    },
  });
  const format = winston.format.printf(({ message }) => String(message));
  const logger = winston.createLogger({ format, transports: [audit, stdout] });
  return (line) =>
    new Promise((stands) => {
      const message = describeLine(line);
      logger.log({ level: "info", message, [LINE]: line, [STANDS]: stands } satisfies Info);
    });
}
