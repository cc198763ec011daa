/** One thing that is to show on a cluster. */
export interface Check {
  name: string;
  /** Environment variables without which it is not run: commands that take a node's name. */
  needs?: string[];
  /** Says what the cluster lacks for it, or has that it would harm; then it is not run. */
  lacks?: () => string | undefined;
  /** Resolves to what was seen. @throws {Error} saying what is not as it should be */
  run: () => Promise<string> | string;
}
