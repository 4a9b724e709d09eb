/** Runs in a pod of the product's image, from standard input: `HOST CA PORT...`. Sends a letter over each port as the example's user; fails when one is not taken. */
import { createTransport } from 'nodemailer';

const [host = '', ca = '', ...ports] = process.argv.slice(2);

for (const port of ports.map(Number)) {
  const transport = createTransport({
    ...{ host, port, secure: port === 465, requireTLS: port !== 465, tls: { ca } },
    auth: { user: 'demo', pass: 'postroad-demo' },
    ...{ connectionTimeout: 10_000, greetingTimeout: 10_000, socketTimeout: 30_000 },
  });
  await transport.sendMail({
    from: 'me@example.com',
    to: 'you@example.net',
    subject: `over ${port}`,
    text: 'Hello.\n',
  });
  transport.close();
}
