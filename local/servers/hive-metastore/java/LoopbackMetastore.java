package org.apache.hadoop.hive.metastore;

import java.net.InetSocketAddress;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hive.metastore.HiveMetaStore.HMSHandler;
import org.apache.hadoop.hive.metastore.conf.MetastoreConf;
import org.apache.hadoop.hive.metastore.security.TUGIContainingTransport;
import org.apache.thrift.protocol.TBinaryProtocol;
import org.apache.thrift.protocol.TProtocol;
import org.apache.thrift.server.ServerContext;
import org.apache.thrift.server.TServerEventHandler;
import org.apache.thrift.server.TThreadPoolServer;
import org.apache.thrift.transport.TServerSocket;
import org.apache.thrift.transport.TTransport;

/**
 * The Hive Metastore's Thrift service on one address.
 *
 * <p>HiveMetaStore 3.1 listens on every interface and has no setting against it. This serves the same handler with the
 * same transport on the address given. It lives in the handler's package because its factory is package-private.
 */
public final class LoopbackMetastore {
  public static void main(String[] args) {
    try {
      serve(new InetSocketAddress(args[0], Integer.parseInt(args[1])));
    } catch (Exception error) {
      HMSHandler.LOG.error("The metastore cannot serve", error);
      System.exit(1); // its connection pool's threads would keep the process alive
    }
  }

  private static void serve(InetSocketAddress address) throws Exception {
    Configuration conf = MetastoreConf.newMetastoreConf();
    var handler = HiveMetaStore.newRetryingHMSHandler("loopback metastore", conf, false);
    var options =
        new TThreadPoolServer.Args(new TServerSocket(address))
            .processor(new TUGIBasedProcessor<>(handler))
            .transportFactory(new TUGIContainingTransport.Factory())
            .protocolFactory(new TBinaryProtocol.Factory())
            .minWorkerThreads(2)
            .maxWorkerThreads(100);
    var server = new TThreadPoolServer(options);
    server.setServerEventHandler(new CloseStoreWithConnection());
    HMSHandler.LOG.info("Listening on {}", address);
    server.serve();
  }

  /** Each worker thread opens its own store; without this a closed connection would leave it open. */
  private static final class CloseStoreWithConnection implements TServerEventHandler {
    @Override
    public void preServe() {}

    @Override
    public ServerContext createContext(TProtocol input, TProtocol output) {
      return null;
    }

    @Override
    public void deleteContext(ServerContext context, TProtocol input, TProtocol output) {
      RawStore store = HMSHandler.getRawStore();
      if (store != null) {
        store.shutdown();
        HMSHandler.removeRawStore();
      }
    }

    @Override
    public void processContext(ServerContext context, TTransport input, TTransport output) {}
  }
}
