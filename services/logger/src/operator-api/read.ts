import { faultsIn } from "@wellsent/contract";
import { Problem } from "@wellsent/http";
import type * as z from "zod";
import { PROBLEMS } from "./problems.ts";

/** More faults than this help nobody. */
const FAULTS_MAX = 5;

/** Validates a part of a request; nothing at all is read as an empty object. @throws {Problem} REQUEST_INVALID, naming the fields */
export function read<Schema extends z.ZodType>(schema: Schema, value: unknown): z.output<Schema> {
  const { success, data, error } = schema.safeParse(value ?? {});
  if (success) return data;
  const faults = faultsIn(error.issues).slice(0, FAULTS_MAX);
  const reasons = faults.map(({ path, issue }) => `${path.join(".") || "$"}: ${issue.message}`);
  throw new Problem(PROBLEMS.REQUEST_INVALID, { detail: reasons.join("; ") });
}
