/** The story: mail for localhost was refused on a direct route, but mail for its address went to whatever listens beside the relay. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkForwardPath } from '../../../relay/policy/forward-path.ts';
import { createPolicySnapshot } from '../../../relay/policy/snapshot.ts';
import { parsePath } from '../../../relay/smtp/path.ts';
import { buildConfig } from '../../support/policy-builders.ts';

const direct = createPolicySnapshot(buildConfig({ route: { type: 'Direct' } }));
const capture = createPolicySnapshot(buildConfig({ route: { type: 'Capture' } }));

for (const [literal, refused] of [
  ['[127.0.0.1]', true],
  ['[127.9.9.9]', true],
  ['[0.0.0.0]', true],
  ['[IPv6:::1]', true],
  ['[IPv6:0:0:0:0:0:0:0:1]', true],
  ['[IPv6:::]', true],
  ['[IPv6:::ffff:127.0.0.1]', true],
  ['[IPv6:::ffff:7f00:1]', true],
  ['[192.0.2.1]', false],
  ['[IPv6:2001:db8::1]', false],
] as const)
  test(`mail for ${literal} is ${refused ? 'refused where it would go to this very host' : 'taken'}`, () => {
    const path = parsePath(`bob@${literal}`, { smtputf8: false });
    assert.ok(path !== undefined);
    assert.equal(checkForwardPath(direct, path).accept, !refused);
    assert.ok(checkForwardPath(capture, path).accept);
  });
