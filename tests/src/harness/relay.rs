//! What stands before the nodes of a control plane: one address, and behind it whichever node answers. A plain relay of
//! bytes, as load balancers in the field are.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, Result};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A relay. It closes, and so does what goes through it, when this goes.
#[derive(Debug)]
pub(super) struct Relay {
    port: u16,
    accepting: JoinHandle<()>,
}

impl Relay {
    /// To the nodes on these ports, the first one that can be reached first.
    pub(super) async fn open(nodes: Vec<u16>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no free port")?;
        let port = listener.local_addr()?.port();
        let accepting = tokio::spawn(async move {
            while let Ok((mut outside, _)) = listener.accept().await {
                let nodes = nodes.clone();
                tokio::spawn(async move {
                    for node in nodes {
                        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, node));
                        if let Ok(mut inside) = TcpStream::connect(address).await {
                            // Either side may cut it.
                            drop(copy_bidirectional(&mut outside, &mut inside).await);
                            return;
                        }
                    }
                });
            }
        });
        Ok(Self { port, accepting })
    }

    /// Where it listens.
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}
