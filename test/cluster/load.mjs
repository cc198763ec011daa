// Runs in a pod: the client that sends, and the relay that the mail arrives at. So it knows both ends, and counts.
import http from "node:http";
import net from "node:net";
import { setTimeout } from "node:timers";

const { API, KEY = "", MODE = "well", PORT = "9000", SMTP_PORT = "2525" } = process.env;
const PATIENCE_MS = 15_000;
/**
 * n.b. a pod that died with its node answers nothing: few sockets, or long patience, would have the client itself stand still.
 * Only with a timeout of its own does it heed the server's `Keep-Alive: timeout`, and then for requests too that set none.
 */
const agent = new http.Agent({ keepAlive: true, maxSockets: 2_000, timeout: PATIENCE_MS });
/** By id: what the client was answered, and how often the mail came. */
const accepted = new Set();
const unknown = new Set();
const came = new Map();
let phase = fresh("start");
let rate = 0;
/** The relay's mood: `well`, `busy` (421 to all), `later` (451 to recipients), `no` (550 to the sender), `slow` (a second a mail). */
let mode = MODE;
const phases = [];

function fresh(name) {
  return {
    name,
    began: Date.now(),
    accepted: 0,
    refused: 0,
    unknown: 0,
    failed: 0,
    longestGap: 0,
    lastAt: Date.now(),
    /** When the first and the last request began that failed; 0 without one. */
    failedFrom: 0,
    failedUntil: 0,
    errors: {},
  };
}

function tally(outcome, detail, beganAt = 0) {
  phase[outcome] += 1;
  if (outcome === "failed") {
    phase.failedFrom = Math.min(phase.failedFrom || beganAt, beganAt);
    phase.failedUntil = Math.max(phase.failedUntil, beganAt);
  }
  if (detail) phase.errors[detail] = (phase.errors[detail] ?? 0) + 1;
  if (outcome !== "accepted") return;
  phase.longestGap = Math.max(phase.longestGap, Date.now() - phase.lastAt);
  phase.lastAt = Date.now();
}

function send() {
  const body = JSON.stringify({
    toaddr: "load@example.com",
    subject: "Load",
    body: "x".repeat(500),
  });
  const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
  const beganAt = Date.now();
  const request = http.request(`${API}/send`, { method: "POST", agent, headers });
  request.setTimeout(PATIENCE_MS, () => request.destroy(new Error("timeout")));
  request.on("error", (error) => {
    const connection = request.reusedSocket ? "kept" : "new";
    tally("failed", `${error.code ?? error.message} on a ${connection} connection`, beganAt);
  });
  request.on("response", async (response) => {
    let text = "";
    response.on("error", (error) => tally("failed", error.code, beganAt));
    for await (const chunk of response) text += chunk;
    const { id, outcome, code } = JSON.parse(text);
    if (response.statusCode === 202) {
      accepted.add(id);
      tally("accepted");
    } else if (outcome === "unknown") {
      unknown.add(id);
      tally("unknown", code);
    } else tally(response.statusCode === 503 ? "refused" : "failed", code, beganAt);
  });
  request.end(body);
}

let due = 0;
setInterval(() => {
  for (due += rate / 50; due >= 1; due -= 1) send();
}, 20);

/** Takes every mail; its id stands in its Message-ID. */
net
  .createServer((socket) => {
    let buffer = "";
    let inData = false;
    const say = (line) => socket.write(`${line}\r\n`);
    if (mode === "busy") return socket.end("421 4.3.2 not now\r\n");
    say("220 load");
    socket.setEncoding("latin1").on("error", () => socket.destroy());
    socket.on("data", (text) => {
      buffer += text;
      for (let end; (end = buffer.indexOf(inData ? "\r\n.\r\n" : "\r\n")) >= 0;) {
        const part = buffer.slice(0, end);
        buffer = buffer.slice(end + (inData ? 5 : 2));
        if (inData) {
          const id = /^Message-ID: <([^@>]+)/im.exec(part)?.[1] ?? "";
          came.set(id, (came.get(id) ?? 0) + 1);
          inData = false;
          setTimeout(() => say("250 2.0.0 taken"), mode === "slow" ? 1_000 : 0);
        } else if (mode === "busy") socket.end("421 4.3.2 not now\r\n");
        else if (mode === "no" && /^MAIL/i.test(part)) say("550 5.7.1 not you");
        else if (mode === "later" && /^RCPT/i.test(part)) say("451 4.2.1 later");
        else if (/^DATA/i.test(part)) {
          inData = true;
          say("354 go on");
        } else if (/^QUIT/i.test(part)) socket.end("221 bye\r\n");
        else say("250 ok");
      }
    });
  })
  .listen(Number(SMTP_PORT), "::");

/** /?rate=100&phase=drain sets the pace and begins a phase, `mode` the relay's, `burst` sends so many at once; / tells. */
http
  .createServer((request, response) => {
    const { searchParams } = new URL(request.url, "http://load");
    if (searchParams.has("rate")) rate = Number(searchParams.get("rate"));
    mode = searchParams.get("mode") ?? mode;
    for (let left = Number(searchParams.get("burst")); left > 0; left -= 1) send();
    if (searchParams.has("phase")) {
      phases.push({ ...phase, longestGap: Math.max(phase.longestGap, Date.now() - phase.lastAt) });
      phase = fresh(searchParams.get("phase"));
    }
    const missing = [...accepted].filter((id) => !came.has(id));
    const twice = [...came].filter(([, times]) => times > 1).map(([id]) => id);
    const sum = { accepted: accepted.size, came: came.size, missing: missing.length, twice };
    response.end(JSON.stringify({ ...sum, phases: [...phases, phase] }));
  })
  .listen(Number(PORT), "::");
