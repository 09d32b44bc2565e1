use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

const WITHIN: Duration = Duration::from_millis(20);

/// What a reader gets of a peer that sends this, and one byte more after the time is over.
async fn read_after(sent: &[u8]) -> io::Result<u8> {
    let (mut peer, ours) = duplex(64);
    let mut stream = FirstBytes::new(ours, WITHIN);
    peer.write_all(sent).await.unwrap();
    let mut read = vec![0; sent.len()];
    stream.read_exact(&mut read).await.unwrap();
    assert_eq!(read, sent);
    let late = async {
        // Later than the reader's time, which began earlier.
        sleep(WITHIN * 2).await;
        peer.write_all(b"x").await.unwrap();
    };
    let (next, ()) = tokio::join!(stream.read_u8(), late);
    next
}

#[tokio::test]
async fn a_peer_that_does_not_say_what_it_speaks_is_not_waited_for() {
    for sent in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
        let read = read_after(sent).await.unwrap_err();
        assert_eq!(read.kind(), io::ErrorKind::TimedOut, "{sent:?}");
    }
}

#[tokio::test]
async fn a_peer_that_has_said_it_is_left_to_the_rules_of_its_version() {
    for sent in [&b"G"[..], b"PUT", PREFACE, b"\r\n"] {
        assert_eq!(read_after(sent).await.unwrap(), b'x', "{sent:?}");
    }
}
