import os
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

env = os.environ
trust = ssl.create_default_context(cafile=env["SMTP_CA"] or None)
host, port, mode = env["SMTP_HOST"], int(env["SMTP_PORT"]), env["SMTP_MODE"]

message = EmailMessage()
message["From"], message["To"], message["Subject"] = env["MAIL_FROM"], env["MAIL_TO"], env["MAIL_SUBJECT"]
message["Date"], message["Message-ID"] = formatdate(), make_msgid()
message.set_content("Sent by Python's smtplib.\n")

if mode == "tls":
    server = smtplib.SMTP_SSL(host, port, timeout=30, context=trust)
else:
    server = smtplib.SMTP(host, port, timeout=30)
with server:
    if mode == "starttls":
        server.starttls(context=trust)
    if env["SMTP_USER"]:
        server.login(env["SMTP_USER"], env["SMTP_PASSWORD"])
    server.send_message(message)
