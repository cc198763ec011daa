import { emailIdSchema } from "@wellsent/contract";
import type { ApiDescription } from "@wellsent/http";
import * as z from "zod";
import manifest from "../package.json" with { type: "json" };
import { createSendSchema } from "./send/schema.ts";

/** Describes the API beside its routes, with the schemas that validate requests. */
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
      key: { type: "http", scheme: "bearer", description: "Required unless API_ANONYMOUS=true" },
    },
    schemas: { Send: send, Accepted: accepted },
  };
}
