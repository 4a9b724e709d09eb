/**
 * The story: only From was asked who may send as it. A tenant put its own address there and somebody else's into Sender,
 * and Outlook showed the mail as "ceo@victim.example on behalf of app@mine.example".
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkFrom } from '../../../relay/policy/from.ts';
import { identifyUser } from '../../../relay/policy/identity.ts';
import { createPolicySnapshot } from '../../../relay/policy/snapshot.ts';
import { buildConfig, buildPolicyInput } from '../../support/policy-builders.ts';

const policies = [
  buildPolicyInput({ name: 'mine', domains: ['mine.example'], senders: { namespaces: ['mail'] } }),
  buildPolicyInput({ name: 'ours', domains: ['ours.example'], senders: { namespaces: ['mail'] } }),
  buildPolicyInput({ name: 'victim', domains: ['victim.example'], senders: { namespaces: ['victim'] } }),
];
const snapshot = createPolicySnapshot(buildConfig({ policies }));
const demo = identifyUser(snapshot, 'demo');

function verdict(sender: string): string {
  const decision = checkFrom(snapshot, demo, Buffer.from(`From: app@mine.example\r\n${sender}\r\n\r\n`));
  return decision.accept ? `owned by ${decision.value.name}` : decision.reason;
}

const fields: readonly (readonly [story: string, field: string, result: string])[] = [
  ['a domain of another tenant', 'Sender: ceo@victim.example', 'FromNotAllowed'],
  ['a domain without policy', 'Sender: ceo@gmail.example', 'NoPolicy'],
  ['an own domain, whose policy does not come to own the message', 'Sender: App <list@ours.example>', 'owned by mine'],
  ['two fields', 'Sender: a@mine.example\r\nsender: ceo@victim.example', 'MalformedFrom'],
  ['white space before the colon', 'Sender : a@mine.example', 'MalformedFrom'],
  ['two mailboxes', 'Sender: a@mine.example, b@mine.example', 'MalformedFrom'],
  ['an address that hides another', 'Sender: ceo@victim.example <a@mine.example>', 'MalformedFrom'],
  ['no address', 'Sender: root', 'MalformedFrom'],
];

for (const [story, field, result] of fields) {
  test(`a Sender field with ${story}: ${result}`, () => assert.equal(verdict(field), result));
}
