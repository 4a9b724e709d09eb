/**
 * The keys of one policy and the Secret that keeps them: `keys.json` says what each key is and how far it got, `<selector>.pem` is the key.
 * One Secret, so that each step of a rotation happens whole or not at all; nothing else remembers. It lives in the namespace of the relay,
 * never in a tenant's, and goes with the relay.
 */
import { createHash, createPrivateKey } from 'node:crypto';
import type { DkimKeyStatus, DomainPolicy } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import type { KubeObject } from '../kube/object.ts';
import { isOwnedBy, policyNameLabel, policyNamespaceLabel } from '../labels.ts';
import { type DesiredObject, ownedMetadata } from '../mailrelay/desired/object.ts';
import { nameOf } from './attach.ts';
import { type DkimKey, dkimKeyOf, type LoadedKey } from './dkim-key.ts';

export type KeyState = DkimKeyStatus['state'];

/** How far a key got at one base domain of its policy (base-domains.ts). */
export interface KeyPlace {
  readonly domain: string;
  /** Awaited: its record was not there at the last definite look, or at none yet. Seen: it was. Signs: it was, and mail of the domain is signed. */
  readonly state: 'Awaited' | 'Seen' | 'Signs';
  /** Since when its record is asked for there. */
  readonly askedMs: number;
}

export interface RingKey extends DkimKey {
  /** Retiring, or how far it got anywhere. */
  readonly state: KeyState;
  readonly places: readonly KeyPlace[];
  /** What the owner's wish for new keys was when it was made (rotate-request.ts); undefined: none. */
  readonly request: string | undefined;
  /** Not to be trusted: it may sign where it does until its successor can, and never begins to. */
  readonly isRevoked: boolean;
  readonly createdMs: number;
  /** When it signed for the first time; its age counts from there. */
  readonly signedMs: number | undefined;
  /** Retiring: since when no pod signs with it. */
  readonly leftMs: number | undefined;
}

/** Oldest first. */
export type KeyRing = readonly RingKey[];

const stateEntry = 'keys.json';

interface KeptKey {
  readonly selector: string;
  readonly algorithm: DkimKey['algorithm'];
  readonly recordValue: string;
  readonly state: KeyState;
  readonly domains?: readonly KeptPlace[];
  readonly request?: string;
  readonly revoked?: boolean;
  readonly createdTime: string;
  readonly signedTime?: string;
  readonly leftTime?: string;
}

interface KeptPlace {
  readonly domain: string;
  readonly state: KeyPlace['state'];
  readonly askedTime: string;
}

/** Long enough that nobody finds a name for a policy of his that leads to the keys of another's. */
export function ringSecretName(relay: MailRelay, policy: DomainPolicy): string {
  const hash = createHash('sha256').update(nameOf(policy)).digest('hex').slice(0, 32);
  return `${relay.metadata.name}-dkim-${hash}`;
}

/** Where the keys of a policy are kept, as `namespace/name`. */
export function ringSecretKey(relay: MailRelay, policy: DomainPolicy): string {
  return `${relay.metadata.namespace}/${ringSecretName(relay, policy)}`;
}

export function ringSecret(relay: MailRelay, policy: DomainPolicy, ring: KeyRing): DesiredObject {
  const metadata = ownedMetadata(relay, ringSecretName(relay, policy));
  const labels = {
    ...metadata.labels,
    [policyNamespaceLabel]: policy.metadata.namespace,
    [policyNameLabel]: policy.metadata.name,
  };
  const entries = ring.map(key => [`${key.selector}.pem`, base64(key.privateKeyPem)] as const);
  return {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { ...metadata, labels },
    type: 'Opaque',
    data: { ...Object.fromEntries(entries), [stateEntry]: base64(JSON.stringify(ring.map(keptKey))) },
  };
}

