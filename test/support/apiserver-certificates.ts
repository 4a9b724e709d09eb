/** What an API server and its clients show each other: one throw-away certificate authority signs all. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { mustRun } from './processes.ts';

export interface KeyPair {
  readonly certificateFile: string;
  readonly privateKeyFile: string;
}

export interface ApiServerCertificates {
  readonly caFile: string;
  readonly server: KeyPair;
  /** Of the group system:masters, which may do everything. */
  readonly admin: KeyPair;
  readonly controllerManager: KeyPair;
  /** Signs the tokens of service accounts. */
  readonly tokens: KeyPair;
  /** One more client: files named by `name`, a subject such as `/O=system:nodes/CN=system:node:one`. */
  issueClient(name: string, subject: string): Promise<KeyPair>;
}

const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];

export async function createApiServerCertificates(folder: string): Promise<ApiServerCertificates> {
  const caFile = join(folder, 'ca.pem');
  const caKeyFile = join(folder, 'ca-key.pem');
  await mustRun('openssl', ['req', '-x509', ...curve, '-subj', '/CN=Test CA', '-keyout', caKeyFile, '-out', caFile]);

  async function issue(name: string, subject: string, extensions: readonly string[]): Promise<KeyPair> {
    const pair = { certificateFile: join(folder, `${name}.pem`), privateKeyFile: join(folder, `${name}-key.pem`) };
    const files = ['-keyout', pair.privateKeyFile, '-out', pair.certificateFile];
    const added = ['basicConstraints=CA:FALSE', ...extensions].flatMap(extension => ['-addext', extension]);
    const signer = ['-CA', caFile, '-CAkey', caKeyFile];
    await mustRun('openssl', ['req', '-x509', ...signer, ...curve, '-subj', subject, ...added, ...files]);
    return pair;
  }

  const client = ['extendedKeyUsage=clientAuth'];
  const names = ['IP:127.0.0.1', 'IP:10.96.0.1', 'DNS:localhost', 'DNS:kubernetes.default.svc'];
  const [server, admin, controllerManager, tokens] = await Promise.all([
    issue('server', '/CN=kube-apiserver', ['extendedKeyUsage=serverAuth', `subjectAltName=${names.join(',')}`]),
    issue('admin', '/O=system:masters/CN=admin', client),
    issue('controller-manager', '/CN=system:kube-controller-manager', client),
    tokenKeys(folder),
  ]);
  const issueClient = (name: string, subject: string): Promise<KeyPair> => issue(name, subject, client);
  return { caFile, server, admin, controllerManager, tokens, issueClient };
}

async function tokenKeys(folder: string): Promise<KeyPair> {
  const pair = { certificateFile: join(folder, 'tokens.pub'), privateKeyFile: join(folder, 'tokens.key') };
  await mustRun('openssl', ['genrsa', '-out', pair.privateKeyFile, '2048']);
  await mustRun('openssl', ['rsa', '-in', pair.privateKeyFile, '-pubout', '-out', pair.certificateFile]);
  return pair;
}

export async function writeKubeconfig(file: string, server: string, caFile: string, user: object): Promise<void> {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority': caFile } }],
    users: [{ name: 'user', user }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'user' } }],
    'current-context': 'test',
  };
  // JSON is YAML.
  await writeFile(file, JSON.stringify(config), { mode: 0o600 });
}

export function certificateUser({ certificateFile, privateKeyFile }: KeyPair): object {
  return { 'client-certificate': certificateFile, 'client-key': privateKeyFile };
}
