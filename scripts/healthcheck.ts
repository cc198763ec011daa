/** Ends with 0 when the service in this container answers; for images, which have neither shell nor curl. `/readyz` as an argument asks for more. */
import { get } from "node:http";

const TIMEOUT_MS = 2_000;
const { METRICS_PORT } = process.env;
const [, , path = "/healthz"] = process.argv;

get({ host: "localhost", port: METRICS_PORT ?? 9464, path, timeout: TIMEOUT_MS })
  .on("response", (response) => {
    process.exitCode = response.statusCode === 200 ? 0 : 1;
    response.pipe(process.stdout);
  })
  .on("timeout", () => process.exit(1))
  .on("error", ({ message }) => {
    console.log(message);
    process.exitCode = 1;
  });