function keptKey({ selector, algorithm, recordValue, state, ...key }: RingKey): KeptKey {
  const { places, request, isRevoked, createdMs, signedMs, leftMs } = key;
  return {
    ...{ selector, algorithm, recordValue, state, createdTime: timeOf(createdMs) },
    domains: places.map(({ domain, state: at, askedMs }) => ({ domain, state: at, askedTime: timeOf(askedMs) })),
    ...(request !== undefined && { request }),
    ...(isRevoked && { revoked: true }),
    ...(signedMs !== undefined && { signedTime: timeOf(signedMs) }),
    ...(leftMs !== undefined && { leftTime: timeOf(leftMs) }),
  };
}

/** Somebody has changed the Secret of a ring. Its message names the Secret, never its content. */
export class BrokenKeys extends Error {
  override readonly name = 'BrokenKeys';
}

const parsed = new WeakMap<KubeObject, KeyRing>();

/**
 * No Secret: no keys yet. What cannot be read is never taken for that: records of its keys may be published.
 * @throws BrokenKeys
 */
export function ringOf(secret: KubeObject | undefined): KeyRing {
  if (secret === undefined) return [];
  const known = parsed.get(secret);
  if (known !== undefined) return known;
  const ring = parse(secret);
  parsed.set(secret, ring);
  return ring;
}

function parse(secret: KubeObject): KeyRing {
  const { data = {} } = secret as KubeObject & { readonly data?: Readonly<Record<string, string>> };
  const { namespace, name } = secret.metadata;
  try {
    const kept = JSON.parse(text(data[stateEntry])) as readonly KeptKey[];
    const ring = kept.map(key => ringKeyOf(key, text(data[`${key.selector}.pem`])));
    if (new Set(ring.map(({ selector }) => selector)).size < ring.length) throw new Error('a key is there twice');
    return ring;
  } catch {
    // Whatever the parser says may repeat what it read.
    throw new BrokenKeys(
      `Secret ${namespace}/${name} does not hold the DKIM keys that were kept in it: restore it, or delete it for new keys`,
    );
  }
}

const placeStates: readonly unknown[] = ['Awaited', 'Seen', 'Signs'] satisfies KeyPlace['state'][];
const keyStates: readonly unknown[] = ['Pending', 'Published', 'Active', 'Retiring'] satisfies KeyState[];
const keyAlgorithms: readonly unknown[] = ['RSA2048', 'Ed25519'] satisfies DkimKey['algorithm'][];

/** One that pods could not load would stop every policy of their relay. @throws Error where it is not as we keep it */
function ringKeyOf(key: KeptKey, privateKeyPem: string): RingKey {
  const { selector, algorithm, recordValue, state, domains = [], request } = key;
  createPrivateKey(privateKeyPem);
  const isKept =
    selectorPattern.test(selector) &&
    keyAlgorithms.includes(algorithm) &&
    keyStates.includes(state) &&
    isText(recordValue) &&
    (request === undefined || isText(request)) &&
    domains.every(({ domain, state: at }) => isText(domain) && placeStates.includes(at));
  if (!isKept) throw new Error('a field is not as it is kept');
  return {
    ...{ selector, algorithm, recordValue, privateKeyPem, state, request },
    places: domains.map(({ domain, state: at, askedTime }) => ({ domain, state: at, askedMs: msOf(askedTime) })),
    isRevoked: key.revoked === true,
    createdMs: msOf(key.createdTime),
    signedMs: key.signedTime === undefined ? undefined : msOf(key.signedTime),
    leftMs: key.leftTime === undefined ? undefined : msOf(key.leftTime),
  };
}

/** It is part of the names of files and records. */
const selectorPattern = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

function isText(value: unknown): boolean {
  return typeof value === 'string';
}

function msOf(time: string): number {
  const ms = Date.parse(time);
  if (Number.isNaN(ms)) throw new Error('a time is not one');
  return ms;
}

