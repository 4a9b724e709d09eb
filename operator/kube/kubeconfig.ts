import type { Connection, Credentials, TlsMaterial } from './connection.ts';
import { plainConnection } from './plain-kubeconfig.ts';

export interface KubeconfigChoice {
  /** A file; without one, what kubectl would take ($KUBECONFIG, ~/.kube/config). */
  readonly file?: string;
  readonly context?: string;
}

/** The options that the library fills in for node:https. */
interface HttpsOptions extends TlsMaterial {
  headers?: Record<string, string>;
}

/**
 * As kubectl connects: client certificates, tokens, exec plugins, OIDC. The library is loaded here and only when needed; a cluster
 * behind a proxy (`proxy-url`) is refused, since our own agent would go around it.
 */
export async function kubeconfigConnection({ file, context }: KubeconfigChoice): Promise<Connection> {
  const plain = file === undefined ? undefined : await plainConnection(file, context);
  if (plain !== undefined) return plain;
  const { KubeConfig } = await import('@kubernetes/client-node');
  const config = new KubeConfig();
  if (file === undefined) config.loadFromDefault();
  else config.loadFromFile(file);
  if (context !== undefined) config.setCurrentContext(context);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error(`kubeconfig: no cluster for context ${config.getCurrentContext()}`);
  if (cluster.proxyUrl !== undefined) throw new Error(`kubeconfig: proxy-url of ${cluster.name} is not supported`);
  return {
    server: cluster.server,
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    async credentials() {
      const options: HttpsOptions = {};
      await config.applyToHTTPSOptions(options);
      return credentialsOf(options);
    },
  };
}

function credentialsOf({ headers = {}, ca, cert, key, servername, rejectUnauthorized }: HttpsOptions): Credentials {
  return {
    headers,
    tls: {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(servername === undefined ? {} : { servername }),
      ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
    },
  };
}
