import { type PolicyConfig, parseConfig, type RelayConfig, type RelayConfigInput } from '../../relay/config.ts';

/** A valid configuration of the relay `mail/outbound`; `changes` replace what they name. */
export function buildConfig(changes: Partial<RelayConfigInput> = {}): RelayConfig {
  return parseConfig({
    revision: 'test',
    namespace: 'mail',
    name: 'outbound',
    hostname: 'mail.example.com',
    listeners: [{ name: 'smtp', port: 25, bindPort: 0, protocol: 'SMTP', tls: 'Disabled', authentication: 'Optional' }],
    http: { bindPort: 0 },
    clients: {},
    route: { type: 'Direct' },
    ...changes,
  });
}

type PolicyInput = NonNullable<RelayConfigInput['policies']>[number];

export function buildPolicyInput(changes: Partial<PolicyInput> = {}): PolicyInput {
  return { namespace: 'shop', name: 'shop', domains: ['shop.example.com'], senders: { namespaces: ['*'] }, ...changes };
}

export function buildPolicy(changes: Partial<PolicyInput> = {}): PolicyConfig {
  const [policy] = buildConfig({ policies: [buildPolicyInput(changes)] }).policies;
  if (policy === undefined) throw new Error('a configuration lost its policy');
  return policy;
}
