//! Ports that nobody else takes between choosing and binding.

use std::{
    fs::File,
    net::{Ipv4Addr, Ipv6Addr, TcpListener},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, bail};

/// A port of both loopbacks, ours as long as this value lives.
///
/// It lies below the ranges that systems take outgoing ports from, and a lock file keeps other
/// test processes away from it: a server may be stopped and started at it again.
#[derive(Debug)]
pub struct Port {
    number: u16,
    _lock: File,
}

const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

static NEXT: AtomicU32 = AtomicU32::new(0);

// === impl Port ===

impl Port {
    /// A free port.
    ///
    /// # Errors
    /// If there is none.
    pub fn reserve() -> Result<Self> {
        let directory = std::env::temp_dir().join("mcp-auth-proxy-test-ports");
        std::fs::create_dir_all(&directory)?;
        let start = std::process::id().wrapping_mul(37);
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = u16::try_from(FIRST + start.wrapping_add(step) % COUNT)?;
            let lock = File::create(directory.join(number.to_string()))?;
            if lock.try_lock().is_ok() && is_free(number) {
                return Ok(Self {
                    number,
                    _lock: lock,
                });
            }
        }
        bail!("no port is free")
    }

    /// Its number.
    pub const fn number(&self) -> u16 {
        self.number
    }
}

fn is_free(number: u16) -> bool {
    let on_v4 = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
    // A machine without IPv6 has no one there who could hold it.
    let on_v6 = TcpListener::bind((Ipv6Addr::LOCALHOST, number)).map_or_else(
        |error| error.kind() != std::io::ErrorKind::AddrInUse,
        |_| true,
    );
    on_v4 && on_v6
}
