import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { createClient } from '../../../operator/kube/client.ts';
import { inClusterConnection } from '../../../operator/kube/in-cluster.ts';
import { kubeconfigConnection } from '../../../operator/kube/kubeconfig.ts';
import { systemClock } from '../../../relay/clock.ts';
import { mustRun } from '../../support/processes.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { createTestCa } from '../../support/test-ca.ts';
import { KeptMetrics } from './fakes.ts';
import { reply, startStubApiServer } from './stub-api-server.ts';

test("a pod's files say who it is: what kubelet replaces is read again", async () => {
  await using folder = await temporaryFolder();
  const write = (name: string, text: string): Promise<void> => writeFile(join(folder.path, name), text);
  await Promise.all([write('token', 'first\n'), write('ca.crt', 'PEM'), write('namespace', 'mail\n')]);
  const connection = await inClusterConnection({ host: 'fd00::1', port: '443', folder: folder.path });
  assert.equal(connection.server, 'https://[fd00::1]:443');
  assert.equal(connection.namespace, 'mail');
  assert.deepEqual(await connection.credentials(), { headers: { authorization: 'Bearer first' }, tls: { ca: 'PEM' } });
  await write('token', 'second\n');
  assert.equal((await connection.credentials()).headers['authorization'], 'Bearer second');
});

async function writeConfig(folder: string, cluster: object, user: object): Promise<string> {
  const file = join(folder, 'config');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [
      { name: 'wrong', context: { cluster: 'nothing', user: 'u' } },
      { name: 'right', context: { cluster: 'c', user: 'u', namespace: 'mail' } },
    ],
    'current-context': 'wrong',
  };
  await writeFile(file, JSON.stringify(config));
  return file;
}

test('a kubeconfig is followed as kubectl does: context, certificate authority, server name, token', async t => {
  await using folder = await temporaryFolder();
  const ca = await createTestCa(join(folder.path, 'ca'));
  const files = { ...(await ca.issue('kubernetes.test')), caFile: ca.certificateFile, servername: 'kubernetes.test' };
  const stub = await startStubApiServer((_request, response) => reply(response, { ok: true }), files);
  t.after(() => stub[Symbol.asyncDispose]());
  const cluster = {
    server: stub.url,
    'certificate-authority': ca.certificateFile,
    'tls-server-name': 'kubernetes.test',
  };
  const file = await writeConfig(folder.path, cluster, { token: 'secret' });
  const connection = await kubeconfigConnection({ file, context: 'right' });
  assert.equal(connection.namespace, 'mail');
  const client = createClient({ connection, clock: systemClock, metrics: new KeptMetrics() });
  t.after(() => client.close());
  const { signal } = new AbortController();
  assert.deepEqual(await client.request({ method: 'GET', path: '/version', signal }), { ok: true });
  assert.equal(stub.requests[0]?.headers.authorization, 'Bearer secret');
});

test('a kubeconfig with client certificates or an exec plugin gives what they give', async () => {
  await using folder = await temporaryFolder();
  const ca = await createTestCa(join(folder.path, 'ca'));
  const { certificateFile, privateKeyFile } = await ca.issue('admin');
  const cluster = { server: 'https://127.0.0.1:1', 'certificate-authority': ca.certificateFile };
  const certificates = { 'client-certificate': certificateFile, 'client-key': privateKeyFile };
  const file = await writeConfig(folder.path, cluster, certificates);
  const { tls } = await (await kubeconfigConnection({ file, context: 'right' })).credentials();
  assert.equal(String(tls.cert), await readFile(certificateFile, 'utf8'));
  assert.equal(String(tls.key), await readFile(privateKeyFile, 'utf8'));

  await mkdir(join(folder.path, 'bin'));
  const plugin = join(folder.path, 'bin', 'plugin');
  const apiVersion = 'client.authentication.k8s.io/v1';
  const credential = JSON.stringify({ apiVersion, kind: 'ExecCredential', status: { token: 'from-the-plugin' } });
  await writeFile(plugin, `#!/bin/sh\necho '${credential}'\n`);
  await mustRun('chmod', ['755', plugin]);
  const exec = { apiVersion, command: plugin, interactiveMode: 'Never' };
  const withPlugin = await writeConfig(folder.path, cluster, { exec });
  const { headers } = await (await kubeconfigConnection({ file: withPlugin, context: 'right' })).credentials();
  assert.equal(headers['Authorization'], 'Bearer from-the-plugin');
});

test('a kubeconfig may hold what it names, or name it from where it is; what a file holds is read again', async () => {
  await using folder = await temporaryFolder();
  const write = (name: string, text: string): Promise<void> => writeFile(join(folder.path, name), text);
  const base64 = (text: string): string => Buffer.from(text).toString('base64');
  await Promise.all([write('ca.crt', 'named'), write('token', 'first\n'), write('admin.key', 'key')]);
  const cluster = { server: 'https://127.0.0.1:1', 'certificate-authority': 'ca.crt' };
  const user = {
    ...{ 'client-certificate-data': base64('held'), 'client-certificate': 'nothing' },
    ...{ 'client-key': 'admin.key', token: 'given', tokenFile: 'token' },
  };
  const connection = await kubeconfigConnection({
    file: await writeConfig(folder.path, cluster, user),
    context: 'right',
  });
  const { headers, tls } = await connection.credentials();
  assert.deepEqual(headers, { authorization: 'Bearer first' });
  assert.deepEqual([tls.ca, tls.cert, tls.key].map(String), ['named', 'held', 'key']);
  await Promise.all([write('token', 'second'), write('admin.key', 'other')]);
  const later = await connection.credentials();
  assert.deepEqual([later.headers['authorization'], String(later.tls.key)], ['Bearer second', 'other']);
});

test('a kubeconfig that we would follow wrongly is refused: a proxy, a context without a cluster', async () => {
  await using folder = await temporaryFolder();
  const cluster = { server: 'https://127.0.0.1:1', 'proxy-url': 'http://127.0.0.1:2' };
  const file = await writeConfig(folder.path, cluster, { token: 'x' });
  await assert.rejects(kubeconfigConnection({ file, context: 'right' }), /proxy-url of c is not supported/);
  await assert.rejects(kubeconfigConnection({ file }), /no cluster for context wrong/);
});
