import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** Where in a session a relay can misbehave. */
export type Phase =
  "greeting" | "EHLO" | "STARTTLS" | "AUTH" | "MAIL" | "RCPT" | "DATA" | "dot" | "RSET" | "QUIT";

/** What it does there: sends a reply, closes the connection (`drop`), resets it (`reset`), or sends nothing (`stall`). */
export type Behaviour = string;

/** What a relay does in a phase, at once or later, by the line that it was sent; it works well where that is undefined. */
export type Script = (phase: Phase, line: string) => Behaviour | Promise<Behaviour> | undefined;

/** The replies of a relay that works well. */
export const WELL: Record<Phase, string> = {
  greeting: "220 relay.example ESMTP",
  EHLO: "250-relay.example\r\n250 AUTH PLAIN",
  STARTTLS: "454 4.7.0 not now",
  AUTH: "235 2.7.0 ok",
  MAIL: "250 2.1.0 ok",
  RCPT: "250 2.1.5 ok",
  DATA: "354 go on",
  dot: "250 2.0.0 taken",
  RSET: "250 2.0.0 ok",
  QUIT: "221 2.0.0 bye",
};

/** A relay that follows a script, and what it saw. */
export interface ScriptedRelay {
  port: number;
  /** Each thing that was said to it, and when. */
  log: { phase: Phase; line: string; at: number }[];
  /** Connections that are open, and most that were at a time. */
  connections: { now: number; most: number };
  /** Recipients of the mails that it took. */
  taken: string[];
  /** Ends it, with every connection. */
  close: () => void;
}

/** Makes the script of one connection. */
export type ScriptOf = (socket: Socket) => Script;

/** Starts a relay on a loopback address. Each connection follows the script, or a script of its own. */
export async function startScriptedRelay(
  script: Script | { perConnection: ScriptOf } = () => undefined,
  port = 0,
  host = "127.0.0.1",
): Promise<ScriptedRelay> {
  const sockets = new Set<Socket>();
  const connections = { now: 0, most: 0 };
  const relay = { log: [] as ScriptedRelay["log"], taken: [] as string[], connections };
  const server = createServer((socket) => {
    sockets.add(socket);
    connections.most = Math.max(connections.most, ++connections.now);
    socket
      .on("error", () => undefined)
      .on("close", () => {
        sockets.delete(socket);
        connections.now -= 1;
      });
    const scriptHere = typeof script === "function" ? script : script.perConnection(socket);
    converse(
      socket,
      (phase, line) => {
        relay.log.push({ phase, line, at: performance.now() });
        return scriptHere(phase, line) ?? WELL[phase];
      },
      relay.taken,
    );
  }).listen(port, host);
  await once(server, "listening");
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { ...relay, port: (server.address() as AddressInfo).port, close };
}

function converse(
  socket: Socket,
  answer: (phase: Phase, line: string) => Behaviour | Promise<Behaviour>,
  taken: string[],
): void {
  let inBody = false;
  let recipient = "";
  const act = async (phase: Phase, line: string): Promise<void> => {
    const behaviour = await answer(phase, line);
    if (phase === "DATA") inBody = behaviour.startsWith("3");
    if (phase === "dot" && behaviour.startsWith("2")) taken.push(recipient);
    if (behaviour === "drop") socket.destroy();
    else if (behaviour === "reset") socket.resetAndDestroy();
    else if (behaviour !== "stall") socket.write(`${behaviour}\r\n`);
    if (phase === "QUIT" && behaviour !== "stall") socket.end();
  };
  const lines = createInterface(socket).on("error", () => undefined);
  lines.on("line", (line) => {
    const verb = line.slice(0, 4).toUpperCase();
    if (inBody) {
      if (line !== ".") return;
      inBody = false;
      void act("dot", recipient);
      return;
    }
    if (verb === "RCPT") recipient = /<(.*)>/.exec(line)?.[1] ?? "";
    void act(PHASES[verb] ?? "EHLO", line);
  });
  void act("greeting", "");
}

/** Phases by the first four letters of their command. HELO counts as EHLO. */
const PHASES: Partial<Record<string, Phase>> = {
  STAR: "STARTTLS",
  AUTH: "AUTH",
  MAIL: "MAIL",
  RCPT: "RCPT",
  DATA: "DATA",
  RSET: "RSET",
  QUIT: "QUIT",
};
