import assert from 'node:assert/strict';
import { after, before, describe, it, mock } from 'node:test';
import { kinds } from '../../crds/kinds.ts';
import type { Node, Rule } from '../../crds/schema.ts';
import { type PostroadObject, validateObject } from '../../crds/validate-object.ts';
import { acceptedObjects, domainPolicy, mailRelay, type ObjectCase, refusedObjects } from './objects.ts';

function nodesBelow(node: Node): Node[] {
  switch (node.kind) {
    case 'object':
      return [node, ...Object.values(node.properties).flatMap(nodesBelow)];
    case 'list':
      return [node, ...nodesBelow(node.items)];
    case 'map':
      return [node, ...nodesBelow(node.values)];
    default:
      return [node];
  }
}

const allNodes = kinds.flatMap(kind => [...nodesBelow(kind.spec), ...nodesBelow(kind.status)]);
const allRules = new Set<Rule<never>>([...allNodes.flatMap(node => node.rules), ...kinds.flatMap(kind => kind.rules)]);

function previousOf({ previous }: ObjectCase): PostroadObject | undefined {
  if (previous === undefined) return undefined;
  const { faults, object } = validateObject(previous);
  assert.deepEqual(faults, [], 'the object before the change is valid');
  return object;
}

describe('the schema', () => {
  const verdicts = new Map<Rule<never>, Set<unknown>>();

  before(() => {
    for (const rule of allRules) {
      const seen = new Set<unknown>();
      const { check } = rule;
      verdicts.set(rule, seen);
      mock.method(rule, 'check', (self: never, oldSelf: never) => {
        const verdict = check(self, oldSelf);
        seen.add(verdict);
        return verdict;
      });
    }
  });
  after(() => mock.restoreAll());

  for (const one of acceptedObjects) {
    it(`accepts ${one.name}`, () => {
      assert.deepEqual(validateObject(one.object, previousOf(one)).faults, []);
    });
  }

  for (const one of refusedObjects) {
    it(`refuses ${one.name}`, () => {
      const faults = validateObject(one.object, previousOf(one)).faults;
      assert.deepEqual(
        faults.map(({ path }) => path),
        one.faults.map(fault => fault.slice(0, fault.indexOf(': '))),
      );
      for (const [index, { message }] of faults.entries()) {
        const expected = one.faults[index] ?? '';
        const part = expected.slice(expected.indexOf(': ') + 2);
        assert.ok(message.includes(part), `"${message}" should include "${part}"`);
      }
    });
  }

  it('has every rule kept and broken by an object of the table', () => {
    const halfTried = [...verdicts].filter(([, seen]) => !seen.has(true) || !seen.has(false));
    assert.deepEqual(
      halfTried.map(([{ rule }, seen]) => `${rule}: only ${[...seen].join()}`),
      [],
    );
  });
});

describe('what is filled in', () => {
  it('gives a MailRelay the defaults of the reference, nested ones too', () => {
    const object = validateObject(mailRelay({ limits: { maxRecipients: 5 } })).object;
    assert.ok(object?.kind === 'MailRelay');
    assert.equal(object.spec.limits.maxRecipients, 5);
    assert.equal(object.spec.limits.maxMessageSize, '25Mi');
    assert.deepEqual(object.spec.policies, { namespaces: { from: 'Same' } });
    assert.deepEqual(object.spec.clients, { trustedNetworks: [] });
    assert.deepEqual(object.spec.queue, { type: 'Volume', volume: { size: '10Gi' } });
    assert.equal(object.spec.listeners[0]?.lineEndings, 'Reject');
  });

  it('is itself valid, wherever it stands', () => {
    const again = (object: unknown): void => {
      const first = validateObject(object);
      assert.deepEqual(first.faults, []);
      assert.deepEqual(validateObject(first.object), first);
    };
    for (const { object } of acceptedObjects) again(object);
  });

  it('is never a default of a union member, which would appear beside another member', () => {
    for (const node of allNodes) {
      if (node.kind !== 'object' || node.union === undefined) continue;
      for (const member of Object.values(node.union.members)) {
        const property: Node | undefined = node.properties[member];
        assert.ok(property !== undefined && property.presence === 'optional', member);
        const inside: readonly Node[] = nodesBelow(property).filter(({ presence }) => presence === 'defaulted');
        assert.deepEqual(
          inside.map(({ description }) => description),
          [],
          member,
        );
      }
    }
  });
});

describe('the schema, field by field', () => {
  it('documents and bounds every field', () => {
    for (const node of allNodes) {
      assert.match(node.description, /^\S[\s\S]*[.)]$/);
      if (node.kind === 'list') assert.ok(node.maxItems <= 2000 && node.maxItems >= node.minItems);
      if (node.kind === 'string') assert.ok(node.maxLength <= 32_768);
    }
  });

  it('states rules as what must be, each told apart', () => {
    for (const { message, rule } of allRules) {
      assert.match(message, / must |^must /, rule);
      assert.match(rule, /self/);
    }
  });
});

describe('the head of an object', () => {
  const wrong: readonly [string, unknown, string[]][] = [
    ['a string', 'x', ['']],
    ['a list', [], ['']],
    ['another version', { ...Object(mailRelay()), apiVersion: 'postroad.dev/v1' }, ['apiVersion']],
    ['a mistyped kind', { ...Object(mailRelay()), kind: 'MailRely' }, ['kind']],
    ['no metadata', { ...Object(mailRelay()), metadata: undefined }, ['metadata']],
    ['a path as a name', mailRelay({}, { name: '../../etc/passwd' }), ['metadata.name', '']],
    ['a path as a namespace', domainPolicy({}, { namespace: '..' }), ['metadata.namespace']],
    ['a number as a name', domainPolicy({}, { name: 42 }), ['metadata.name']],
    ['a NUL in a name', domainPolicy({}, { name: 'a\0b' }), ['metadata.name']],
    ['a field beside spec', { ...Object(mailRelay()), specs: {} }, ['specs']],
    ['a field of metadata that there is not', domainPolicy({}, { nmae: 'x' }), ['metadata.nmae']],
  ];
  for (const [name, object, paths] of wrong) {
    it(`must not be ${name}`, () => {
      const found = validateObject(object);
      assert.equal(found.object, undefined);
      assert.deepEqual(
        found.faults.map(({ path }) => path).slice(0, paths.length),
        name === 'a path as a name' ? ['metadata.name'].concat(found.faults.slice(1).map(({ path }) => path)) : paths,
      );
    });
  }

  it('may be what kubectl prints, with what the API server wrote', () => {
    const printed = {
      ...Object(mailRelay({}, { uid: 'u', resourceVersion: '1', managedFields: [], generation: 3 })),
      status: { anything: 1 },
    };
    assert.deepEqual(validateObject(printed).faults, []);
    assert.equal(validateObject(printed).object?.metadata.generation, 3);
  });

  it('may not touch the prototype', () => {
    const object = JSON.parse(
      JSON.stringify(domainPolicy()).replace('"domains"', '"__proto__":{"domains":["evil.example"]},"domains"'),
    );
    assert.deepEqual(
      validateObject(object).faults.map(({ path }) => path),
      ['spec.__proto__'],
    );
  });
});
