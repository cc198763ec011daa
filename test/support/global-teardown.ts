import { teardown } from "./global-setup.ts";

/** Ends the broker of the run. */
export default async function globalTeardown(): Promise<void> {
  const { endBroker } = teardown;
  teardown.endBroker = () => Promise.resolve();
  await endBroker();
}
