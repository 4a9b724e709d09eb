import type { Path } from './path.ts';

/** When the author's side wants a DSN for a recipient (RFC 3461 s4.1). `Never` excludes the others. */
export type Notify = 'Never' | 'Success' | 'Failure' | 'Delay';

/** One RCPT TO of a transaction. */
export interface EnvelopeRecipient {
  readonly forwardPath: Path;
  /** Empty: the sender did not say, which means Failure and Delay (RFC 3461 s4.1). */
  readonly notify: readonly Notify[];
  /** `addr-type;xtext` exactly as received (RFC 3461 s4.2). */
  readonly orcpt?: string;
}

/** What MAIL FROM said, apart from the recipients. */
export interface EnvelopeSender {
  /** `null` is the null reverse-path `<>`. */
  readonly reversePath: Path | null;
  /** `8BITMIME` also stands for a message that arrived so; BINARYMIME is not offered (RFC 6152, RFC 3030). */
  readonly body: '7BIT' | '8BITMIME';
  /** RFC 6531 s3.4. */
  readonly smtputf8: boolean;
  /** RFC 8689: refuse to send on rather than send in the clear. */
  readonly requireTls: boolean;
  /** RFC 3461 s4.3. */
  readonly ret?: 'FULL' | 'HDRS';
  /** Decoded from xtext (RFC 3461 s4.4). */
  readonly envid?: string;
}

export interface Envelope extends EnvelopeSender {
  readonly recipients: readonly EnvelopeRecipient[];
}
