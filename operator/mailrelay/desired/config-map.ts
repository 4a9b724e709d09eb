/** The configuration, and the files it names, as objects. Nothing secret is in the ConfigMap. */
import type { Configuration } from './configuration.ts';
import type { Files } from './files.ts';
import type { RelayInput } from './input.ts';
import { namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

export function configMap({ relay }: RelayInput, configuration: Configuration): DesiredObject | null {
  if (configuration.kind !== 'Made') return null;
  const { revision, text } = configuration;
  const metadata = ownedMetadata(relay, namesOf(relay).config);
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { ...metadata, annotations: { 'postroad.dev/configuration-revision': revision } },
    data: { 'relay.json': text },
  };
}

/** As many as the pods mount, the last ones perhaps empty: a pod waits for a Secret that is not there. */
export function fileSecrets({ relay }: RelayInput, shards: readonly Files[], count: number): DesiredObject[] {
  return Array.from({ length: count }, (_, index) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: ownedMetadata(relay, namesOf(relay).files(index)),
    type: 'Opaque',
    data: Object.fromEntries([...(shards[index] ?? [])].map(([name, content]) => [name, content.toString('base64')])),
  }));
}
