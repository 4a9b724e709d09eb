/** The page for users: every field with its type, bounds, default and meaning. */
import { apiVersion } from './common.ts';
import type { Kind } from './kind.ts';
import type { Node, Rule } from './schema.ts';

export function referencePage(kinds: readonly Kind[]): string {
  const head = [
    '# Resources',
    '',
    '<!-- Made from crds/*.ts by `npm run generate`. -->',
    '',
    `Both kinds are namespaced and belong to \`${apiVersion}\`. \`kubectl get postroad -A\` lists them all.`,
    'A refused object is told every fault at once. Fields marked *required* must be given; a default is filled in when an object is stored.',
    '',
  ];
  return `${[...head, ...kinds.flatMap(kindSection)].join('\n')}\n`;
}

function kindSection(kind: Kind): string[] {
  return [
    `## ${kind.kind}`,
    '',
    `Short name \`${kind.shortName}\`. ${kind.description}`,
    '',
    ...ruleLines([{ path: '', rules: kind.rules }]),
    `### ${kind.kind} spec`,
    '',
    ...table('spec', kind.spec),
    '',
    ...ruleLines(nodesBelow('spec', kind.spec).map(({ path, node }) => ({ path, rules: node.rules }))),
    `### ${kind.kind} status`,
    '',
    ...table('status', kind.status),
    '',
  ];
}

interface Place {
  readonly path: string;
  readonly node: Node;
}

function table(path: string, node: Node): string[] {
  // The items of a list are told of in the row of the list.
  const rows = nodesBelow(path, node)
    .filter(({ path: at }) => at !== path && !at.endsWith('[]'))
    .map(({ path: at, node: field }) => {
      return `| \`${at}\` | ${typeName(field)} | ${presence(field)} | ${field.description.replaceAll('|', '\\|')} |`;
    });
  return ['| field | type | default | meaning |', '| --- | --- | --- | --- |', ...rows];
}

function nodesBelow(path: string, node: Node): Place[] {
  const here = { path, node };
  if (node.kind === 'object')
    return [here, ...Object.entries(node.properties).flatMap(([name, child]) => nodesBelow(`${path}.${name}`, child))];
  if (node.kind === 'list') return [here, ...nodesBelow(`${path}[]`, node.items)];
  return [here];
}

function typeName(node: Node): string {
  switch (node.kind) {
    case 'string':
      if (node.values !== undefined) return node.values.map(value => `\`${value}\``).join(' \\| ');
      if (node.pattern !== undefined) return `string: ${node.pattern.means}`;
      return node.format === 'date-time' ? 'time' : `string, at most ${node.maxLength} characters`;
    case 'integer':
      return node.maximum === Number.MAX_SAFE_INTEGER ? 'integer' : `integer, ${node.minimum} to ${node.maximum}`;
    case 'quantity':
      return node.pattern.means;
    case 'list': {
      const least = node.minItems === 0 ? `at most ${node.maxItems}` : `${node.minItems} to ${node.maxItems}`;
      return `${node.listType === 'set' ? 'set' : 'list'}, ${least}${node.items.kind === 'object' ? '' : `, of ${typeName(node.items)}`}`;
    }
    case 'map':
      return `map, at most ${node.maxProperties} entries`;
    case 'object':
      return 'object';
  }
}

function presence(node: Node): string {
  if (node.presence === 'defaulted') return `\`${JSON.stringify(node.default)}\``;
  return node.presence === 'required' ? '*required*' : '';
}

function ruleLines(places: readonly { readonly path: string; readonly rules: readonly Rule<never>[] }[]): string[] {
  const lines = places.flatMap(({ path, rules }) =>
    rules.map(({ message }) => `- ${path === '' ? '' : `\`${path}\`: `}${message}.`),
  );
  return lines.length === 0 ? [] : ['Rules:', '', ...lines, ''];
}
