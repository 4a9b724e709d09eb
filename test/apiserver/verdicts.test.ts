/** One table of objects (test/crds/objects.ts): a real API server, by its structural schema and CEL, says of each what the check in code says. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { kinds } from '../../crds/kinds.ts';
import { type PostroadObject, validateObject } from '../../crds/validate-object.ts';
import { pathOf, type Resource } from '../../operator/kube/object.ts';
import { acceptedObjects, type ObjectCase, refusedObjects } from '../crds/objects.ts';
import { type ApiWorld, namespaces, startWorld } from './api-world.ts';
import { type CrdRule, publishedRules, reaches } from './crd-rules.ts';
import { installOwnCrds } from './install-crds.ts';
import { type RawAnswer, type RawConnection, rawConnection } from './raw-request.ts';

let world: ApiWorld;
let server: RawConnection;
let rules: readonly CrdRule[];

before(async () => {
  world = await startWorld();
  server = rawConnection(world.server.admin);
  rules = await publishedRules();
  await installOwnCrds(world);
  for (const name of ['shop', 'b']) {
    await world.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
});
after(async () => {
  server[Symbol.dispose]();
  await world[Symbol.asyncDispose]();
});

interface Head {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string; readonly resourceVersion?: string };
}

interface Refusal {
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { readonly message?: string; readonly field?: string }[] };
}

const strict = 'fieldValidation=Strict';
const dryRun = `${strict}&dryRun=All`;

function resourceOf({ apiVersion, kind }: Head): Resource {
  const found = kinds.find(each => each.kind === kind);
  assert.ok(found, kind);
  return { apiVersion, kind, plural: found.plural, isNamespaced: true };
}

async function create(object: unknown, query: string): Promise<RawAnswer> {
  const head = object as Head;
  const { namespace } = head.metadata;
  return await server.send({
    method: 'POST',
    path: `${pathOf(resourceOf(head), { namespace })}?${query}`,
    body: object,
  });
}

/** A real change of a real object, which goes afterwards. */
async function change(previous: unknown, object: unknown): Promise<RawAnswer> {
  const made = await create(previous, strict);
  assert.equal(made.status, 201, JSON.stringify(made.body));
  const head = object as Head;
  const path = pathOf(resourceOf(head), head.metadata);
  try {
    const { resourceVersion } = (made.body as Head).metadata;
    const body = { ...head, metadata: { ...head.metadata, resourceVersion } };
    return await server.send({ method: 'PUT', path: `${path}?${strict}`, body });
  } finally {
    await server.send({ method: 'DELETE', path });
  }
}

async function verdictOf({ object, previous }: ObjectCase): Promise<RawAnswer> {
  return previous === undefined ? await create(object, dryRun) : await change(previous, object);
}

interface Broken {
  readonly path: string;
  readonly message: string;
}

/** The rules that were broken, as the API server names them. */
function brokenRules({ body }: RawAnswer): Broken[] {
  const causes = (body as Refusal).details?.causes ?? [];
  return causes.flatMap(({ field = '', message: said = '' }) => {
    const rule = rules.find(({ message }) => said.endsWith(`: ${message}`));
    return rule === undefined ? [] : [{ path: field === '<nil>' ? '' : field, message: rule.message }];
  });
}

function previousOf({ previous }: ObjectCase): PostroadObject | undefined {
  return previous === undefined ? undefined : validateObject(previous).object;
}

const accepted: { readonly kind: string; readonly object: unknown; readonly isChange: boolean }[] = [];
const broken = new Set<string>();

const placeOf = ({ kind, path, fieldPath, message }: CrdRule): string =>
  `${kind} ${path.join('.')}${fieldPath}: ${message}`;

describe('the API server', () => {
  for (const one of acceptedObjects) {
    it(`accepts ${one.name}`, async () => {
      const { status, body } = await verdictOf(one);
      assert.ok(status === 201 || status === 200, JSON.stringify(body));
      accepted.push({ kind: (one.object as Head).kind, object: body, isChange: one.previous !== undefined });
    });
  }

  for (const one of refusedObjects) {
    it(`refuses ${one.name}`, async () => {
      const answer = await verdictOf(one);
      assert.ok(answer.status === 422 || answer.status === 400, `${answer.status} ${JSON.stringify(answer.body)}`);
      const { faults } = validateObject(one.object, previousOf(one));
      const isRule = ({ message }: Broken): boolean => rules.some(rule => rule.message === message);
      // The server asks the rules also about a value that its schema refuses, which the check in code does not.
      const malformed = new Set(faults.filter(fault => !isRule(fault)).map(({ path }) => path));
      const theirs = brokenRules(answer).filter(({ path }) => !malformed.has(path));
      const lines = (all: readonly Broken[]): string[] => all.map(({ path, message }) => `${path}: ${message}`).sort();
      assert.deepEqual(lines(theirs), lines(faults.filter(isRule)));
      for (const line of lines(theirs)) broken.add(`${(one.object as Head).kind} ${line}`);
    });
  }

  it('has every published rule kept by an accepted object of the table, a change where it is a rule of changes', () => {
    const untried = rules.filter(({ kind, path, rule }) => {
      const isTransition = rule.includes('oldSelf');
      return !accepted.some(
        each => each.kind === kind && reaches(each.object, path) && (!isTransition || each.isChange),
      );
    });
    assert.deepEqual(untried.map(placeOf), []);
  });

  it('has every published rule broken by a refused object of the table, and says so by the message of that rule', () => {
    const seen = new Set([...broken].map(each => each.replaceAll(/\[\d+\]/g, '.*')));
    const untried = rules.filter(rule => !seen.has(placeOf(rule)));
    assert.deepEqual(untried.map(placeOf), []);
  });
});
