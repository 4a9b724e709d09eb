import type { NewMessage } from '../../relay/queue/queue.ts';

const head = Buffer.alloc(600, 'h');
/** Sorts behind those of a process that began earlier. */
const life = Date.now().toString(36).toUpperCase().padStart(9, '0');
let messages = 0;

/** Of a sender of its own tenant, with bytes that say nothing. */
export function message(sizeBytes: number, destination?: string, domain?: string): NewMessage {
  return messageOf(Buffer.alloc(sizeBytes, 'c'), destination, domain);
}

/** The same with these bytes. */
export function messageOf(bytes: Buffer, destination = 'smart-host/relay', domain = 'example.net'): NewMessage {
  messages += 1;
  const now = Date.now();
  const content = {
    sizeBytes: bytes.length,
    bytes,
    async *read() {
      yield bytes;
    },
  };
  return {
    id: `${life}${String(messages).padStart(17, '0')}`,
    sender: {
      reversePath: { text: 'orders@shop.example.com', localPart: 'orders', domain: 'shop.example.com' },
      body: '8BITMIME',
      smtputf8: false,
      requireTls: false,
    },
    tenant: 'shop',
    policy: 'shop/shop',
    receivedTimeMs: now,
    expiryTimeMs: now + 432_000_000,
    head,
    content,
    recipients: [{ forwardPath: `someone@${domain}`, domain, destination, notify: [] }],
  };
}
