import type { z } from "zod";

/** What zod found, with its path from the top. */
export interface SchemaFault {
  path: readonly PropertyKey[];
  issue: z.core.$ZodIssue;
}

/** The faults that zod found; of an address or a list of addresses, those of the one that was meant. */
export function faultsIn(
  issues: readonly z.core.$ZodIssue[],
  above: readonly PropertyKey[] = [],
): SchemaFault[] {
  return issues.flatMap((issue) => {
    const path = [...above, ...issue.path];
    const meant = issue.code === "invalid_union" && issue.errors.find(isOfRightType);
    return meant ? faultsIn(meant, path) : { path, issue };
  });
}

function isOfRightType(issues: readonly z.core.$ZodIssue[]): boolean {
  return !issues.some(({ code, path }) => code === "invalid_type" && path.length === 0);
}
