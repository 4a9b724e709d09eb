import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FieldSet } from '../../../operator/kube/object.ts';
import { ownsAll } from '../../../operator/kube/owned.ts';

const ports: FieldSet = {
  'f:spec': {
    'f:ports': {
      'k:{"port":25,"protocol":"TCP"}': { '.': {}, 'f:port': {}, 'f:name': {} },
      'k:{"port":587,"protocol":"TCP"}': { '.': {}, 'f:port': {}, 'f:name': {}, 'f:protocol': {}, 'f:targetPort': {} },
    },
    'f:selector': {},
  },
};
const smtp = { name: 'smtp', port: 25 };
const submission = { name: 'submission', port: 587, protocol: 'TCP', targetPort: 2587 };
const finalizers: FieldSet = { 'f:metadata': { 'f:finalizers': { '.': {}, 'v:"postroad.dev/drain"': {} } } };

for (const [what, owned, wanted, expected] of [
  ['everything is ours', ports, { spec: { ports: [smtp, submission], selector: { app: 'x' } } }, true],
  ['an element without a key that the server fills in is found', ports, { spec: { ports: [smtp] } }, true],
  ['an element is not ours', ports, { spec: { ports: [{ name: 'smtps', port: 465 }] } }, false],
  [
    'an element of another key is not taken for ours',
    ports,
    { spec: { ports: [{ ...smtp, protocol: 'UDP' }] } },
    false,
  ],
  ['a field within an element is not ours', ports, { spec: { ports: [{ ...smtp, targetPort: 2525 }] } }, false],
  ['a field is not ours', ports, { spec: { type: 'ClusterIP' } }, false],
  ['below what is owned as a whole all is ours', ports, { spec: { selector: { any: { thing: [1] } } } }, true],
  ['what is empty needs no owner', ports, { spec: { externalIPs: [], x: {}, y: null, z: undefined } }, true],
  ['an empty text or zero needs one', ports, { spec: { x: '' } }, false],
  ['a value of a set is ours', finalizers, { metadata: { finalizers: ['postroad.dev/drain'] } }, true],
  ['a value of a set is not ours', finalizers, { metadata: { finalizers: ['other'] } }, false],
  ['nothing is wanted', ports, {}, true],
] as const) {
  test(`${what}: ${expected ? 'owned' : 'not owned'}`, () => {
    assert.equal(ownsAll(owned as FieldSet, wanted), expected);
  });
}
