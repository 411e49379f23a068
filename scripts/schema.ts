// Makes config/pk.schema.json, by which editors complete and explain pk.yaml, from the schema that pk
// itself reads the file by:
//
//   deno run --allow-write=config --allow-read=. --allow-env scripts/schema.ts

import { toJsonSchema } from "@valibot/to-json-schema";
import * as v from "valibot";
import { configSchema } from "../src/config/yaml/schema.ts";
import type { About } from "../src/yaml/shape.ts";

export const SCHEMA_FILE = "config/pk.schema.json";

/** The text of the file. */
export function schemaText(): string {
  const schema = toJsonSchema(configSchema, {
    // What a person writes, not what pk makes of it.
    typeMode: "input",
    errorMode: "ignore",
    overrideSchema: ({ valibotSchema, jsonSchema }) => {
      const { pattern } = v.getMetadata(valibotSchema) as Partial<About>;
      return pattern === undefined || jsonSchema.type !== "string"
        ? jsonSchema
        : { ...jsonSchema, pattern };
    },
  });
  const { $schema, ...rest } = schema;
  const titled = { $schema, title: "Configuration of pk", ...rest };
  return `${JSON.stringify(titled, undefined, 2)}\n`;
}

if (import.meta.main) Deno.writeTextFileSync(SCHEMA_FILE, schemaText());
