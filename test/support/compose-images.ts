import { execFileSync } from "node:child_process";
import { IMAGES } from "./compose.ts";

/** Builds the images that docker-compose.yml runs, once before all of its tests. */
export default function build(): void {
  const env = { ...process.env, WELLSENT_VERSION: IMAGES };
  execFileSync("docker", ["compose", "--env-file", "/dev/null", "build", "-q"], { env });
}
