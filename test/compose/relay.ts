/** A relay in a container: with REFUSE it answers 451 to every recipient, otherwise it takes all. */
import { startSink } from "@wellsent/testing";

const refuse = Boolean(process.env["REFUSE"]);
await startSink({ host: "0.0.0.0", port: 2525, rule: () => (refuse ? 451 : undefined) });
