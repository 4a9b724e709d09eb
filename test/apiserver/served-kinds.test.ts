/** What a cluster with the CRDs answers to those who use them: examples are taken as they stand, and `kubectl get` shows what matters. */
import assert from 'node:assert/strict';
import { glob, readFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { domainPolicyKind } from '../../crds/domain-policy.ts';
import type { Kind } from '../../crds/kind.ts';
import { kinds } from '../../crds/kinds.ts';
import { mailRelayKind } from '../../crds/mail-relay.ts';
import type { KubeObject, Resource } from '../../operator/kube/object.ts';
import { pathOf } from '../../operator/kube/object.ts';
import { domainPolicy, mailRelay } from '../crds/objects.ts';
import { type ApiWorld, namespaces, startWorld } from './api-world.ts';
import { installOwnCrds } from './install-crds.ts';
import { type RawConnection, rawConnection } from './raw-request.ts';

const root = new URL('../../', import.meta.url).pathname;
const apiVersion = 'postroad.dev/v1alpha1';
const resources: Readonly<Record<string, Resource>> = Object.fromEntries([
  ...kinds.map(({ kind, plural }) => [kind, { apiVersion, kind, plural, isNamespaced: true }]),
  ['Secret', { apiVersion: 'v1', kind: 'Secret', plural: 'secrets', isNamespaced: true }],
]);

/** A kind that this API server has not, which test/operator/keda-example.test.ts looks at, and the values of a chart, which test/cluster/journeys/relay-grows.test.ts does. */
const ofOthers = ['examples/keda/**', 'examples/prometheus-adapter/**'];

let world: ApiWorld;
let server: RawConnection;

before(async () => {
  world = await startWorld();
  server = rawConnection(world.server.admin);
  await installOwnCrds(world);
  await world.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
});
after(async () => {
  server[Symbol.dispose]();
  await world[Symbol.asyncDispose]();
});

function resourceOf(kind: string): Resource {
  const resource = resources[kind];
  assert.ok(resource, `${kind} is a kind that the examples may hold`);
  return resource;
}

describe('each example', async () => {
  const files = await Array.fromAsync(glob('examples/**/*.yaml', { cwd: root, exclude: ofOthers }));
  assert.ok(files.length >= 5, files.join());
  for (const file of files.sort()) {
    it(`${file} is taken by a server-side apply, field by field`, async () => {
      const documents = parseAllDocuments(await readFile(`${root}${file}`, 'utf8')).map(each => each.toJS());
      assert.ok(documents.length > 0);
      for (const object of documents as KubeObject[]) {
        const path = pathOf(resourceOf(object.kind), object.metadata);
        const answer = await server.send({
          ...{ method: 'PATCH', body: object, contentType: 'application/apply-patch+yaml' },
          path: `${path}?dryRun=All&fieldValidation=Strict&fieldManager=kubectl`,
        });
        assert.ok(answer.status === 200 || answer.status === 201, JSON.stringify(answer.body));
      }
    });
  }
});

interface Table {
  readonly columnDefinitions: readonly {
    readonly name: string;
    readonly description: string;
    readonly priority: number;
  }[];
  readonly rows: readonly { readonly cells: readonly unknown[]; readonly object: KubeObject }[];
}

/** As `kubectl get` asks; its cells by their column. */
async function table({ kind }: Kind, namespace: string): Promise<Table> {
  const answer = await server.send({
    ...{ method: 'GET', path: pathOf(resourceOf(kind), { namespace }) },
    accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
  });
  assert.equal(answer.status, 200);
  return answer.body as Table;
}

async function create(object: unknown, status: object): Promise<void> {
  const { kind, metadata } = object as KubeObject;
  await world.create(resourceOf(kind), object as KubeObject);
  const path = pathOf(resourceOf(kind), { ...metadata, subresource: 'status' });
  const contentType = 'application/merge-patch+json';
  const answer = await server.send({ method: 'PATCH', path, body: { status }, contentType });
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
}

async function rowOf(kind: Kind, namespace: string, name: string): Promise<Record<string, unknown>> {
  const { columnDefinitions, rows } = await table(kind, namespace);
  const row = rows.find(({ object }) => object.metadata.name === name);
  assert.ok(row);
  const cells = columnDefinitions.map((column, index) => [column.name, row.cells[index]] as const);
  return Object.fromEntries(cells.filter(([column]) => column !== 'Age'));
}

function condition(type: string, status: string, reason: string): object {
  return { type, status, reason, message: '', lastTransitionTime: '2026-01-01T00:00:00Z', observedGeneration: 1 };
}

describe('kubectl get', () => {
  for (const kind of kinds) {
    it(`shows of a ${kind.kind} the columns of its reference, the wide ones with -o wide only`, async () => {
      const { columnDefinitions } = await table(kind, 'mail');
      const [name, ...columns] = columnDefinitions;
      assert.equal(name?.name, 'Name');
      assert.deepEqual(
        columns.map(column => ({ name: column.name, description: column.description, wide: column.priority > 0 })),
        kind.columns.map(column => ({
          name: column.name,
          description: column.description,
          wide: column.wide === true,
        })),
      );
    });
  }

  it('shows a MailRelay that is ready, and why another is not', async () => {
    await create(mailRelay({}, { name: 'good' }), {
      ...{ replicas: 2, readyReplicas: 2, address: 'good.mail.svc', attachedPolicies: 3 },
      certificate: { notAfterTime: '2027-01-01T00:00:00Z' },
      conditions: [condition('Accepted', 'True', 'Accepted'), condition('Ready', 'True', 'Ready')],
    });
    await create(mailRelay({}, { name: 'broken' }), {
      ...{ replicas: 1, readyReplicas: 0, address: 'broken.mail.svc', attachedPolicies: 0 },
      conditions: [condition('ResolvedRefs', 'False', 'SecretNotFound'), condition('Ready', 'False', 'SecretNotFound')],
    });
    const common = { Queue: 'Volume', Route: 'Direct' };
    assert.deepEqual(await rowOf(mailRelayKind, 'mail', 'good'), {
      ...{ ...common, Name: 'good', Ready: 'True', Address: 'good.mail.svc', Replicas: 2, Policies: 3 },
      ...{ Certificate: '2027-01-01T00:00:00Z', Reason: 'Ready' },
    });
    assert.deepEqual(await rowOf(mailRelayKind, 'mail', 'broken'), {
      ...{ ...common, Name: 'broken', Ready: 'False', Address: 'broken.mail.svc', Replicas: 0, Policies: 0 },
      ...{ Certificate: null, Reason: 'SecretNotFound' },
    });
  });

  it('shows a DomainPolicy that is ready, and why another is not', async () => {
    await create(domainPolicy({}, { name: 'good' }), {
      conditions: [
        condition('Accepted', 'True', 'Accepted'),
        condition('DKIMReady', 'True', 'KeysActive'),
        condition('DNSPublished', 'Unknown', 'RecordsNotChecked'),
        condition('Ready', 'True', 'Ready'),
      ],
    });
    await create(domainPolicy({ domains: ['a.example', 'b.example'] }, { name: 'broken' }), {
      conditions: [condition('Accepted', 'False', 'Conflicted'), condition('Ready', 'False', 'Conflicted')],
    });
    assert.deepEqual(await rowOf(domainPolicyKind, 'shop', 'good'), {
      ...{ Name: 'good', Relay: 'outbound', Accepted: 'True', DKIM: 'True', DNS: 'Unknown', Ready: 'True' },
      ...{ Domains: '["shop.example.com"]', Reason: 'Ready' },
    });
    assert.deepEqual(await rowOf(domainPolicyKind, 'shop', 'broken'), {
      ...{ Name: 'broken', Relay: 'outbound', Accepted: 'False', DKIM: null, DNS: null, Ready: 'False' },
      ...{ Domains: '["a.example","b.example"]', Reason: 'Conflicted' },
    });
  });

  it('control: a status that the schema does not know is refused, so that the rows above are rows of valid objects', async () => {
    const path = pathOf(resourceOf('MailRelay'), { namespace: 'mail', name: 'good', subresource: 'status' });
    const contentType = 'application/merge-patch+json';
    const body = { status: { readyReplica: 1 } };
    const answer = await server.send({ method: 'PATCH', path: `${path}?fieldValidation=Strict`, body, contentType });
    assert.ok(answer.status === 400 || answer.status === 422, String(answer.status));
  });
});

describe('kubectl scale', () => {
  it('sets the replicas of a MailRelay, and reads the pods that there are', async () => {
    await create(mailRelay({}, { name: 'scaled' }), { replicas: 1, selector: 'app.kubernetes.io/instance=scaled' });
    const path = pathOf(resourceOf('MailRelay'), { namespace: 'mail', name: 'scaled', subresource: 'scale' });
    const contentType = 'application/merge-patch+json';
    const answer = await server.send({ method: 'PATCH', path, body: { spec: { replicas: 5 } }, contentType });
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    const scale = answer.body as { readonly spec: object; readonly status: object };
    assert.deepEqual(scale.spec, { replicas: 5 });
    assert.deepEqual(scale.status, { replicas: 1, selector: 'app.kubernetes.io/instance=scaled' });
    const relay = await world.get<KubeObject & { spec: { replicas: number } }>(resourceOf('MailRelay'), {
      ...{ namespace: 'mail', name: 'scaled' },
    });
    assert.equal(relay.spec.replicas, 5);
  });
});
