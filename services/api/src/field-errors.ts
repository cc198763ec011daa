import type { z } from "zod";

/** A field at fault, such as `toaddr[3]`, and the reason; never its value. */
export interface FieldError {
  field: string;
  reason: string;
}

type Issue = z.core.$ZodIssue;

/** Unknown fields' names are the client's, so their number and length are bounded. */
const ERRORS_MAX = 20;
const NAME_MAX = 100;
/** The whole body, where it is not an object. */
const ROOT = "$";

/** Names the fields at fault. The issues must come from a parse with `reportInput`. */
export function fieldErrors(issues: readonly Issue[]): FieldError[] {
  return issues.flatMap((issue) => explain(issue, [])).slice(0, ERRORS_MAX);
}

function explain(issue: Issue, above: readonly PropertyKey[]): FieldError[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys")
    return issue.keys
      .slice(0, ERRORS_MAX)
      .map((key) => ({ field: nameOf([...path, key]), reason: "is not a known field" }));
  const branch = issue.code === "invalid_union" && issue.errors.find(isOfRightType);
  if (branch) return branch.flatMap((inner) => explain(inner, path));
  return [{ field: nameOf(path), reason: reasonOf(issue) }];
}

/** Of `an address or a list of addresses`, the one that was meant. */
function isOfRightType(issues: readonly Issue[]): boolean {
  return !issues.some(({ code, path }) => code === "invalid_type" && path.length === 0);
}

function reasonOf(issue: Issue): string {
  if (issue.input === undefined && issue.code.startsWith("invalid_")) return "is required";
  return issue.code === "invalid_type" ? `must be a JSON ${issue.expected}` : issue.message;
}

function nameOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(append, "") || ROOT;
}

function append(name: string, key: PropertyKey): string {
  if (typeof key === "number") return `${name}[${key}]`;
  const short = String(key).slice(0, NAME_MAX);
  return name === "" ? short : `${name}.${short}`;
}
