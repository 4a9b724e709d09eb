import { describe, it } from 'node:test';
import { stringify } from 'yaml';
import type { RelayInput } from '../../../../operator/mailrelay/desired/input.ts';
import { assertGolden } from '../../../support/golden.ts';
import { attached, desiredOf, storedRelay } from '../relay-input.ts';
import { type GoldenName, goldenProvider, goldenRelays } from './golden-relays.ts';

const bare = { certManager: false, podMonitor: false, prometheusRule: false };

/** What there is beside the relay. */
const changes: Readonly<Partial<Record<GoldenName, Partial<RelayInput>>>> = {
  quickstart: {
    kinds: bare,
    policies: [
      attached({ domains: ['example.com'], relayRef: { name: 'outbound' } }, { name: 'example', namespace: 'mail' }),
    ],
  },
  'redis-autoscaling': {
    existing: {
      workload: { replicas: 2, claimSize: undefined, fileShards: 1 },
      configText: undefined,
      fileShards: [],
      pods: [],
      claims: new Map(),
      hasAutoscaler: true,
    },
  },
  'everything-on': {
    policies: [
      attached(),
      attached(
        { domains: ['bank.example.com', '*.bank.example.com'], route: goldenProvider },
        { name: 'bank', namespace: 'bank' },
      ),
    ],
  },
};

describe('the objects of a relay', () => {
  for (const name of Object.keys(goldenRelays) as GoldenName[]) {
    it(`are as in test/golden/mailrelay/${name}.yaml`, async () => {
      const { objects } = desiredOf(storedRelay(goldenRelays[name]), changes[name]);
      const documents = objects.map(object => stringify(object, { aliasDuplicateObjects: false, lineWidth: 120 }));
      await assertGolden(`mailrelay/${name}.yaml`, Buffer.from(documents.join('---\n')));
    });
  }
});
