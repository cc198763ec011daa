import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { createInterface } from "node:readline";

/** Where in a conversation a relay can misbehave. */
export type Phase = "greeting" | "EHLO" | "AUTH" | "MAIL" | "RCPT" | "DATA" | "dot";

/** What it does there: says a reply, or drops the connection when it is `drop`. */
export type Behaviour = string;

const WELL: Record<Phase, string> = {
  greeting: "220 relay.example ESMTP",
  EHLO: "250-relay.example\r\n250 AUTH PLAIN",
  AUTH: "235 2.7.0 ok",
  MAIL: "250 2.1.0 ok",
  RCPT: "250 2.1.5 ok",
  DATA: "354 go on",
  dot: "250 2.0.0 taken",
};

/** A relay that follows a script: well, but for the phases named, as long as `misbehaves` says so. */
export async function startScriptedRelay(
  script: Partial<Record<Phase, Behaviour>>,
  misbehaves = () => true,
) {
  const conversations: Phase[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    const answer = (phase: Phase) => {
      conversations.push(phase);
      act(socket, (misbehaves() ? script[phase] : undefined) ?? WELL[phase]);
    };
    converse(socket, answer);
    answer("greeting");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return { port, conversations, close: () => void server.close() };
}

function act(socket: Socket, behaviour: Behaviour): void {
  if (behaviour === "drop") socket.destroy();
  else socket.write(`${behaviour}\r\n`);
}

function converse(socket: Socket, answer: (phase: Phase) => void): void {
  let inBody = false;
  createInterface(socket).on("line", (line) => {
    const verb = line.slice(0, 4).toUpperCase();
    if (inBody) {
      if (line !== ".") return;
      inBody = false;
      answer("dot");
    } else if (verb === "QUIT" || verb === "RSET" || verb === "NOOP") socket.write("250 ok\r\n");
    else if (verb === "HELO") socket.write("250 relay.example\r\n");
    else {
      inBody = verb === "DATA";
      answer(verb as Phase);
    }
  });
}
