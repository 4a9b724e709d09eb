/** A service account as its pods have it: a token that the API server gives, and its certificate authority. */
import { writeFile } from 'node:fs/promises';
import type { Connection } from '../../operator/kube/connection.ts';
import { type ObjectName, pathOf, type Resource } from '../../operator/kube/object.ts';
import { type ApiWorld, never } from '../apiserver/api-world.ts';

export interface AccountConnection {
  readonly token: string;
  readonly ca: string;
  readonly connection: Connection;
  writeKubeconfig(file: string): Promise<void>;
}

const serviceAccounts: Resource = {
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  plural: 'serviceaccounts',
  isNamespaced: true,
};

export async function serviceAccountConnection(
  { client, server }: ApiWorld,
  name: ObjectName,
): Promise<AccountConnection> {
  const { status } = await client.request<{ readonly status: { readonly token: string } }>({
    method: 'POST',
    path: pathOf(serviceAccounts, { ...name, subresource: 'token' }),
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } },
    signal: never,
  });
  const { tls } = await server.admin.credentials();
  const ca = String(tls.ca);
  const { token } = status;
  return {
    token,
    ca,
    connection: await server.connectionWith({ authorization: `Bearer ${token}` }),
    async writeKubeconfig(file) {
      const config = {
        apiVersion: 'v1',
        kind: 'Config',
        clusters: [{ name: 'test', cluster: { server: server.url, 'certificate-authority-data': btoa(ca) } }],
        users: [{ name: 'account', user: { token } }],
        contexts: [{ name: 'test', context: { cluster: 'test', user: 'account' } }],
        'current-context': 'test',
      };
      await writeFile(file, JSON.stringify(config), { mode: 0o600 });
    },
  };
}
