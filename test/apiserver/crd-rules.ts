/** The CEL rules of a CRD as it is published, each with its place. */
import { readFile } from 'node:fs/promises';
import { parse } from 'yaml';

export interface CrdRule {
  readonly kind: string;
  /** Names of properties from the root; `*` for the items of a list and the values of a map. */
  readonly path: readonly string[];
  readonly rule: string;
  readonly message: string;
  readonly fieldPath: string;
}

interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly 'x-kubernetes-validations'?: readonly {
    readonly rule: string;
    readonly message: string;
    readonly fieldPath?: string;
  }[];
}

interface Crd {
  readonly spec: {
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}

const root = new URL('../../', import.meta.url).pathname;

export async function publishedRules(): Promise<CrdRule[]> {
  const files = ['mailrelays', 'domainpolicies'].map(plural => `${root}crds/${plural}.postroad.dev.yaml`);
  const crds = await Promise.all(files.map(async file => parse(await readFile(file, 'utf8')) as Crd));
  return crds.flatMap(({ spec: { names, versions } }) =>
    versions.flatMap(({ schema }) => rulesBelow(names.kind, schema.openAPIV3Schema, [])),
  );
}

function rulesBelow(kind: string, schema: Schema, path: readonly string[]): CrdRule[] {
  const own = (schema['x-kubernetes-validations'] ?? []).map(({ rule, message, fieldPath = '' }) => ({
    ...{ kind, path, rule, message, fieldPath },
  }));
  const below = Object.entries(schema.properties ?? {}).flatMap(([name, child]) =>
    rulesBelow(kind, child, [...path, name]),
  );
  const each = [schema.items, schema.additionalProperties].filter(child => child !== undefined);
  return [...own, ...below, ...each.flatMap(child => rulesBelow(kind, child, [...path, '*']))];
}

/** Whether the object has something where the rule stands. */
export function reaches(value: unknown, path: readonly string[]): boolean {
  if (value === undefined || value === null) return false;
  const [first, ...rest] = path;
  if (first === undefined) return true;
  if (typeof value !== 'object') return false;
  if (first === '*') return Object.values(value).some(child => reaches(child, rest));
  return reaches((value as Readonly<Record<string, unknown>>)[first], rest);
}
