import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Action, dsnRecipient, eventsToReport } from '../../../relay/bounce/decision.ts';
import type { Notify } from '../../../relay/smtp/envelope.ts';
import { buildConfig, buildPolicyInput } from '../../support/policy-builders.ts';
import { buildEvent, buildMessage, buildSender } from './builders.ts';

const actions: readonly Action[] = ['failed', 'delayed', 'delivered', 'relayed'];

const rows: readonly (readonly [story: string, notify: readonly Notify[], told: readonly Action[]])[] = [
  ['without NOTIFY of failures and delays (RFC 3461 s4.1)', [], ['failed', 'delayed']],
  ['with NEVER of nothing', ['Never'], []],
  ['with NEVER beside others of nothing', ['Never', 'Failure'], []],
  ['with FAILURE of failures only', ['Failure'], ['failed']],
  ['with DELAY of delays only', ['Delay'], ['delayed']],
  ['with SUCCESS of delivery and of handing on, and of no failure', ['Success'], ['delivered', 'relayed']],
  ['with all three of everything', ['Success', 'Failure', 'Delay'], actions],
];

for (const [story, notify, told] of rows) {
  test(`the sender is told ${story}`, () => {
    const events = actions.map(action => buildEvent({ action, recipient: { notify } }));
    assert.deepEqual(
      eventsToReport(buildMessage(), events).map(event => event.action),
      told,
    );
  });
}

test('nobody is told about a message with the null reverse-path, whatever NOTIFY says', () => {
  const message = buildMessage({ sender: buildSender({ reversePath: null }) });
  const notify: Notify[] = ['Failure', 'Success', 'Delay'];
  assert.deepEqual(
    eventsToReport(
      message,
      actions.map(action => buildEvent({ action, recipient: { notify } })),
    ),
    [],
  );
});

test('a DSN goes to the reverse-path, or where the policy of the message says', () => {
  const policies = [
    buildPolicyInput({ bouncesTo: 'bounces@shop.example.com' }),
    buildPolicyInput({ name: 'other', domains: ['other.example'] }),
  ];
  const config = buildConfig({ policies });
  const goesTo = (policy: string | null): string | undefined => dsnRecipient(config, buildMessage({ policy }))?.text;
  assert.equal(goesTo('shop/shop'), 'bounces@shop.example.com');
  assert.equal(goesTo('shop/other'), 'app@shop.example.com');
  assert.equal(goesTo('shop/deleted-meanwhile'), 'app@shop.example.com');
  assert.equal(goesTo(null), 'app@shop.example.com');
});

test('an address for bounces that is none is as good as none', () => {
  const config = buildConfig({ policies: [buildPolicyInput({ bouncesTo: 'not an address' })] });
  assert.equal(dsnRecipient(config, buildMessage())?.text, 'app@shop.example.com');
});
