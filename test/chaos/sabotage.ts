import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Sums } from "./books.ts";

interface Edit {
  file: string;
  from: string;
  to: string;
  /** The sum that it must show in: a run that is broken in another way has not caught it. */
  caughtBy: "lost" | "unrecorded" | "twiceOutside";
}

const EXIT_CAUGHT = 1;
const EXIT_NOT_CAUGHT = 2;

/** Ways to break the promise, each a small edit of the sources: a harness that cannot fail proves nothing. */
export const SABOTAGES = {
  /** The client gets its 202 before the broker has the email. */
  "early-202": {
    file: "services/api/src/send/route.ts",
    from: `    await publish({ ...message, ...address }).catch((error: unknown) => {
      throw publishProblem(error, id) ?? error;
    });`,
    to: `    void publish({ ...message, ...address }).catch(() => undefined);
    void publishProblem;`,
    caughtBy: "lost",
  },
  /** The broker forgets a delivery before a relay has taken it. */
  "ack-before-250": {
    file: "services/emailer/src/delivery/handle-delivery.ts",
    from: "      if (crashes < CRASHES_SUSPECT || crashes >= CRASHES_MAX) return await once();",
    to: `      if (crashes < CRASHES_SUSPECT || crashes >= CRASHES_MAX) {
        void once().catch(() => undefined);
        return "ack";
      }`,
    caughtBy: "lost",
  },
  /** The broker forgets an event before it stands in the audit log. */
  "ack-before-sync": {
    file: "services/logger/src/audit/sinks.ts",
    from: "      append(info[LINE], info[STANDS]);",
    to: `      append(info[LINE], () => undefined);
      info[STANDS]();`,
    caughtBy: "unrecorded",
  },
  /** A retry is a copy that is published beside an acknowledgement, instead of one step inside the broker. */
  "requeue-by-copy": {
    file: "services/emailer/src/delivery/outcome.ts",
    from: `    return kind === "email.deferred" ? "reject" : "ack";`,
    to: `    if (kind === "email.deferred") {
      const { body, properties } = attempt.delivery;
      const { messageId, type } = properties as Record<"messageId" | "type", string>;
      const copy = { exchange: "", routingKey: "emailer.wait.2s", messageId, type, body };
      void publisher.publishUntilConfirmed(copy).catch(() => undefined);
    }
    return "ack";`,
    caughtBy: "lost",
  },
  /** What the record already has as sent is sent again. */
  "ignore-guard": {
    file: "services/emailer/src/delivery/permission.ts",
    from: '"email.accepted", "email.deferred"];',
    to: '"email.accepted", "email.deferred", "email.sent"];',
    caughtBy: "twiceOutside",
  },
} as const satisfies Record<string, Edit>;

/** The name of one of {@link SABOTAGES}. */
export type Sabotage = keyof typeof SABOTAGES;

/** Says whether a sabotage was caught, and the exit status that goes with it. */
export function judgeSabotage(sabotage: Sabotage, sums: Sums): { text: string; status: number } {
  const { caughtBy } = SABOTAGES[sabotage];
  const isCaught = sums[caughtBy].length > 0;
  const said = isCaught ? `caught by ${caughtBy}` : `NOT CAUGHT: ${caughtBy} is 0`;
  const text = `The system was broken on purpose (${sabotage}), and that was ${said}.`;
  return { text, status: isCaught ? EXIT_CAUGHT : EXIT_NOT_CAUGHT };
}

/** Copies the services and packages under `root` to a directory, from which they run as the originals do. */
export function copySources(root: string, directory: string): void {
  for (const part of ["services", "packages"]) {
    const filter = (path: string) => !/\/(node_modules|test)$/.test(path);
    cpSync(join(root, part), join(directory, part), { recursive: true, filter });
  }
  for (const file of ["package.json", "tsconfig.json"]) {
    cpSync(join(root, file), join(directory, file));
  }
  linkModules(root, directory);
}

/** Breaks such a copy. @throws {Error} when the text to edit is not there, once and no more */
export function breakCopy(directory: string, sabotage: Sabotage): void {
  const { file, from, to } = SABOTAGES[sabotage];
  const path = join(directory, file);
  const parts = readFileSync(path, "utf8").split(from);
  if (parts.length !== 2) throw new Error(`the text that a sabotage edits is not in ${file}`);
  writeFileSync(path, parts.join(to));
}

/** The copy has the same libraries, and packages of its own. */
function linkModules(root: string, directory: string): void {
  for (const where of [
    "",
    ...readdirSync(join(root, "services")).map((name) => `services/${name}`),
  ]) {
    const modules = join(root, where, "node_modules");
    if (!existsSync(modules)) continue;
    mkdirSync(join(directory, where, "node_modules"), { recursive: true });
    for (const name of readdirSync(modules).filter((each) => each !== "@wellsent")) {
      symlinkSync(join(modules, name), join(directory, where, "node_modules", name));
    }
  }
  mkdirSync(join(directory, "node_modules/@wellsent"));
  for (const name of readdirSync(join(root, "packages"))) {
    symlinkSync(join(directory, "packages", name), join(directory, "node_modules/@wellsent", name));
  }
}
