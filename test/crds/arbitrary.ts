/** Values that a schema accepts, at random. */
import fc from 'fast-check';
import type { ListNode, Node, ObjectNode, StringNode } from '../../crds/schema.ts';
import { validateNode } from '../../crds/validate.ts';

const networks = ['10.0.0.0/8', '192.0.2.0/24', '127.0.0.1/32', '::1/128', '2001:db8::/32', 'fd00::/8'];
const nameservers = ['192.0.2.53:53', '127.0.0.1:65535', '[2001:db8::53]:53', '[::1]:5353'];
const cpus = [1, 2, '10m', '500m', '4'];
const sizes = [1_048_576, '1Mi', '64Mi', '100M', '1G', '1Gi', '10Gi', '64Ti'];

export function valuesOf(node: Node): fc.Arbitrary<unknown> {
  return shapesOf(node).filter(value => validateNode(node, '', value).faults.length === 0);
}

function shapesOf(node: Node): fc.Arbitrary<unknown> {
  switch (node.kind) {
    case 'string':
      return stringsOf(node);
    case 'integer':
      return fc.integer({ min: node.minimum, max: node.maximum });
    case 'quantity':
      return fc.constantFrom(...(node.pattern.regex.includes('m?') ? cpus : sizes));
    case 'list':
      return listsOf(node);
    case 'map':
      return fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), valuesOf(node.values), { maxKeys: 3 });
    case 'object':
      return objectsOf(node);
  }
}

function stringsOf(node: StringNode): fc.Arbitrary<string> {
  const rules = node.rules.map(({ rule }) => rule).join();
  if (rules.includes('isCIDR')) return fc.constantFrom(...networks);
  if (rules.includes('isIP')) return fc.constantFrom(...nameservers);
  if (node.values !== undefined) return fc.constantFrom(...node.values);
  if (node.pattern !== undefined) return fc.stringMatching(new RegExp(node.pattern.regex), { size: 'xsmall' });
  return fc.string({ minLength: node.minLength, maxLength: Math.min(node.maxLength, 20) });
}

function listsOf(node: ListNode): fc.Arbitrary<unknown[]> {
  const minLength = node.minItems;
  const maxLength = Math.min(node.maxItems, minLength + 3);
  const items = valuesOf(node.items);
  if (node.listType === 'atomic') return fc.array(items, { minLength, maxLength });
  const selector = (item: unknown): unknown =>
    node.listType === 'set' ? item : JSON.stringify(node.keys.map(key => (item as Record<string, unknown>)[key]));
  return fc.uniqueArray(items, { minLength, maxLength, selector });
}

function objectsOf({ properties, union }: ObjectNode): fc.Arbitrary<Record<string, unknown>> {
  const members = new Set(Object.values(union?.members ?? {}));
  const names = Object.keys(properties);
  const plain = Object.fromEntries(
    names.filter(name => !members.has(name)).map(name => [name, valuesOf(nodeOf(properties, name))]),
  );
  const requiredKeys = Object.keys(plain).filter(name => properties[name]?.presence === 'required');
  const objects: fc.Arbitrary<Record<string, unknown>> = fc.record(plain, { requiredKeys });
  if (union === undefined) return objects;
  const fallback = properties[union.discriminator]?.default;
  return objects.chain(value => {
    const member = union.members[String(value[union.discriminator] ?? fallback)];
    if (member === undefined) return fc.constant(value);
    return valuesOf(nodeOf(properties, member)).map(inner => ({ ...value, [member]: inner }));
  });
}

function nodeOf(properties: ObjectNode['properties'], name: string): Node {
  const node = properties[name];
  if (node === undefined) throw new Error(`no property ${name}`);
  return node;
}
