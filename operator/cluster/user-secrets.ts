/**
 * Secrets that users own. Their content is never listed or watched: a cluster's Secrets are larger than the operator, and not its
 * business. Watched is only which there are and in which version; the content of one that an object refers to is read when it is needed,
 * and kept for as long as that version stands and something refers to it.
 *
 * Where Secrets are not watched (outside the namespaces that the operator is confined to) one may still have been opened to it: such a
 * Secret is read, and looked at again every few minutes.
 */
import type { Clock } from '../../relay/clock.ts';
import type { Log } from '../../relay/log.ts';
import type { SecretData } from '../credentials.ts';
import type { KubeClient } from '../kube/client.ts';
import { ApiError, isNotFound } from '../kube/errors.ts';
import { type KubeObject, keyOf, nameOf, pathOf, type Resource } from '../kube/object.ts';
import type { Transform } from '../kube/transform.ts';
import { secrets } from './kinds.ts';
import type { View } from './view.ts';

/** As a kind of its own in metrics and logs: beside our own Secrets, which are cached whole. */
export const secretMetadata: Resource = { ...secrets, kind: 'SecretMetadata' };

/** Annotations may hold what is inside (kubectl's last-applied-configuration), so not even these are kept. */
export const nameAndVersion: Transform<KubeObject> = ({
  metadata: { namespace = '', name, resourceVersion = '' },
}) => ({
  apiVersion: 'v1',
  kind: secretMetadata.kind,
  metadata: { namespace, name, resourceVersion },
});

export type SecretContent = SecretData | 'Missing' | 'Forbidden';

export interface UserSecretsOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Of `secretMetadata`. */
  readonly view: Pick<View<KubeObject>, 'get' | 'onChange'>;
  /** Undefined: all are watched. */
  readonly namespaces: readonly string[] | undefined;
  /** By `namespace/name`. */
  readonly isReferenced: (key: string) => boolean;
  readonly mostBytes?: number;
  readonly lookAgainMs?: number;
}

export interface UserSecrets {
  /** @throws ApiError, ConnectionError */
  read(namespace: string, name: string, signal: AbortSignal): Promise<SecretContent>;
  /** Before run(): told of a Secret that something refers to when it has come, changed or gone. */
  onChange(handler: (key: string, isInitial: boolean) => void): void;
  /** Something refers to it no more; whether something else does is looked up. */
  release(key: string): void;
  /** Resolves when the signal is aborted. */
  run(signal: AbortSignal): Promise<void>;
}

interface Kept {
  /** resourceVersion; of what cannot be read: why. */
  readonly version: string;
  readonly content: SecretContent;
  readonly bytes: number;
}

interface SecretObject extends KubeObject {
  readonly data?: Readonly<Record<string, string>>;
}

export function createUserSecrets(options: UserSecretsOptions): UserSecrets {
  const { client, clock, log, view, namespaces, isReferenced } = options;
  const { mostBytes = 64 * 2 ** 20, lookAgainMs = 300_000 } = options;
  const contents = new Map<string, Kept>();
  const handlers: ((key: string, isInitial: boolean) => void)[] = [];
  let bytes = 0;

  const isWatched = (namespace: string): boolean => namespaces === undefined || namespaces.includes(namespace);

  view.onChange(({ key, isInitial }) => {
    if (!isReferenced(key)) return;
    for (const handler of handlers) handler(key, isInitial);
  });

  function forget(key: string): void {
    bytes -= contents.get(key)?.bytes ?? 0;
    contents.delete(key);
  }

  function keep(key: string, kept: Kept): void {
    forget(key);
    if (!isReferenced(key)) return;
    contents.set(key, kept);
    bytes += kept.bytes;
    for (const oldest of contents.keys()) {
      if (bytes <= mostBytes) break;
      forget(oldest);
    }
  }

  async function fetch(namespace: string, name: string, signal: AbortSignal): Promise<Kept> {
    try {
      const path = pathOf(secrets, { namespace, name });
      const { metadata, data = {} } = await client.request<SecretObject>({ method: 'GET', path, signal });
      const content = new Map(Object.entries(data).map(([key, text]) => [key, Buffer.from(text, 'base64')]));
      const size = [...content].reduce((sum, [key, value]) => sum + key.length + value.length, 0);
      return { version: metadata.resourceVersion ?? '', content, bytes: size };
    } catch (error) {
      if (isNotFound(error)) return { version: 'Missing', content: 'Missing', bytes: 0 };
      if (error instanceof ApiError && error.status === 403)
        return { version: 'Forbidden', content: 'Forbidden', bytes: 0 };
      throw error;
    }
  }

  async function lookAgain(signal: AbortSignal): Promise<void> {
    const unwatched = [...contents].filter(([key]) => !isWatched(nameOf(key).namespace ?? ''));
    for (const [key, { version }] of unwatched) {
      const { namespace = '', name } = nameOf(key);
      const now = await fetch(namespace, name, signal);
      if (now.version === version || !contents.has(key)) continue;
      keep(key, now);
      for (const handler of handlers) handler(key, false);
    }
  }

  return {
    async read(namespace, name, signal) {
      const key = keyOf({ namespace, name });
      const watched = isWatched(namespace);
      const version = view.get(key)?.metadata.resourceVersion;
      // When it comes, that is told.
      if (watched && version === undefined) return 'Missing';
      const known = contents.get(key);
      if (known !== undefined && (!watched || known.version === version)) return known.content;
      const now = await fetch(namespace, name, signal);
      // What went a moment ago is told in the next; what may not be read although it is seen must be asked for again.
      if (!watched || typeof now.content !== 'string') keep(key, now);
      return now.content;
    },
    onChange: handler => void handlers.push(handler),
    release(key) {
      if (!isReferenced(key)) forget(key);
    },
    async run(signal) {
      while (!signal.aborted) {
        try {
          await clock.sleep(lookAgainMs, signal);
          await lookAgain(signal);
        } catch (error) {
          if (!signal.aborted) log.warn({ err: error }, 'Secrets of other namespaces could not be looked at');
        }
      }
    },
  };
}
