import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deletionCosts } from '../../../../operator/mailrelay/desired/deletion-costs.ts';
import type { ObservedPod } from '../../../../operator/mailrelay/desired/input.ts';
import { pod } from '../relay-input.ts';

const annotation = 'controller.kubernetes.io/pod-deletion-cost';

interface Case {
  /** By pod; undefined: it does not answer. */
  readonly loads: Readonly<Record<string, number | undefined>>;
  readonly wanted: number;
  readonly pods?: Readonly<Record<string, Partial<ObservedPod>>>;
  readonly costs: Readonly<Record<string, string>>;
}

const cases: Readonly<Record<string, Case>> = {
  'the idlest go': { loads: { a: 3, b: 0, c: 7, d: 1 }, wanted: 2, costs: { b: '-1', d: '-1' } },
  'one that does not answer stays': { loads: { a: 3, b: undefined, c: 7 }, wanted: 1, costs: { a: '-1', c: '-1' } },
  'nothing is written where all have as much to do': { loads: { a: 0, b: 0, c: 0 }, wanted: 1, costs: {} },
  'nor where none answers': { loads: { a: undefined, b: undefined }, wanted: 1, costs: {} },
  'a pod that is not ready goes before all others': {
    loads: { a: 3, b: 0 },
    pods: { c: { ready: false } },
    wanted: 2,
    costs: {},
  },
  'nor counts one that goes already': {
    loads: { a: 3, b: 0 },
    pods: { c: { terminating: true } },
    wanted: 2,
    costs: {},
  },
  'a mark of before is taken back': {
    loads: { a: 0, b: 5 },
    pods: { b: { annotations: { [annotation]: '-1' } } },
    wanted: 1,
    costs: { a: '-1', b: '0' },
  },
  'one that is right already is not written again': {
    loads: { a: 0, b: 5 },
    pods: { a: { annotations: { [annotation]: '-1' } } },
    wanted: 1,
    costs: {},
  },
};

describe('of a relay that becomes smaller: ', () => {
  for (const [name, { loads, wanted, pods = {}, costs }] of Object.entries(cases)) {
    it(name, () => {
      const names = [...new Set([...Object.keys(loads), ...Object.keys(pods)])];
      const known = Object.entries(loads).flatMap(([one, load]) => (load === undefined ? [] : [[one, load] as const]));
      const patches = deletionCosts({
        ...{ namespace: 'mail', wanted, loads: new Map(known) },
        pods: names.map(one => pod(one, pods[one])),
      });
      const written = patches.map(({ metadata: { name: of, annotations } }) => [of, annotations?.[annotation]]);
      assert.deepEqual(Object.fromEntries(written), costs);
      for (const { metadata } of patches) assert.equal(metadata.uid, `uid-of-${metadata.name}`);
    });
  }
});
