/** spec.route of both kinds. */
import { hostName, port, secretRef } from './common.ts';
import { object, oneOf, optional, type TypeOf, union } from './schema.ts';

const smartHostRules = [
  {
    rule: "!has(self.credentialsSecretRef) || !has(self.tls) || self.tls in ['Required', 'Verified'] || (has(self.plaintextAuthentication) && self.plaintextAuthentication == 'Allowed')",
    message: 'tls must be Required or Verified where credentialsSecretRef is given, or plaintextAuthentication Allowed',
    check: (self: SmartHostFields) =>
      self.credentialsSecretRef === undefined ||
      self.tls === undefined ||
      ['Required', 'Verified'].includes(self.tls) ||
      self.plaintextAuthentication === 'Allowed',
  },
  {
    rule: "!has(self.protocol) || self.protocol != 'SMTPS' || !has(self.tls) || self.tls in ['Required', 'Verified']",
    message: 'tls must be Required or Verified where protocol is SMTPS',
    check: (self: SmartHostFields) =>
      self.protocol !== 'SMTPS' || self.tls === undefined || ['Required', 'Verified'].includes(self.tls),
  },
];

interface SmartHostFields {
  readonly protocol?: 'SMTP' | 'SMTPS';
  readonly tls?: 'Disabled' | 'Opportunistic' | 'Required' | 'Verified';
  readonly plaintextAuthentication?: 'Refused' | 'Allowed';
  readonly credentialsSecretRef?: unknown;
}

const smartHost = object(
  'The server that takes all mail.',
  {
    host: hostName('Its name. Its address is looked up directly, without MX records.'),
    port: port('Its port: commonly 587 with protocol SMTP, 465 with SMTPS.'),
    protocol: optional(
      oneOf(
        'SMTP begins in plain text and may turn to TLS by STARTTLS; SMTPS is TLS from the first byte. Left out: SMTP.',
        ['SMTP', 'SMTPS'],
      ),
    ),
    tls: optional(
      oneOf(
        'Disabled: never. Opportunistic: where offered, any certificate. Required: TLS or no delivery, any certificate. Verified: and the certificate must be valid for `host`. Left out: Verified.',
        ['Disabled', 'Opportunistic', 'Required', 'Verified'],
      ),
    ),
    caSecretRef: optional(
      secretRef(
        "Secret whose key `ca.crt` holds the authorities to trust for Verified, in PEM. Left out: the system's.",
      ),
    ),
    credentialsSecretRef: optional(secretRef('Secret with the keys `username` and `password`. Left out: no AUTH.')),
    plaintextAuthentication: optional(
      oneOf('Allowed lets the password travel without TLS, where tls permits such a connection. Left out: Refused.', [
        'Refused',
        'Allowed',
      ]),
    ),
  },
  { rules: smartHostRules },
);
export type SmartHost = TypeOf<typeof smartHost>;

export function route(description: string) {
  return union(
    description,
    {
      type: oneOf(
        "Direct: to the MX hosts of each recipient's domain. SmartHost: all to one server. Capture: kept and never delivered; /captured of a pod shows it to who forwards its port 8080.",
        ['Direct', 'SmartHost', 'Capture'],
      ),
      smartHost: optional(smartHost),
    },
    { discriminator: 'type', members: { SmartHost: 'smartHost' } },
  );
}
export type Route = TypeOf<ReturnType<typeof route>>;
