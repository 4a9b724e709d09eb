/**
 * A whole Postroad whose operator's clock the test moves: real API server and controller manager, both controllers, relays as processes,
 * name servers, mail that is sent through every pod all the time, and a next hop that keeps what it gets.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import { domainPolicies, mailRelays } from '../../operator/cluster/kinds.ts';
import type { KubeObject } from '../../operator/kube/object.ts';
import * as objects from '../crds/objects.ts';
import { RawClient } from '../support/raw-client.ts';
import { type ScriptedMx, startScriptedMx } from '../support/scripted-mx.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { numberedMail } from './numbered-mail.ts';
import { startWholeWorld, type WholeWorld } from './whole-world.ts';

export interface Sent {
  readonly number: number;
  readonly pod: string;
  /** It was signed between these. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly outcome: string;
}

export interface RotationWorld extends WholeWorld, AsyncDisposable {
  readonly sink: ScriptedMx;
  readonly sent: readonly Sent[];
  policy(): Promise<DomainPolicy & KubeObject>;
  /** Through every pod that runs now, until it is stopped. */
  beginToSend(): void;
  stopSending(): Promise<void>;
}

export const domain = 'shop.example';
const policyName = { namespace: 'shop', name: 'shop' };
/** A policy of the same relay whose only key signs for good. */
export const neighbourName = { namespace: 'shop', name: 'neighbour' };
const everyMs = 150;

export async function startRotationWorld(dkim: object): Promise<RotationWorld> {
  await using parts = new AsyncDisposableStack();
  const folder = parts.use(await temporaryFolder());
  const sink = parts.use(await startScriptedMx());
  const { clock, zone, api, node } = await startWholeWorld({ domain, parts, folder: folder.path });
  const smartHost = { host: '127.0.0.1', port: sink.port, tls: 'Disabled' };
  const relay = {
    replicas: 2,
    clients: { trustedNetworks: ['127.0.0.0/8'] },
    policies: { namespaces: { from: 'All' } },
    route: { type: 'SmartHost', smartHost },
  };
  await api.create(mailRelays, objects.mailRelay(relay) as KubeObject);
  // Those of a trusted network are of the namespace of the relay.
  const senders = { namespaces: { from: 'All' } };
  await api.create(domainPolicies, objects.domainPolicy({ domains: [domain], senders, dkim }) as KubeObject);

  const still = { algorithms: ['Ed25519'], rotationPeriodDays: 0, overlapDays: 1 };
  const neighbour = {
    domains: ['neighbour.example'],
    dkim: { type: 'Managed', managed: still },
    dns: { checks: 'Disabled' },
  };
  await api.create(domainPolicies, objects.domainPolicy(neighbour, neighbourName) as KubeObject);

  const sent: Sent[] = [];
  const stopping = new AbortController();
  const senders_: Promise<void>[] = [];

  async function sendThrough(pod: string, address: string): Promise<void> {
    const client = await RawClient.open(2525, address);
    while (!stopping.signal.aborted) {
      const number = sent.length;
      const fromMs = clock.now();
      const slot = { number, pod, fromMs, toMs: Number.POSITIVE_INFINITY, outcome: 'under way' };
      sent.push(slot);
      const { outcome } = await client.send(numberedMail(domain, number));
      sent[number] = { ...slot, toMs: clock.now(), outcome };
      await delay(everyMs);
    }
    await client.quit();
  }

  const kept = parts.move();
  return {
    ...{ api, node, clock, zone, sink, sent },
    policy: () => api.get(domainPolicies, policyName),
    beginToSend() {
      for (const { key, address } of node.pods()) senders_.push(sendThrough(key, address));
    },
    async stopSending() {
      stopping.abort();
      await Promise.all(senders_);
    },
    async [Symbol.asyncDispose]() {
      stopping.abort();
      await Promise.allSettled(senders_);
      await kept[Symbol.asyncDispose]();
    },
  };
}

/** @throws Error for a message that is none of ours. */
export function numberOf(content: Buffer): number {
  const [, number] = /^Subject: number (\d+)\r$/m.exec(content.toString('latin1')) ?? [];
  if (number === undefined) throw new Error('a message without a number');
  return Number(number);
}
