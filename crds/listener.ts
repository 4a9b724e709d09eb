/** spec.listeners of a MailRelay. */
import { port, portName } from './common.ts';
import { cidrField } from './network.ts';
import { defaulted, list, object, oneOf, optional, type TypeOf } from './schema.ts';

/** Where pods serve HTTP: probes, metrics, the send API. */
export const httpPort = 8080;

const listener = object(
  'One port.',
  {
    name: portName('Its name, and the name of its port in the Service.'),
    port: port('Port for clients, on the Service.'),
    bindPort: optional(
      port(
        'Port in the pod. Left out: 25, 587 and 465 become 2525, 2587 and 2465, other ports below 1024 add 2000, the rest stay.',
      ),
    ),
    protocol: defaulted(
      oneOf('SMTP begins in plain text and may turn to TLS by STARTTLS; SMTPS is TLS from the first byte.', [
        'SMTP',
        'SMTPS',
      ]),
      'SMTP',
    ),
    tls: defaulted(
      oneOf(
        'Disabled: no STARTTLS. Optional: the client chooses. Required: no mail before STARTTLS. With SMTPS TLS is always there.',
        ['Disabled', 'Optional', 'Required'],
      ),
      'Optional',
    ),
    authentication: defaulted(
      oneOf(
        'None: no AUTH. Optional: AUTH is offered, and clients without an identity may not relay. Required: no mail before AUTH, not even from trusted networks.',
        ['None', 'Optional', 'Required'],
      ),
      'Optional',
    ),
    plaintextAuthentication: defaulted(
      oneOf('Allowed offers AUTH before TLS: passwords then cross the network readable.', ['Refused', 'Allowed']),
      'Refused',
    ),
    lineEndings: defaulted(
      oneOf(
        'What happens to a bare CR or LF: Reject refuses the message, Fix makes it CRLF, for clients that know no better.',
        ['Reject', 'Fix'],
      ),
      'Reject',
    ),
    proxyProtocol: optional(
      object('For load balancers that tell the client by the PROXY protocol, version 1 or 2.', {
        from: list(
          'Networks of the load balancers. Their connections must begin with a PROXY header; all others must not.',
          cidrField('Network in CIDR notation.'),
          { listType: 'set', minItems: 1, maxItems: 32 },
        ),
      }),
    ),
  },
  {
    rules: [
      {
        rule: "self.protocol != 'SMTPS' || self.tls != 'Disabled'",
        message: 'tls must not be Disabled where protocol is SMTPS',
        check: self => self.protocol !== 'SMTPS' || self.tls !== 'Disabled',
      },
      {
        rule: "self.authentication != 'Required' || self.tls != 'Disabled' || self.plaintextAuthentication == 'Allowed'",
        message:
          'plaintextAuthentication must be Allowed where authentication is Required and tls Disabled: nobody could log in',
        check: self =>
          self.authentication !== 'Required' || self.tls !== 'Disabled' || self.plaintextAuthentication === 'Allowed',
      },
      {
        rule: `${podPortExpression('self')} != ${httpPort}`,
        message: `the port in the pod must not be ${httpPort}, where it serves HTTP: give another bindPort`,
        check: self => podPort(self) !== httpPort,
      },
      {
        rule: "self.name != 'http'",
        message: 'name must not be http: the Service has a port of that name for HTTP',
        check: self => self.name !== 'http',
      },
    ],
  },
);
export type Listener = TypeOf<typeof listener>;

export const listeners = list('Where it takes mail.', listener, {
  listType: 'map',
  keys: ['name'],
  minItems: 1,
  maxItems: 16,
  rules: [
    {
      rule: 'self.all(one, self.exists_one(other, other.port == one.port))',
      message: 'each port must be used by one listener',
      check: self => new Set(self.map(one => one.port)).size === self.length,
    },
    {
      rule: `self.all(one, self.exists_one(other, ${podPortExpression('other')} == ${podPortExpression('one')}))`,
      message: 'each port in the pod must be used by one listener: give one of them another bindPort',
      check: self => new Set(self.map(podPort)).size === self.length,
    },
  ],
});

/** Pods run without privileges, so that ports below 1024 are not theirs. */
export function podPort({
  port: servicePort,
  bindPort,
}: {
  readonly port: number;
  readonly bindPort?: number;
}): number {
  if (bindPort !== undefined) return bindPort;
  if (servicePort === 25) return 2525;
  return servicePort < 1024 ? servicePort + 2000 : servicePort;
}

/** The same in CEL. */
function podPortExpression(name: string): string {
  return `(has(${name}.bindPort) ? ${name}.bindPort : ${name}.port == 25 ? 2525 : ${name}.port < 1024 ? ${name}.port + 2000 : ${name}.port)`;
}
