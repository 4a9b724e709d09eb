/** Writes what is made from the schema: the CRDs, and their page in docs/reference. `node crds/generate.ts [ROOT]` */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { group } from './common.ts';
import { kinds } from './kinds.ts';
import { customResourceDefinition } from './open-api.ts';
import { referencePage } from './reference.ts';

export function generatedFiles(): ReadonlyMap<string, string> {
  const head = '# Made from crds/*.ts by `npm run generate`.\n';
  // No anchors: kubectl reads them, but people who diff should not have to.
  const yaml = (value: unknown): string => stringify(value, { aliasDuplicateObjects: false, lineWidth: 120 });
  return new Map([
    ...kinds.map(
      kind => [`crds/${kind.plural}.${group}.yaml`, `${head}---\n${yaml(customResourceDefinition(kind))}`] as const,
    ),
    ['docs/reference/resources.md', referencePage(kinds)] as const,
  ]);
}

if (import.meta.main) {
  const root = process.argv[2] ?? join(import.meta.dirname, '..');
  for (const [path, text] of generatedFiles()) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}
