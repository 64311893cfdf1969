//! Ports that nobody else can take, for a server that cannot take a free one by itself or leaves its own for a while.

use std::io;
use std::net::{IpAddr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};

/// A port of our own at `address`, for as long as the socket lives: bound, and never listening, so that a connection is refused
/// while nobody else listens there. Both sides set SO_REUSEADDR: then a server may listen at it as long as no other does.
pub(crate) fn reserve(address: IpAddr) -> io::Result<(Socket, SocketAddr)> {
    let address = SocketAddr::new(address, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    let address =
        socket.local_addr()?.as_socket().ok_or_else(|| io::Error::other("not an Internet address"))?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn a_reserved_port_refuses_until_somebody_listens_there_and_again_afterwards() {
        let (_reserved, address) = reserve(Ipv4Addr::LOCALHOST.into()).unwrap();
        for _ in 0..3 {
            assert_eq!(TcpStream::connect(address).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
            // std sets SO_REUSEADDR, as a backend does.
            let listener = TcpListener::bind(address).unwrap();
            TcpStream::connect(address).unwrap();
            drop(listener);
        }
    }
}
