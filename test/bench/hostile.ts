/** The API's largest resident memory under requests that cost more than they should: `npm run bench:hostile`. */
import { ATTACKS, LIMIT_MIB, peakUnder, startApi } from "../support/hostile-requests.ts";

/** Nothing listens there: bodies are read and parsed, and then wait for the broker. */
const AMQP = process.env["AMQP_URL"] ?? "amqp://127.0.0.1:1";

console.log(`| requests | connections | largest resident memory, of ${LIMIT_MIB} MiB |`);
console.log("| --- | --- | --- |");
for (const [name, attack] of Object.entries(ATTACKS)) {
  const { api, port } = await startApi(AMQP);
  const peak = await peakUnder(attack, api, port).finally(() => api.end("SIGKILL"));
  console.log(`| ${name} | ${attack.connections} | ${peak} MiB |`);
}
