import { teardown } from "./global-setup.ts";

/** Ends the broker of the run. */
export default async function globalTeardown(): Promise<void> {
  await teardown.endBroker();
}
