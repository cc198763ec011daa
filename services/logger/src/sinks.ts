/* eslint-disable @typescript-eslint/no-unsafe-class-instance-assignment -- winston's types import one class in several ways */
import winston from "winston";
import Transport from "winston-transport";
import { describeLine, type AuditLine } from "./audit-line.ts";

const LINE = Symbol("line");
const STANDS = Symbol("stands");

/** What goes through winston: words for people, and beside them the line with the function to call when it stands. */
interface Info {
  level: string;
  message: string;
  [LINE]: AuditLine;
  [STANDS]: () => void;
}

/** Takes a line and calls `stands` when it is on disk. */
export type Append = (line: AuditLine, stands: () => void) => void;

/** The transport to the audit log. winston's own file transports swallow a full disk. */
function auditTransport(append: Append): winston.transport {
  return new Transport({
    // Calls `next` at once: withheld until the sync, it would make every line a commit of its own.
    log(info: Info, next) {
      next();
      append(info[LINE], info[STANDS]);
    },
  });
}

/** Creates the function that records a line, in the audit log and for people on stdout; resolves when it is on disk. */
export function createRecord(
  append: Append,
  stdout: winston.transport = new winston.transports.Console(),
): (line: AuditLine) => Promise<void> {
  const logger = winston.createLogger({
    format: winston.format.printf(({ message }) => String(message)),
    transports: [auditTransport(append), stdout],
  });
  return (line) =>
    new Promise((stands) => {
      const info: Info = {
        level: "info",
        message: describeLine(line),
        [LINE]: line,
        [STANDS]: stands,
      };
      logger.log(info);
    });
}
