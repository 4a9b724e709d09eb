/** Being a service account: impersonated by the administrator, or for real, by a token that the API server issues and that ends. */
import { readFile, writeFile } from 'node:fs/promises';
import { createClient, type KubeClient } from '../../operator/kube/client.ts';
import type { Connection } from '../../operator/kube/connection.ts';
import { type KubeObject, pathOf, type Resource } from '../../operator/kube/object.ts';
import { systemClock } from '../../relay/clock.ts';
import { KeptMetrics } from '../operator/kube/fakes.ts';
import type { TestApiServer } from './apiserver.ts';

export interface ServiceAccount {
  readonly namespace: string;
  readonly name: string;
}

export const serviceAccountKind: Resource = {
  ...{ apiVersion: 'v1', kind: 'ServiceAccount', plural: 'serviceaccounts' },
  isNamespaced: true,
};

/** As the audit log names it. */
export function userOf({ namespace, name }: ServiceAccount): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

/** The server decides as for the account itself; the audit log names the administrator. */
export function impersonate({ admin }: Pick<TestApiServer, 'admin'>, account: ServiceAccount): Connection {
  return {
    ...admin,
    async credentials() {
      const { headers, tls } = await admin.credentials();
      return { headers: { ...headers, 'impersonate-user': userOf(account) }, tls };
    },
  };
}

/** The server takes no fewer than 600 s. */
export async function requestToken(client: KubeClient, account: ServiceAccount, seconds = 600): Promise<string> {
  const { status } = await client.request<KubeObject & { readonly status: { readonly token: string } }>({
    method: 'POST',
    path: pathOf(serviceAccountKind, { ...account, subresource: 'token' }),
    body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: seconds } },
    signal: new AbortController().signal,
  });
  return status.token;
}

export interface TokenFile {
  readonly connection: Connection;
  /** A new token in the file, as kubelet writes it before the old one ends. */
  renew(): Promise<void>;
  /** Something in the file that the server does not take, as a token that has ended. */
  spoil(): Promise<void>;
}

/** The connection reads the file as the operator in a pod does: anew for each look at its credentials. */
export async function tokenFile(server: TestApiServer, account: ServiceAccount, file: string): Promise<TokenFile> {
  const write = async (token: string): Promise<void> => await writeFile(file, token, { mode: 0o600 });
  const renew = async (): Promise<void> => {
    const client = createClient({ connection: server.admin, clock: systemClock, metrics: new KeptMetrics() });
    try {
      await write(await requestToken(client, account));
    } finally {
      client.close();
    }
  };
  await renew();
  const { tls } = await (await server.connectionWith({})).credentials();
  return {
    renew,
    spoil: () => write('ended'),
    connection: {
      ...{ server: server.url, namespace: account.namespace },
      credentials: async () => ({ headers: { authorization: `Bearer ${await readFile(file, 'utf8')}` }, tls }),
    },
  };
}
