import java.io.FileInputStream;
import java.io.InputStream;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.util.Date;
import java.util.Properties;
import javax.mail.Authenticator;
import javax.mail.Message;
import javax.mail.PasswordAuthentication;
import javax.mail.Session;
import javax.mail.Transport;
import javax.mail.internet.InternetAddress;
import javax.mail.internet.MimeMessage;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Sends one message by Jakarta Mail. */
public class Client {
    public static void main(String[] args) throws Exception {
        String mode = System.getenv("SMTP_MODE");
        String user = System.getenv("SMTP_USER");
        Properties properties = new Properties();
        properties.put("mail.smtp.host", System.getenv("SMTP_HOST"));
        properties.put("mail.smtp.port", System.getenv("SMTP_PORT"));
        properties.put("mail.smtp.timeout", "30000");
        properties.put("mail.smtp.from", System.getenv("MAIL_FROM"));
        properties.put("mail.smtp.ssl.enable", String.valueOf(mode.equals("tls")));
        properties.put("mail.smtp.ssl.checkserveridentity", "true");
        properties.put("mail.smtp.starttls.enable", String.valueOf(mode.equals("starttls")));
        properties.put("mail.smtp.starttls.required", String.valueOf(mode.equals("starttls")));
        properties.put("mail.smtp.auth", String.valueOf(!user.isEmpty()));
        if (!System.getenv("SMTP_CA").isEmpty()) {
            properties.put("mail.smtp.ssl.socketFactory", trusting(System.getenv("SMTP_CA")).getSocketFactory());
        }
        Session session = Session.getInstance(properties, new Authenticator() {
            @Override
            protected PasswordAuthentication getPasswordAuthentication() {
                return new PasswordAuthentication(user, System.getenv("SMTP_PASSWORD"));
            }
        });
        MimeMessage message = new MimeMessage(session);
        message.setFrom(new InternetAddress(System.getenv("MAIL_FROM")));
        message.setRecipient(Message.RecipientType.TO, new InternetAddress(System.getenv("MAIL_TO")));
        message.setSubject(System.getenv("MAIL_SUBJECT"));
        message.setSentDate(new Date());
        message.setText("Sent by Jakarta Mail.\n");
        Transport.send(message);
    }

    private static SSLContext trusting(String file) throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null, null);
        try (InputStream input = new FileInputStream(file)) {
            for (Certificate each : CertificateFactory.getInstance("X.509").generateCertificates(input)) {
                store.setCertificateEntry("ca" + store.size(), each);
            }
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }
}
