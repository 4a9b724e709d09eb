/** The configuration, and the files it names, as objects. Nothing secret is in the ConfigMap. */
import { revisionAnnotation } from '../../labels.ts';
import { type Configuration, configurationToRun } from './configuration.ts';
import type { Files } from './files.ts';
import type { RelayInput } from './input.ts';
import { namesOf } from './names.ts';
import { type DesiredObject, ownedMetadata } from './object.ts';

/** `null`: what is there stays. */
export function configMap({ relay }: RelayInput, configuration: Configuration): DesiredObject | null {
  const toRun = configurationToRun(configuration);
  if (toRun === undefined || (configuration.kind !== 'Made' && configuration.kept?.isReduced !== true)) return null;
  const { revision, text } = toRun;
  const metadata = ownedMetadata(relay, namesOf(relay).config);
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { ...metadata, annotations: { [revisionAnnotation]: revision } },
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
