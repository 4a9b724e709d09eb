/** What later tests rely on: to be somebody else, and to see in the audit log what was asked by whom. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createClient, type KubeClient } from '../../operator/kube/client.ts';
import type { Connection } from '../../operator/kube/connection.ts';
import { ApiError } from '../../operator/kube/errors.ts';
import { type KubeObject, pathOf } from '../../operator/kube/object.ts';
import { systemClock } from '../../relay/clock.ts';
import { configMaps, KeptMetrics } from '../operator/kube/fakes.ts';
import { audited } from '../support/apiserver-audit.ts';
import { impersonate, serviceAccountKind, tokenFile, userOf } from '../support/service-account.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { type ApiWorld, never, startWorld } from './api-world.ts';

const account = { namespace: 'mail', name: 'operator' };
const group = 'rbac.authorization.k8s.io';
const roles = { apiVersion: `${group}/v1`, kind: 'Role', plural: 'roles', isNamespaced: true };
const bindings = { apiVersion: `${group}/v1`, kind: 'RoleBinding', plural: 'rolebindings', isNamespaced: true };
let world: ApiWorld;

before(async () => {
  world = await startWorld();
  const metadata = { name: 'operator', namespace: 'mail' };
  await world.create(serviceAccountKind, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
  const head = { apiVersion: `${group}/v1`, metadata };
  const rules = [{ apiGroups: [''], resources: ['configmaps'], verbs: ['list'] }];
  await world.create(roles, { ...head, kind: 'Role', rules } as KubeObject);
  const roleRef = { apiGroup: group, kind: 'Role', name: 'operator' };
  const subjects = [{ kind: 'ServiceAccount', ...account }];
  await world.create(bindings, { ...head, kind: 'RoleBinding', roleRef, subjects } as KubeObject);
});
after(async () => {
  await world[Symbol.asyncDispose]();
});

function clientOf(connection: Connection): KubeClient {
  return createClient({ connection, clock: systemClock, metrics: new KeptMetrics(), userAgent: 'somebody' });
}

async function list(client: KubeClient): Promise<unknown> {
  return await client.request({ method: 'GET', path: pathOf(configMaps, { namespace: 'mail' }), signal: never });
}

async function make(client: KubeClient): Promise<unknown> {
  const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'x', namespace: 'mail' } };
  return await client.request({ method: 'POST', path: pathOf(configMaps, { namespace: 'mail' }), body, signal: never });
}

const isRefused =
  (status: number) =>
  (error: unknown): boolean =>
    error instanceof ApiError && error.status === status;

test('who impersonates a service account may do what that may, and no more', async () => {
  const client = clientOf(impersonate(world.server, account));
  await list(client);
  await assert.rejects(make(client), isRefused(403));
  client.close();
});

test('a token of a service account works until it ends, and again once the file holds a new one; the audit log names the account', async () => {
  await using folder = await temporaryFolder();
  const token = await tokenFile(world.server, account, join(folder.path, 'token'));
  const client = clientOf(token.connection);
  await list(client);
  await assert.rejects(make(client), isRefused(403));
  await token.spoil();
  const late = clientOf(token.connection);
  await assert.rejects(list(late), isRefused(401));
  await token.renew();
  await list(late);
  const all = await world.server.auditLog();
  const user = userOf(account);
  assert.equal(audited(all, { user, verbs: ['list'], resource: 'configmaps', code: 200 }).length, 2);
  assert.equal(audited(all, { user, verbs: ['create', 'patch'], code: 403 }).length, 1);
  assert.equal(audited(all, { user, name: 'nobody' }).length, 0);
  client.close();
  late.close();
});
