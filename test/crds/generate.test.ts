import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { generatedFiles } from '../../crds/generate.ts';

const root = join(import.meta.dirname, '..', '..');

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-int-or-string'?: boolean;
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[];
  readonly default?: unknown;
  readonly maxItems?: number;
  readonly maxLength?: number;
  readonly maxProperties?: number;
  readonly maximum?: number;
  readonly enum?: readonly string[];
}

function schemasBelow(schema: Schema): Schema[] {
  const children = [...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties];
  return [schema, ...children.flatMap(child => (child === undefined ? [] : schemasBelow(child)))];
}

function isStructural(one: Schema): boolean {
  const typed = one.type !== undefined || one['x-kubernetes-int-or-string'] === true;
  return typed && (one.properties === undefined || one.additionalProperties === undefined);
}

function isBounded(one: Schema): boolean {
  if (one.type === 'array') return one['x-kubernetes-list-type'] !== undefined && one.maxItems !== undefined;
  if (one.type === 'integer') return one.maximum !== undefined;
  return one.additionalProperties === undefined || one.maxProperties !== undefined;
}

/** Names of defaulted properties that a default leaves to be filled in. */
function missingDefaults({ properties = {} }: Schema, value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  const given = new Map(Object.entries(value));
  return Object.entries(properties).flatMap(([name, property]) =>
    given.has(name) || property.default === undefined ? missingDefaults(property, given.get(name)) : [name],
  );
}

/** Reserved in CEL: a field of that name cannot be written as it is. */
const reserved = [
  'namespace',
  'in',
  'as',
  'for',
  'if',
  'function',
  'package',
  'void',
  'let',
  'loop',
  'import',
  'return',
  'var',
  'while',
];
/** In the API server's libraries since Kubernetes 1.30 or longer. */
const knownFunctions = [
  'has',
  'size',
  'all',
  'exists_one',
  'matches',
  'isCIDR',
  'cidr',
  'prefixLength',
  'isIP',
  'substring',
  'lastIndexOf',
  'indexOf',
  'replace',
  'int',
  'string',
  'quantity',
  'compareTo',
];

describe('generated files', () => {
  for (const [path, text] of generatedFiles()) {
    it(`${path} is what the schema makes (npm run generate)`, () => {
      assert.equal(readFileSync(join(root, path), 'utf8'), text);
    });
  }

  for (const [path, text] of [...generatedFiles()].filter(([name]) => name.endsWith('.yaml'))) {
    const definition = parse(text);
    const schema: Schema = definition.spec.versions[0].schema.openAPIV3Schema;
    const below = Object.values(schema.properties ?? {}).flatMap(schemasBelow);

    it(`${path} stays far below what client-side apply can take`, () => {
      assert.ok(Buffer.byteLength(text) < 131_072, `${Buffer.byteLength(text)} bytes`);
    });

    it(`${path} is structural: each value has one type, and bounds`, () => {
      for (const one of below) assert.ok(isStructural(one) && isBounded(one), JSON.stringify(one).slice(0, 300));
      const strings = schemasBelow(schema.properties?.['spec'] ?? {}).filter(({ type }) => type === 'string');
      for (const one of strings)
        assert.ok(one.maxLength !== undefined || one.enum !== undefined, JSON.stringify(one).slice(0, 300));
      assert.ok(!below.some(({ type }) => type === 'number' || type === 'boolean'), 'no floats, few booleans');
    });

    it(`${path} has defaults that are whole, since rules are asked of them as they stand`, () => {
      for (const one of below) assert.deepEqual(missingDefaults(one, one.default), [], JSON.stringify(one.default));
    });

    it(`${path} uses only CEL that Kubernetes 1.30 knows`, () => {
      const rules = [schema, ...below].flatMap(one => one['x-kubernetes-validations'] ?? []);
      assert.ok(rules.length > 1);
      for (const { rule } of rules) {
        const called = [...rule.replaceAll(/'[^']*'/g, "''").matchAll(/([A-Za-z_]+)\(/g)].map(([, name]) => name);
        assert.deepEqual(
          called.filter(name => !knownFunctions.includes(name ?? '')),
          [],
          rule,
        );
        for (const word of reserved) assert.doesNotMatch(rule, new RegExp(`\\.${word}\\b`), rule);
      }
    });

    it(`${path} has its names, columns and subresources`, () => {
      const { names, versions } = definition.spec;
      assert.deepEqual(names.categories, ['postroad']);
      assert.ok(['mrelay', 'dpol'].includes(names.shortNames[0]));
      assert.deepEqual(versions[0].subresources.status, {});
      assert.equal('scale' in versions[0].subresources, names.kind === 'MailRelay');
      assert.ok(versions[0].additionalPrinterColumns.length >= 6);
    });
  }
});
