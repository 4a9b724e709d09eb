#!/bin/sh
set -eu
set -- --server "$SMTP_HOST" --port "$SMTP_PORT" --from "$MAIL_FROM" --to "$MAIL_TO" --header "Subject: $MAIL_SUBJECT" --body "Sent by swaks." --timeout 30s
case $SMTP_MODE in
  starttls) set -- "$@" --tls --tls-verify ;;
  tls) set -- "$@" --tls-on-connect --tls-verify ;;
esac
if [ "$SMTP_MODE" != plain ] && [ -n "$SMTP_CA" ]; then set -- "$@" --tls-ca-path "$SMTP_CA"; fi
if [ -n "$SMTP_USER" ]; then set -- "$@" --auth PLAIN --auth-user "$SMTP_USER" --auth-password "$SMTP_PASSWORD"; fi
exec swaks "$@" >&2
