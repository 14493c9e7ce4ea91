package io.microsnap.registry.internal.client;

import io.microsnap.core.SnapshotException;
import java.io.IOException;
import java.io.InputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import java.security.cert.X509Certificate;
import java.util.Collection;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/** Trusts certificates in addition to those of the JDK. */
final class Certificates {
    private static final long LARGEST_BYTES = 8 << 20;

    private Certificates() {
    }

    /** Trusts the certificates in a PEM file, too. */
    static SSLContext trusting(Path file) throws IOException {
        if (Files.size(file) > LARGEST_BYTES) {
            throw new SnapshotException(file + " is not a file of certificates: it has more than " + LARGEST_BYTES
                    + " bytes");
        }
        try (InputStream pem = Files.newInputStream(file)) {
            Collection<? extends Certificate> added =
                    CertificateFactory.getInstance("X.509").generateCertificates(pem);
            if (added.isEmpty()) {
                throw new SnapshotException(file + " holds no certificate; give a PEM file");
            }
            KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
            trusted.load(null, null);
            int number = 0;
            for (Certificate certificate : added) {
                trusted.setCertificateEntry("added-" + number++, certificate);
            }
            for (X509Certificate certificate : known()) {
                trusted.setCertificateEntry("known-" + number++, certificate);
            }
            SSLContext context = SSLContext.getInstance("TLS");
            context.init(null, managers(trusted), null);
            return context;
        } catch (GeneralSecurityException e) {
            throw new SnapshotException(file + " cannot be used as a file of certificates: " + e.getMessage(), e);
        }
    }

    private static TrustManager[] managers(KeyStore trusted) throws GeneralSecurityException {
        TrustManagerFactory factory = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        factory.init(trusted);
        return factory.getTrustManagers();
    }

    private static X509Certificate[] known() throws GeneralSecurityException {
        for (TrustManager manager : managers(null)) {
            if (manager instanceof X509TrustManager certificates) {
                return certificates.getAcceptedIssuers();
            }
        }
        return new X509Certificate[0];
    }
}
