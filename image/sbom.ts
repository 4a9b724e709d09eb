/**
 * `node image/sbom.ts NPM-SBOM SYSTEM-FOLDER`: the image's list of parts (CycloneDX) on standard output. What npm made of the lock file, with
 * Node and the Debian packages of the system folder added, and without the number and the time that differ from build to build.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Component {
  readonly externalReferences?: readonly { readonly type: string }[];
}

interface Bom {
  readonly serialNumber?: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly components: readonly Component[];
}

const [npmFile, systemFolder] = process.argv.slice(2);
if (npmFile === undefined || systemFolder === undefined) throw new Error('usage: node image/sbom.ts FILE FOLDER');

const { serialNumber: _, ...bom } = JSON.parse(readFileSync(npmFile, 'utf8')) as Bom;
const { timestamp: __, ...metadata } = bom.metadata;

/** Not where they were fetched from: a mirror of whoever built it is nobody else's affair. */
const packages = bom.components.map(component => ({
  ...component,
  externalReferences: component.externalReferences?.filter(({ type }) => type !== 'distribution'),
}));

const node = {
  'bom-ref': `node@${process.versions.node}`,
  type: 'application',
  name: 'node',
  version: process.versions.node,
  purl: `pkg:generic/node@${process.versions.node}`,
};

const statusFolder = join(systemFolder, 'var/lib/dpkg/status.d');
const debian = readdirSync(statusFolder)
  .toSorted()
  .map(name => {
    const status = readFileSync(join(statusFolder, name), 'utf8');
    const field = (key: string): string => new RegExp(`^${key}: (.*)$`, 'm').exec(status)?.[1] ?? '';
    const version = field('Version');
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${field('Architecture')}`;
    return { 'bom-ref': `${name}@${version}`, type: 'library', name, version, purl };
  });

process.stdout.write(`${JSON.stringify({ ...bom, metadata, components: [...packages, node, ...debian] }, null, 1)}\n`);
