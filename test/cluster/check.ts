/** One thing that is to show on a cluster. */
export interface Check {
  name: string;
  /** Environment variables without which it is not run: commands that take a node's name. */
  needs?: string[];
  /** Resolves to what was seen. @throws {Error} saying what is not as it should be */
  run: () => Promise<string> | string;
}
