/** spec.retry, spec.limits and spec.delivery of a MailRelay. */
import { port } from './common.ts';
import { defaulted, integer, object, quantity } from './schema.ts';
import { quantityBetween } from './size.ts';

const day = 86_400;

export const retry = object(
  'When a deferred message is tried again, and when it is given up.',
  {
    initialDelaySeconds: defaulted(integer('Wait before the second attempt; it then doubles.', 1, day), 60),
    maxDelaySeconds: defaulted(integer('Longest wait between two attempts.', 1, 7 * day), 14_400),
    messageLifetimeSeconds: defaulted(
      integer('Age at which what is left is returned to its sender (RFC 5321 asks for at least 4 days).', 1, 60 * day),
      432_000,
    ),
    delayWarningSeconds: defaulted(
      integer('Age at which the sender is told of the delay; 0: never.', 0, 60 * day),
      14_400,
    ),
  },
  {
    rules: [
      {
        rule: 'self.initialDelaySeconds <= self.maxDelaySeconds',
        message: 'initialDelaySeconds must be at most maxDelaySeconds',
        check: self => self.initialDelaySeconds <= self.maxDelaySeconds,
      },
      {
        rule: 'self.delayWarningSeconds < self.messageLifetimeSeconds',
        message: 'delayWarningSeconds must be less than messageLifetimeSeconds',
        check: self => self.delayWarningSeconds < self.messageLifetimeSeconds,
      },
    ],
  },
);

export const limits = object(
  'What one pod takes. Beyond: a temporary refusal (421 or 452), or a final one for a message that is too big (552) or has a line that is too long (554).',
  {
    maxMessageSize: defaulted(
      quantity('Largest message, announced as SIZE and enforced.', [quantityBetween('1Ki', '1Gi')]),
      '25Mi',
    ),
    maxRecipients: defaulted(integer('Recipients of one message.', 1, 100_000), 1000),
    maxSessions: defaulted(integer('Sessions at a time.', 1, 100_000), 10_000),
    maxSessionsPerClient: defaulted(integer('Sessions at a time from one address.', 1, 100_000), 1000),
    maxCommandsPerSession: defaulted(integer('Commands of one session.', 10, 100_000_000), 1_000_000),
    maxErrorsPerSession: defaulted(integer('Refused commands, recipients and messages of one session.', 1, 10_000), 50),
    maxLineLengthBytes: defaulted(
      integer(
        'Longest line of a message without its CRLF. RFC 5322 says 998; real mail has longer ones.',
        998,
        16_777_216,
      ),
      1_000_000,
    ),
    idleTimeoutSeconds: defaulted(integer('Silence of a client (RFC 5321 asks for at least 300).', 1, 3600), 300),
    sessionTimeoutSeconds: defaulted(integer('Length of a session.', 1, day), 3600),
    minFreeDisk: defaulted(
      quantity('The queue takes no more when its disk has less room than this.', [quantityBetween('1Mi', '16Ti')]),
      '256Mi',
    ),
  },
);

export const delivery = object('How mail leaves.', {
  maxConnections: defaulted(integer('Outgoing connections of one pod.', 1, 10_000), 200),
  maxConnectionsPerLane: defaulted(
    integer('To the same next hop: of one pod with queue type Volume, of all pods together with Redis.', 1, 1000),
    20,
  ),
  maxMessagesPerConnection: defaulted(integer('Messages before a connection is closed.', 1, 100_000), 1000),
  connectTimeoutSeconds: defaulted(integer('Wait for a connection.', 1, 600), 30),
  commandTimeoutSeconds: defaulted(integer('Wait for each reply.', 1, 3600), 300),
  idleConnectionSeconds: defaulted(integer('How long an idle connection is kept.', 1, 300), 10),
  mxPort: defaulted(port('Port of MX hosts. Anything but 25 is for private networks and tests.'), 25),
});
