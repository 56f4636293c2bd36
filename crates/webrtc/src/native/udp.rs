//! A UDP socket that sends and receives many datagrams at once, where the system can (GSO and GRO of Linux).

use std::{
    io::{self, IoSliceMut},
    net::SocketAddr,
    sync::Arc,
};

use bytes::{Bytes, BytesMut};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};
use tokio::{io::Interest, net::UdpSocket, sync::mpsc};

use super::peer::Datagram;

/// Bytes of the kernel's buffers, if it lets us.
const KERNEL_BYTES: usize = 4 * 1024 * 1024;

/// Bytes that one system call may bring.
const RECEIVE_BYTES: usize = 64 * 1024;

/// Bytes that one system call may take.
const SEND_BYTES: usize = 60 * 1024;

#[derive(Debug)]
pub(super) struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    address: SocketAddr,
}

impl Socket {
    pub(super) fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = std::net::UdpSocket::bind(address)?;
        let state = UdpSocketState::new((&socket).into())?;
        // What the system grants is enough.
        let _ = state.set_recv_buffer_size((&socket).into(), KERNEL_BYTES);
        let _ = state.set_send_buffer_size((&socket).into(), KERNEL_BYTES);
        let address = socket.local_addr()?;
        Ok(Self { socket: UdpSocket::from_std(socket)?, state, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends `datagrams`. One that the system refuses is lost, as any may be.
    pub(super) async fn send(&self, datagrams: &[Datagram]) {
        let mut rest = datagrams;
        let mut contents = Vec::new();
        while let Some(first) = rest.first() {
            let len = self.train(rest);
            let (train, after) = rest.split_at(len);
            rest = after;
            contents.clear();
            train.iter().for_each(|datagram| contents.extend_from_slice(&datagram.bytes));
            let transmit = Transmit {
                destination: first.remote,
                ecn: None,
                contents: &contents,
                segment_size: (len > 1).then_some(first.bytes.len()),
                src_ip: self.address.ip().is_unspecified().then_some(first.local.ip()),
            };
            let send = || self.state.send((&self.socket).into(), &transmit);
            if let Err(error) = self.socket.async_io(Interest::WRITABLE, send).await {
                tracing::debug!(%error, to = %first.remote, "a datagram is not sent");
            }
        }
    }

    /// Moves what arrives into `queue`, until the socket breaks. What finds no room is lost, as on any way.
    pub(super) async fn pump(&self, queue: mpsc::Sender<Datagram>) {
        let (mut buffer, mut arrived) = (BytesMut::new(), Vec::new());
        while self.receive(&mut buffer, &mut arrived).await.is_ok() {
            for datagram in arrived.drain(..) {
                let _ = queue.try_send(datagram);
            }
        }
    }

    /// How many go as one: to the same place, of the same length but for a shorter last one.
    fn train(&self, datagrams: &[Datagram]) -> usize {
        let most = self.state.max_gso_segments();
        let Some(first) = datagrams.first() else { return 0 };
        let len = first.bytes.len();
        let same = |datagram: &&Datagram| {
            datagram.remote == first.remote && datagram.local == first.local && datagram.bytes.len() == len
        };
        let most = most.min(SEND_BYTES / len.max(1)).max(1);
        let equal = datagrams.iter().take(most).take_while(same).count();
        match datagrams.get(equal) {
            Some(last)
                if equal < most
                    && last.remote == first.remote
                    && last.local == first.local
                    && last.bytes.len() < len =>
            {
                equal + 1
            }
            _ => equal,
        }
    }

    /// Waits for datagrams.
    pub(super) async fn receive(&self, buffer: &mut BytesMut, into: &mut Vec<Datagram>) -> io::Result<()> {
        buffer.resize(RECEIVE_BYTES, 0);
        let mut meta = [RecvMeta::default()];
        let mut receive =
            || self.state.recv((&self.socket).into(), &mut [IoSliceMut::new(buffer)], &mut meta);
        while self.socket.async_io(Interest::READABLE, &mut receive).await? == 0 {}
        let [meta] = meta;
        let local = SocketAddr::new(meta.dst_ip.unwrap_or(self.address.ip()), self.address.port());
        let mut bytes: Bytes = Bytes::copy_from_slice(&buffer[..meta.len]);
        while !bytes.is_empty() {
            let datagram = bytes.split_to(meta.stride.clamp(1, bytes.len()));
            into.push(Datagram { remote: meta.addr, local, bytes: datagram });
        }
        Ok(())
    }
}

/// The sockets of one connection, one of a family.
#[derive(Clone, Debug)]
pub(super) struct Sockets(pub(super) Vec<Arc<Socket>>);

impl Sockets {
    /// As [`Socket::send`], each datagram from where it says.
    pub(super) async fn send(&self, datagrams: &[Datagram]) {
        let family = |datagram: &Datagram| datagram.local.is_ipv4();
        for run in datagrams.chunk_by(|a, b| family(a) == family(b)) {
            let socket = self.0.iter().find(|socket| socket.address().is_ipv4() == family(&run[0]));
            if let Some(socket) = socket {
                socket.send(run).await;
            }
        }
    }
}