/** A Secret says whose keys it holds by labels, which anybody may put on his own: it is a ring only where the relay owns it whose ring it is. */
export function isRing({ metadata }: KubeObject, relay: MailRelay | undefined): boolean {
  return (
    relay !== undefined &&
    metadata.namespace === relay.metadata.namespace &&
    metadata.name.startsWith(`${relay.metadata.name}-dkim-`) &&
    isOwnedBy(metadata.ownerReferences, relay)
  );
}

/**
 * Of a ring that was kept for another relay, the keys that this policy's owner was told of: whoever has a relay could have put a ring of his own
 * making there, and would have his key published and signed with in another's name. What the status told of is public and whole, and nobody has
 * the private key to it but those who had it before.
 */
export function toldKeys(secret: KubeObject, { status }: DomainPolicy, nowMs: number): KeyRing {
  const told = new Set((status?.dnsRecords ?? []).flatMap(({ purpose, value }) => (purpose === 'DKIM' ? [value] : [])));
  return told.size === 0 ? [] : strangersRing(secret).filter(key => told.has(key.recordValue) && isWhole(key, nowMs));
}

/** What cannot be read there is none of ours to mend, and must not stop the policy. */
function strangersRing(secret: KubeObject): KeyRing {
  try {
    return ringOf(secret);
  } catch (error) {
    if (error instanceof BrokenKeys) return [];
    throw error;
  }
}

function isWhole({ selector, algorithm, privateKeyPem, recordValue, createdMs, signedMs = 0 }: RingKey, nowMs: number) {
  try {
    const key = dkimKeyOf(privateKeyPem, selector);
    return key.recordValue === recordValue && key.algorithm === algorithm && createdMs <= nowMs && signedMs <= nowMs;
  } catch (error) {
    if (error instanceof Error) return false;
    throw error;
  }
}

/** Of a relay's configuration. */
const mostLoaded = 8;

/**
 * Those that the pods load: one that is loaded everywhere may sign. One that was replaced stays, so that mail is not unsigned for a while
 * when its successor loses its record and it signs again; but not one that was revoked.
 */
function loadedOf(ring: KeyRing): RingKey[] {
  const living = ring.filter(({ state }) => state === 'Published' || state === 'Active');
  const retiring = ring.filter(({ state, isRevoked }) => state === 'Retiring' && !isRevoked);
  const used = new Set([...living, ...retiring.reverse()].slice(0, mostLoaded));
  return ring.filter(key => used.has(key));
}

export function loadedKeys(ring: KeyRing, domains: readonly string[]): LoadedKey[] {
  return loadedOf(ring).map(({ selector, algorithm, privateKeyPem, recordValue, places }) => {
    const signsFor = domains.filter(domain => stateAt({ places }, domain) === 'Signs');
    return {
      ...{ selector, algorithm, privateKeyPem, recordValue },
      ...(signsFor.length < domains.length && { signsFor }),
    };
  });
}

export function stateAt({ places }: Pick<RingKey, 'places'>, domain: string): KeyPlace['state'] {
  return places.find(place => place.domain === domain)?.state ?? 'Awaited';
}

export function domainsIn({ places }: Pick<RingKey, 'places'>, state: KeyPlace['state']): string[] {
  return places.filter(place => place.state === state).map(({ domain }) => domain);
}

/** Whether the pods load the same of both, and sign with the same. */
export function isLoadedAlike(one: KeyRing, other: KeyRing): boolean {
  const used = (ring: KeyRing): string =>
    JSON.stringify(loadedOf(ring).map(key => [key.selector, key.privateKeyPem, domainsIn(key, 'Signs')]));
  return used(one) === used(other);
}

function text(base64Text: string | undefined): string {
  if (base64Text === undefined) throw new Error('an entry is missing');
  return Buffer.from(base64Text, 'base64').toString('utf8');
}

function base64(value: string): string {
  return Buffer.from(value).toString('base64');
}

function timeOf(ms: number): string {
  return new Date(ms).toISOString();
}
