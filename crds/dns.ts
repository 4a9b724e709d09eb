/** spec.dns of a DomainPolicy. */
import { mailAddress } from './common.ts';
import { cidrField } from './network.ts';
import { defaulted, list, object, oneOf, optional, string } from './schema.ts';

export const dns = object('The DNS records of its domains.', {
  publish: defaulted(
    oneOf(
      'Manual: status.dnsRecords says what is needed. ExternalDNS: as a DNSEndpoint for external-dns, where the namespace has the label postroad.dev/publish-dns: Allowed.',
      ['Manual', 'ExternalDNS'],
    ),
    'Manual',
  ),
  checks: defaulted(
    oneOf('Enabled looks the records up and says what is missing. Disabled trusts that they are there.', [
      'Enabled',
      'Disabled',
    ]),
    'Enabled',
  ),
  spf: defaulted(
    object('Who sends as the domains, besides the relay.', {
      include: defaulted(
        list('Domains whose SPF records are included, such as that of a smart host.', spfInclude(), {
          listType: 'set',
          maxItems: 16,
        }),
        [],
      ),
      addresses: defaulted(
        list(
          'Networks that mail leaves from, where the name of the relay does not resolve to them.',
          cidrField('Network.'),
          {
            listType: 'set',
            maxItems: 32,
          },
        ),
        [],
      ),
    }),
    {},
  ),
  dmarc: defaulted(
    object('What receivers should do with mail that fails.', {
      policy: defaulted(oneOf('The policy asked for.', ['None', 'Quarantine', 'Reject']), 'None'),
      reportTo: optional(mailAddress('Where aggregate reports go.')),
    }),
    {},
  ),
  tlsReports: optional(
    object(
      'Asks those who send to the domains how TLS went (RFC 8460). Not for `*.` domains: each would need its own.',
      {
        reportTo: mailAddress('Where the reports go.'),
      },
    ),
  ),
  mtaSts: optional(
    object(
      'Asks those who send to the domains for verified TLS (RFC 8461). The record alone is looked after: the policy file must be served at https://mta-sts.<domain>/.well-known/mta-sts.txt by the owner of the domain. Not for `*.` domains.',
      {
        id: string('Changed whenever the policy file is.', {
          maxLength: 32,
          pattern: { regex: '^[A-Za-z0-9]+$', means: '1 to 32 letters and digits' },
        }),
      },
    ),
  ),
});

/** Names in SPF often begin with an underscore, as in `_spf.example.net`. */
function spfInclude() {
  return string('Domain.', {
    maxLength: 253,
    pattern: {
      regex: '^[a-z0-9_]([-a-z0-9_]{0,62})(\\.[a-z0-9_]([-a-z0-9_]{0,62}))+$',
      means: 'a domain in lower case, such as _spf.example.net',
    },
  });
}
