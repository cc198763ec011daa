import { emailIdSchema } from "@wellsent/contract";
import type { ApiDescription } from "@wellsent/http";
import * as z from "zod";
import manifest from "../package.json" with { type: "json" };
import { createSendSchema } from "./send/schema.ts";

/** Describes the API beyond its routes, with the schemas that it validates with. */
export function describeApi(bodyMaxBytes: number): ApiDescription {
  const send = createSendSchema(bodyMaxBytes);
  const accepted = send.extend({ id: emailIdSchema, status: z.literal("accepted") });
  return {
    info: {
      title: "Wellsent",
      description: "Transactional email you can trust, on your own cluster",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
      version: manifest.version,
    },
    securitySchemes: {
      key: { type: "http", scheme: "bearer", description: "Unless the API is anonymous" },
    },
    schemas: { Send: send, Accepted: accepted },
  };
}
