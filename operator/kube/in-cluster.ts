import { readFile } from 'node:fs/promises';
import { isIPv6 } from 'node:net';
import { join } from 'node:path';
import type { Connection } from './connection.ts';

/** Where kubelet mounts a pod's service account. */
export const serviceAccountFolder = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface ClusterAddress {
  /** KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT of every pod. */
  readonly host: string;
  readonly port: string;
  readonly folder?: string;
}

/**
 * A pod's own way to its API server. It is three files, so the client library, which takes most of a second and 90 MB to load, stays
 * out of the operator's pod.
 */
export async function inClusterConnection({
  host,
  port,
  folder = serviceAccountFolder,
}: ClusterAddress): Promise<Connection> {
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
  return {
    server: `https://${isIPv6(host) ? `[${host}]` : host}:${port}`,
    namespace: (await read('namespace')).trim(),
    // kubelet replaces both files: the token about every hour, the certificate authority when the cluster's is rotated.
    async credentials() {
      const [token, ca] = await Promise.all([read('token'), read('ca.crt')]);
      return { headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } };
    },
  };
}
