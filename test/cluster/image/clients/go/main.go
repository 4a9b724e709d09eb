// Sends one message by net/smtp.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"time"
)

func main() {
	if err := send(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func send() error {
	host, mode := os.Getenv("SMTP_HOST"), os.Getenv("SMTP_MODE")
	trust := &tls.Config{ServerName: host}
	if file := os.Getenv("SMTP_CA"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		trust.RootCAs = x509.NewCertPool()
		trust.RootCAs.AppendCertsFromPEM(text)
	}
	connection, err := net.DialTimeout("tcp", net.JoinHostPort(host, os.Getenv("SMTP_PORT")), 30*time.Second)
	if err != nil {
		return err
	}
	if mode == "tls" {
		connection = tls.Client(connection, trust)
	}
	client, err := smtp.NewClient(connection, host)
	if err != nil {
		return err
	}
	defer client.Close()
	if mode == "starttls" {
		if err := client.StartTLS(trust); err != nil {
			return err
		}
	}
	if user := os.Getenv("SMTP_USER"); user != "" {
		if err := client.Auth(smtp.PlainAuth("", user, os.Getenv("SMTP_PASSWORD"), host)); err != nil {
			return err
		}
	}
	from, to := os.Getenv("MAIL_FROM"), os.Getenv("MAIL_TO")
	if err := client.Mail(from); err != nil {
		return err
	}
	if err := client.Rcpt(to); err != nil {
		return err
	}
	body, err := client.Data()
	if err != nil {
		return err
	}
	date := time.Now().Format(time.RFC1123Z)
	text := "From: %s\r\nTo: %s\r\nSubject: %s\r\nDate: %s\r\n\r\nSent by Go's net/smtp.\r\n"
	if _, err := fmt.Fprintf(body, text, from, to, os.Getenv("MAIL_SUBJECT"), date); err != nil {
		return err
	}
	if err := body.Close(); err != nil {
		return err
	}
	return client.Quit()
}
