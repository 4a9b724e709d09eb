/** The API server's own schemas, as files that kubeconform reads: of every kind, definitions of others included, and nothing that they do not name is taken. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { KubeClient } from '../../operator/kube/client.ts';

interface Schema {
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly additionalProperties?: unknown;
  readonly 'x-kubernetes-preserve-unknown-fields'?: boolean;
  readonly 'x-kubernetes-group-version-kind'?: readonly {
    readonly group: string;
    readonly version: string;
    readonly kind: string;
  }[];
}

/** Where kubeconform finds them. */
export async function writeSchemas(client: KubeClient, folder: string): Promise<string> {
  const path = '/openapi/v2';
  const { definitions } = await client.request<{ definitions: Record<string, Schema> }>({
    ...{ method: 'GET', path, signal: AbortSignal.timeout(30_000) },
  });
  const strict = Object.fromEntries(Object.entries(definitions).map(([name, schema]) => [name, closed(schema)]));
  await writeFile(join(folder, '_definitions.json'), JSON.stringify({ definitions: strict }));
  for (const [name, schema] of Object.entries(definitions)) {
    const kinds = schema['x-kubernetes-group-version-kind'] ?? [];
    // Lists and options have many kinds, or none.
    const [only] = kinds;
    if (only === undefined || kinds.length > 1) continue;
    const file = [only.kind, only.group.split('.')[0], only.version]
      .filter(part => part !== '')
      .join('-')
      .toLowerCase();
    await writeFile(join(folder, `${file}.json`), JSON.stringify({ $ref: `_definitions.json#/definitions/${name}` }));
  }
  return join(folder, '{{ .ResourceKind }}{{ .KindSuffix }}.json');
}

/** No field that the schema does not name, at any depth. */
function closed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(closed);
  if (typeof value !== 'object' || value === null) return value;
  const schema = Object.fromEntries(Object.entries(value).map(([key, below]) => [key, closed(below)])) as Schema;
  // OpenAPI 2 has no way to say that both are taken.
  if ('format' in schema && schema.format === 'int-or-string')
    return { oneOf: [{ type: 'string' }, { type: 'integer' }] };
  const isOpen = schema['x-kubernetes-preserve-unknown-fields'] === true || schema.additionalProperties !== undefined;
  const isMap = typeof schema.properties === 'object' && !isOpen && 'type' in schema && schema.type === 'object';
  return isMap ? { ...schema, additionalProperties: false } : schema;
}
