import { readFileSync } from 'node:fs';
import { createTransport } from 'nodemailer';

const { SMTP_HOST, SMTP_PORT, SMTP_MODE, SMTP_USER, SMTP_PASSWORD, SMTP_CA, MAIL_FROM, MAIL_TO, MAIL_SUBJECT } =
  process.env;
const transport = createTransport({
  host: SMTP_HOST,
  port: Number(SMTP_PORT),
  secure: SMTP_MODE === 'tls',
  requireTLS: SMTP_MODE === 'starttls',
  ignoreTLS: SMTP_MODE === 'plain',
  ...(SMTP_USER && { auth: { user: SMTP_USER, pass: SMTP_PASSWORD } }),
  ...(SMTP_CA && { tls: { ca: readFileSync(SMTP_CA) } }),
});
await transport.sendMail({ from: MAIL_FROM, to: MAIL_TO, subject: MAIL_SUBJECT, text: 'Sent by Nodemailer.\n' });
