import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** Where in a conversation a relay can misbehave. */
export type Phase = "greeting" | "EHLO" | "STARTTLS" | "AUTH" | "MAIL" | "RCPT" | "DATA" | "dot";

/** What it does there: says a reply; or drops the connection when it is `drop`, or says nothing when it is `stall`. */
export type Behaviour = string;

/** What a relay does in a phase, by what it was sent; well, where that is undefined. */
export type Script = (phase: Phase, line: string) => Behaviour | undefined;

const WELL: Record<Phase, string> = {
  greeting: "220 relay.example ESMTP",
  EHLO: "250-relay.example\r\n250 AUTH PLAIN",
  STARTTLS: "454 4.7.0 not now",
  AUTH: "235 2.7.0 ok",
  MAIL: "250 2.1.0 ok",
  RCPT: "250 2.1.5 ok",
  DATA: "354 go on",
  dot: "250 2.0.0 taken",
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

/** Starts a relay on loopback. */
export async function startScriptedRelay(
  script: Script = () => undefined,
  port = 0,
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
    converse(
      socket,
      (phase, line) => {
        relay.log.push({ phase, line, at: performance.now() });
        return script(phase, line) ?? WELL[phase];
      },
      relay.taken,
    );
  }).listen(port, "127.0.0.1");
  await once(server, "listening");
  const close = () => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { ...relay, port: (server.address() as AddressInfo).port, close };
}

function converse(
  socket: Socket,
  answer: (phase: Phase, line: string) => string,
  taken: string[],
): void {
  let inBody = false;
  let recipient = "";
  const act = (phase: Phase, line: string): string => {
    const behaviour = answer(phase, line);
    if (behaviour === "drop") socket.destroy();
    else if (behaviour !== "stall") socket.write(`${behaviour}\r\n`);
    return behaviour;
  };
  const lines = createInterface(socket).on("error", () => undefined);
  lines.on("line", (line) => {
    const verb = line.slice(0, 4).toUpperCase();
    if (inBody) {
      if (line !== ".") return;
      inBody = false;
      if (act("dot", recipient).startsWith("2")) taken.push(recipient);
    } else if (verb === "QUIT" || verb === "RSET" || verb === "NOOP") socket.write("250 ok\r\n");
    else if (verb === "HELO") act("EHLO", line);
    else if (verb === "STAR") act("STARTTLS", line);
    else {
      if (verb === "RCPT") recipient = /<(.*)>/.exec(line)?.[1] ?? "";
      const behaviour = act(verb as Phase, line);
      inBody = verb === "DATA" && behaviour.startsWith("3");
    }
  });
  act("greeting", "");
}
