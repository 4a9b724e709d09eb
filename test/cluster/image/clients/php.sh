#!/bin/sh
# PHP's mail() by way of msmtp, which is its sendmail.
set -eu
umask 077
settings=$(mktemp)
{
  echo "account default"
  echo "host $SMTP_HOST"
  echo "port $SMTP_PORT"
  echo "from $MAIL_FROM"
  echo "timeout 30"
  if [ "$SMTP_MODE" = plain ]; then echo "tls off"; else echo "tls on"; fi
  if [ "$SMTP_MODE" = tls ]; then echo "tls_starttls off"; fi
  if [ "$SMTP_MODE" != plain ]; then echo "tls_trust_file ${SMTP_CA:-/etc/ssl/certs/ca-certificates.crt}"; fi
  if [ -n "$SMTP_USER" ]; then
    echo "auth on"
    echo "user $SMTP_USER"
    echo 'passwordeval printenv SMTP_PASSWORD'
  fi
} > "$settings"
exec php -d "sendmail_path=/usr/bin/msmtp -C $settings -t -i" -r '
  $headers = ["From" => getenv("MAIL_FROM")];
  exit(mail(getenv("MAIL_TO"), getenv("MAIL_SUBJECT"), "Sent by PHP.\n", $headers) ? 0 : 1);'
