import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { domainPolicies, mailRelays, managedKinds } from '../../operator/cluster/kinds.ts';
import type { KubeObject, Resource } from '../../operator/kube/object.ts';
import { type ApiWorld, namespaces, never, startWorld } from '../apiserver/api-world.ts';
import { waitUntil } from '../support/wait-until.ts';
import { fullname, releaseNamespace, template, type Values } from './helm.ts';

let world: ApiWorld;

before(async () => {
  world = await startWorld();
  for (const name of [releaseNamespace, 'shop']) {
    await world.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  }
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

const places = ['ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding'].map(
  (kind): Resource => ({
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind,
    plural: `${kind.toLowerCase()}s`,
    isNamespaced: !kind.startsWith('Cluster'),
  }),
);

/** All that the chart says of rights, until it is disposed of. */
async function bind(values: Values): Promise<AsyncDisposable> {
  const made: { readonly resource: Resource; readonly object: KubeObject }[] = [];
  for (const object of await template(values)) {
    const resource = places.find(({ kind }) => kind === object.kind);
    if (resource === undefined) continue;
    await world.create(resource, object);
    made.push({ resource, object });
  }
  return {
    async [Symbol.asyncDispose]() {
      for (const { resource, object } of made) await world.remove(resource, object.metadata);
    },
  };
}

/** `verb group/resource/subresource namespace name`; `*` for everywhere, `core` for the group without a name. */
async function may(right: string): Promise<boolean> {
  const [verb, what = '', namespace = '*', name = ''] = right.split(' ');
  const [group, resource, subresource = ''] = what.split('/');
  const resourceAttributes = {
    ...{ verb, resource, subresource, name },
    group: group === 'core' ? '' : group,
    namespace: namespace === '*' ? '' : namespace,
  };
  const user = `system:serviceaccount:${releaseNamespace}:${fullname}`;
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${releaseNamespace}`, 'system:authenticated'];
  const { status } = await world.client.request<{ readonly status: { readonly allowed: boolean } }>({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    body: {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: { resourceAttributes, user, groups },
    },
    signal: never,
  });
  return status.allowed;
}

const wordOf = ({ apiVersion, plural }: Resource): string => {
  const [group = '', version] = apiVersion.split('/');
  return `${version === undefined ? 'core' : group}/${plural}`;
};

const everyVerb = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];

/** Verbs by resource, in a namespace where relays may be. */
const needed: Readonly<Record<string, readonly string[]>> = {
  ...Object.fromEntries(
    managedKinds.map(kind => [wordOf(kind), ['get', 'list', 'watch', 'create', 'patch', 'delete']] as const),
  ),
  'core/pods': ['get', 'list', 'watch', 'patch'],
  'core/persistentvolumeclaims': ['get', 'list', 'watch', 'patch', 'delete'],
};

/** Everywhere, in both modes. */
const neededEverywhere: Readonly<Record<string, readonly string[]>> = {
  [wordOf(mailRelays)]: ['get', 'list', 'watch', 'patch'],
  [wordOf(domainPolicies)]: ['get', 'list', 'watch'],
  [`${wordOf(mailRelays)}/status`]: ['patch'],
  [`${wordOf(domainPolicies)}/status`]: ['patch'],
  [`${wordOf(mailRelays)}/finalizers`]: ['update'],
  'core/namespaces': ['get', 'list', 'watch'],
  'events.k8s.io/events': ['create', 'patch'],
};

/** What an operator that is taken over would be asked for. */
const forbidden = [
  'create core/pods/exec mail',
  'get core/pods/log mail',
  'create core/serviceaccounts/token mail',
  'impersonate core/serviceaccounts mail',
  'list core/nodes',
  'create rbac.authorization.k8s.io/rolebindings mail',
  'bind rbac.authorization.k8s.io/clusterroles',
  'escalate rbac.authorization.k8s.io/clusterroles',
  'patch apiextensions.k8s.io/customresourcedefinitions',
  'create admissionregistration.k8s.io/validatingwebhookconfigurations',
  'create apps/daemonsets mail',
  'create batch/jobs mail',
  `get coordination.k8s.io/leases ${releaseNamespace} another`,
  `delete coordination.k8s.io/leases ${releaseNamespace} ${fullname}`,
  'update coordination.k8s.io/leases kube-system kube-controller-manager',
  `create postroad.dev/mailrelays mail`,
  `delete postroad.dev/mailrelays mail`,
];

const lease = ['get', 'update'].map(verb => `${verb} coordination.k8s.io/leases ${releaseNamespace} ${fullname}`);

/** Rights of `table`, in a namespace, as `verb what namespace`; each with whether it is in the table. */
function rightsIn(
  table: Readonly<Record<string, readonly string[]>>,
  namespace: string,
): [right: string, is: boolean][] {
  return Object.entries(table).flatMap(([what, verbs]) =>
    everyVerb.map((verb): [string, boolean] => [`${verb} ${what} ${namespace}`, verbs.includes(verb)]),
  );
}

async function differences(rights: readonly (readonly [right: string, is: boolean])[]): Promise<string[]> {
  const asked = await Promise.all(rights.map(async ([right, is]) => ({ right, is, may: await may(right) })));
  return asked
    .filter(answer => answer.is !== answer.may)
    .map(({ right, is }) => `${right}: ${is ? 'missing' : 'too much'}`);
}

/** Bindings reach the authorizer through a watch of its own; so does their end. */
async function untilBound(): Promise<void> {
  await waitUntil('the roles to be in force', async () => await may('list postroad.dev/mailrelays'));
}

test('cluster-wide, the operator may do what it needs, verb by verb, and nothing else', async () => {
  await using _ = await bind({});
  await untilBound();
  const rights = [
    ...rightsIn(needed, 'mail'),
    ...rightsIn(needed, '*'),
    ...rightsIn(neededEverywhere, '*'),
    ...lease.map(right => [right, true] as const),
    [`create coordination.k8s.io/leases ${releaseNamespace}`, true] as const,
    ...forbidden.map(right => [right, false] as const),
  ];
  assert.deepEqual(await differences(rights), []);
});

test('confined, it may touch Secrets and workloads where relays may be, and nowhere else, its own namespace included', async () => {
  await waitUntil('the roles of before to be gone', async () => !(await may('list core/secrets shop')));
  await using _ = await bind({ relayNamespaces: ['mail'] });
  await untilBound();
  await waitUntil('the roles in mail to be in force', async () => await may('list core/secrets mail'));
  const nothing = Object.fromEntries(Object.keys(needed).map(what => [what, []]));
  const rights = [
    ...rightsIn(needed, 'mail'),
    ...['shop', releaseNamespace, '*'].flatMap(namespace => rightsIn(nothing, namespace)),
    ...rightsIn(neededEverywhere, '*'),
    ...lease.map(right => [right, true] as const),
    ...forbidden.map(right => [right, false] as const),
  ];
  assert.deepEqual(await differences(rights), []);
});

test('control: with no roles bound every right that it needs is missing', async () => {
  await waitUntil('the roles to be gone', async () => !(await may('list core/secrets mail')));
  const rights = rightsIn(needed, 'mail');
  assert.equal((await differences(rights)).length, rights.filter(([, is]) => is).length);
});
