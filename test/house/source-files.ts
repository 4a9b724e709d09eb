/** The product's own source, and what each file of it imports. */
import { glob, readFile } from 'node:fs/promises';
import { posix } from 'node:path';

export interface SourceFile {
  /** From the root of the repository. */
  readonly path: string;
  readonly text: string;
}

export interface Import {
  readonly from: string;
  /** A path from the root of the repository, or a package as written. */
  readonly to: string;
  readonly isOurs: boolean;
  /** Gone when the types are stripped. */
  readonly isType: boolean;
}

const root = new URL('../..', import.meta.url).pathname;

export async function readSourceFiles(): Promise<SourceFile[]> {
  const paths: string[] = [];
  for await (const path of glob(['charts/*.ts', 'crds/**/*.ts', 'relay/**/*.ts', 'operator/**/*.ts'], { cwd: root }))
    paths.push(path);
  return await Promise.all(
    paths.sort().map(async path => ({ path, text: await readFile(posix.join(root, path), 'utf8') })),
  );
}

/** The formatter leaves each statement at the start of a line, with its specifier in single quotes. */
const statements = /^(?:import|export) (?<type>type )?(?:(?<names>[^;'"]*?) from )?'(?<specifier>[^']+)'/gm;
const dynamic = /\bimport\(\s*'(?<specifier>[^']+)'/g;

export function importsOf({ path, text }: SourceFile): Import[] {
  const static_ = [...text.matchAll(statements)].map(({ groups }) => ({
    specifier: groups?.['specifier'] ?? '',
    isType: groups?.['type'] !== undefined || onlyTypes(groups?.['names'] ?? ''),
  }));
  const lazy = [...text.matchAll(dynamic)].map(({ groups }) => ({
    specifier: groups?.['specifier'] ?? '',
    isType: false,
  }));
  return [...static_, ...lazy].map(({ specifier, isType }) => {
    const isOurs = specifier.startsWith('.');
    const to = isOurs ? posix.normalize(posix.join(posix.dirname(path), specifier)) : specifier;
    return { from: path, to, isOurs, isType };
  });
}

/** `{ type A, type B }` alone. */
function onlyTypes(names: string): boolean {
  const inner = /^\{(?<list>[^}]*)\}$/.exec(names.trim())?.groups?.['list'];
  if (inner === undefined) return false;
  const each = inner.split(',').map(name => name.trim());
  return each.filter(name => name !== '').every(name => name.startsWith('type '));
}
