/** Manifest folders of tests. */

import { once } from 'node:events';
import { cp, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';

export const projectRoot = join(import.meta.dirname, '..', '..', '..');

export const exampleFolder = (name: string): string => join(projectRoot, 'examples', name);

export async function writeManifests(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
}

export async function copyQuickstart(folder: string): Promise<void> {
  await cp(exampleFolder('quickstart'), folder, { recursive: true });
}

/** Ports that nobody listens on now; held together, so that they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'));
  await Promise.all(servers.map(server => once(server, 'listening')));
  const ports = servers.map(server => {
    const address = server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  });
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))));
  return ports;
}

export const relayYaml = (spec = ''): string => `
apiVersion: postroad.dev/v1alpha1
kind: MailRelay
metadata: { name: outbound, namespace: mail }
spec:
  hostname: mail.example.com
  listeners: [{ name: smtp, port: 25, authentication: None }]
  route: { type: Capture }
${spec}`;

export const policyYaml = (name: string, spec: string): string => `
apiVersion: postroad.dev/v1alpha1
kind: DomainPolicy
metadata: { name: ${name}, namespace: mail }
spec:
  relayRef: { name: outbound }
${spec}`;
