import { execFileSync } from "node:child_process";
import { IMAGES, IMAGES_GIVEN } from "./compose.ts";

/** Builds the images that docker-compose.yml runs, once before all of its tests, unless IMAGES_GIVEN is set. */
export default function build(): void {
  if (IMAGES_GIVEN) return;
  const env = { ...process.env, WELLSENT_VERSION: IMAGES };
  execFileSync("docker", ["compose", "--env-file", "/dev/null", "build", "-q"], { env });
}
