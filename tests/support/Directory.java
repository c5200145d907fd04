import com.unboundid.ldap.listener.InMemoryDirectoryServer;
import com.unboundid.ldap.listener.InMemoryDirectoryServerConfig;
import com.unboundid.ldap.listener.InMemoryListenerConfig;
import com.unboundid.util.MinimalLogFormatter;
import com.unboundid.util.ssl.KeyStoreKeyManager;
import com.unboundid.util.ssl.SSLUtil;
import java.net.InetAddress;
import java.util.logging.FileHandler;

/** UnboundID's LDAP server over TLS on loopback; its own program listens on every address. */
public class Directory {
    /** Base DN, port, LDIF file, PKCS12 keystore, the keystore's password, access log. */
    public static void main(String[] arguments) throws Exception {
        var config = new InMemoryDirectoryServerConfig(arguments[0]);
        var keys = new SSLUtil(new KeyStoreKeyManager(arguments[3], arguments[4].toCharArray(), "PKCS12", null), null);
        config.setListenerConfigs(
            InMemoryListenerConfig.createLDAPSConfig(
                "ldaps", InetAddress.getLoopbackAddress(), Integer.parseInt(arguments[1]), keys.createSSLServerSocketFactory(), null));
        var log = new FileHandler(arguments[5]);
        log.setFormatter(new MinimalLogFormatter(null, false, false, true));
        config.setAccessLogHandler(log);
        config.setSchema(null);
        var server = new InMemoryDirectoryServer(config);
        server.importFromLDIF(true, arguments[2]);
        server.startListening();
        Thread.currentThread().join();
    }
}
