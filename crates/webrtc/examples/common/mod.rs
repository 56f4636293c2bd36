//! `/echo/1.0.0`, both sides of it, for the peers that others test with.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{PeerId, StreamProtocol, identify, identity::Keypair, swarm::Config};
use libp2p_stream::Control;

const ECHO: StreamProtocol = StreamProtocol::new("/echo/1.0.0");

/// Answers each stream with what came, when all has come.
pub(crate) async fn answer(mut control: Control) {
    let mut incoming = control.accept(ECHO).expect("is the first");
    while let Some((_, mut stream)) = incoming.next().await {
        tokio::spawn(async move {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            stream.write_all(&bytes).await?;
            stream.close().await
        });
    }
}

/// Sends a mebibyte, closes, reads it again, and prints how that went.
pub(crate) async fn ask(mut control: Control, peer: PeerId) {
    let sent: Vec<u8> = (0..1_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let echoed = async {
        let mut stream = control.open_stream(peer, ECHO).await?;
        stream.write_all(&sent).await?;
        stream.close().await?;
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await?;
        Ok::<_, Box<dyn std::error::Error + Send + Sync>>(got)
    };
    match echoed.await {
        Ok(got) if got == sent => println!("echoed {}", got.len()),
        Ok(got) => println!("{} other bytes came back", got.len()),
        Err(error) => println!("no echo: {error}"),
    }
}

pub(crate) fn identify(keypair: &Keypair) -> identify::Behaviour {
    identify::Behaviour::new(identify::Config::new("/echo/1.0.0".into(), keypair.public()))
}

pub(crate) fn config() -> Config {
    Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60))
}
