import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { TxtAnswer } from '../../../operator/dns/txt.ts';
import { createRecordWatch } from '../../../operator/domainpolicy/record-watch.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { waitUntil } from '../../support/wait-until.ts';
import { KeptMetrics, quiet } from '../kube/fakes.ts';

const there: TxtAnswer = {
  servers: [{ host: 'ns', said: { kind: 'Texts', texts: ['v=DMARC1; p=none'] } }],
  problem: undefined,
};

function watched(domain: string) {
  const record = { name: `_dmarc.${domain}`, type: 'TXT', purpose: 'DMARC', value: 'v=DMARC1; p=none' } as const;
  return { record, isGuarded: false };
}

describe('names of a namespace whose servers never answer', () => {
  it('do not keep those of others waiting, and each has its turn', async () => {
    const asked: string[] = [];
    const open: (() => void)[] = [];
    const touched: string[] = [];
    const watch = createRecordWatch({
      lookups: {
        authoritative(name) {
          asked.push(name);
          if (!name.endsWith('.evil.example')) return Promise.resolve(there);
          return new Promise(resolve => open.push(() => resolve({ servers: [], problem: 'silent' })));
        },
        resolvedSpf: () => Promise.resolve({ kind: 'Nothing' }),
      },
      ...{ clock: new FakeClock(), random: () => 0.5, log: quiet, metrics: new KeptMetrics() },
      touchPolicy: key => touched.push(key),
    });
    const stopping = new AbortController();
    const done = watch.run(stopping.signal);
    const names = Array.from({ length: 100 }, (_, index) => `n${index}.evil.example`);
    watch.want('evil/policy', names.map(watched), '1');
    await waitUntil('the first of them to be asked', async () => open.length > 0);
    watch.want('shop/policy', ['shop.example'].map(watched), '1');
    await waitUntil('the other name to be seen', async () => touched.includes('shop/policy'));
    assert.ok(open.length < 32, `${open.length} under way`);
    await waitUntil('all of them to have had their turn', async () => {
      for (const answer of open.splice(0)) answer();
      return new Set(asked).size === names.length + 1;
    });
    for (const answer of open.splice(0)) answer();
    stopping.abort();
    await done;
  });
});
