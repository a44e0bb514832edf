//! The UDP socket, with buffers large enough that the kernel drops less than the network.

use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{SocketAddr, UdpSocket};

/// What the system granted of the buffers that were asked for. Too little looks like loss on fast links; on Linux
/// `net.core.rmem_max` and `net.core.wmem_max` are the bounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SocketBuffers {
    /// Bytes asked for, in each direction.
    pub asked: u32,
    /// Bytes granted for receiving. Linux counts its own overhead in and says up to twice what was asked for.
    pub receive: usize,
    /// Bytes granted for sending.
    pub send: usize,
}

/// Binds an address. `[::]` takes IPv4 too.
pub(crate) fn bind(address: SocketAddr, asked: u32) -> io::Result<(UdpSocket, SocketBuffers)> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    // Less than asked for is a figure and no error: a link works with any buffer.
    let _ = socket.set_recv_buffer_size(asked as usize);
    let _ = socket.set_send_buffer_size(asked as usize);
    let granted = SocketBuffers {
        asked,
        receive: socket.recv_buffer_size().unwrap_or(0),
        send: socket.send_buffer_size().unwrap_or(0),
    };
    socket.bind(&address.into())?;
    Ok((socket.into(), granted))
}
