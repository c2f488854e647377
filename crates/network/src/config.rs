//! Bounds on what peers may make this node hold.

use ledger_core::Lane;

/// One value for each lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PerLane<T> {
    /// For [`Lane::Votes`].
    pub votes: T,
    /// For [`Lane::Payloads`].
    pub payloads: T,
    /// For [`Lane::Gossip`].
    pub gossip: T,
    /// For [`Lane::Sync`].
    pub sync: T,
}

impl<T> PerLane<T> {
    /// The value of `lane`.
    pub fn get(&self, lane: Lane) -> &T {
        match lane {
            Lane::Votes => &self.votes,
            Lane::Payloads => &self.payloads,
            Lane::Gossip => &self.gossip,
            Lane::Sync => &self.sync,
        }
    }

    /// The value of `lane`, to be changed.
    pub fn get_mut(&mut self, lane: Lane) -> &mut T {
        match lane {
            Lane::Votes => &mut self.votes,
            Lane::Payloads => &mut self.payloads,
            Lane::Gossip => &mut self.gossip,
            Lane::Sync => &mut self.sync,
        }
    }

    /// A value for each lane, made by `make`.
    pub fn from_fn(mut make: impl FnMut(Lane) -> T) -> Self {
        Self {
            votes: make(Lane::Votes),
            payloads: make(Lane::Payloads),
            gossip: make(Lane::Gossip),
            sync: make(Lane::Sync),
        }
    }
}

/// What one lane may hold for one peer, in each direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaneLimits {
    /// The longest frame, in bytes of message.
    pub frame_bytes: usize,
    /// How many frames a queue holds.
    pub queue_frames: usize,
    /// How many bytes a queue holds; each frame counts [`FRAME_OVERHEAD`] more than it has.
    pub queue_bytes: usize,
}

/// What a queued frame counts beyond its bytes, so that a queue of empty frames is bounded too.
pub const FRAME_OVERHEAD: usize = 64;

/// What an answer in [`Lane::Sync`] may take, however small blocks are.
const SYNC_BYTES: usize = 4 << 20;

/// The bounds that every transport keeps. [`NetworkConfig::bytes_per_peer`] is what they add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkConfig {
    /// Each lane's frame length and queues. Queues of messages that came in are per chain and peer.
    ///
    /// | lane | frame | queue, frames | queue, bytes |
    /// |---|---|---|---|
    /// | votes | 1 MiB | 4,096 | 8 MiB |
    /// | payloads | 64 MiB + 64 KiB | 64 | 66 MiB |
    /// | gossip | 4 MiB | 16,384 | 16 MiB |
    /// | sync | 64 MiB + 64 KiB | 64 | 66 MiB |
    pub lanes: PerLane<LaneLimits>,
    /// How many chains' incoming queues one peer may fill to the brim, each lane by itself: what it may fill over all
    /// chains is so many times `queue_bytes`. A chain that reads nothing then can't take a peer's whole share. Default 2.
    pub full_chains_per_peer: usize,
    /// How many chains a peer may take part in over one connection; each costs some 100 bytes. Default 16,384.
    pub chains_per_peer: usize,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self::for_blocks(64 << 20)
    }
}

impl NetworkConfig {
    /// The default bounds for chains whose encoded blocks have at most `block_bytes`: the frames of payloads are 64 KiB
    /// longer than that, those of sync too, but never shorter than 4 MiB and 64 KiB, since they carry several blocks at once,
    /// or a part of a snapshot. Their queues hold one of these and 2 MiB besides.
    pub fn for_blocks(block_bytes: usize) -> Self {
        let frames_of = |bytes: usize| LaneLimits {
            frame_bytes: bytes.saturating_add(64 << 10),
            queue_frames: 64,
            queue_bytes: bytes.saturating_add(2 << 20),
        };
        Self {
            lanes: PerLane {
                votes: LaneLimits { frame_bytes: 1 << 20, queue_frames: 4_096, queue_bytes: 8 << 20 },
                payloads: frames_of(block_bytes),
                gossip: LaneLimits { frame_bytes: 4 << 20, queue_frames: 16_384, queue_bytes: 16 << 20 },
                sync: frames_of(block_bytes.max(SYNC_BYTES)),
            },
            full_chains_per_peer: 2,
            chains_per_peer: 16_384,
        }
    }

    /// Whether the bounds go together.
    ///
    /// # Errors
    /// [`ConfigError`] names the bound that doesn't.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for lane in Lane::ALL {
            let limits = self.lanes.get(lane);
            if limits.frame_bytes > u32::MAX as usize {
                return Err(ConfigError::FrameTooLong { lane, frame_bytes: limits.frame_bytes });
            }
            if limits.queue_frames == 0 || limits.queue_bytes < limits.frame_bytes.saturating_add(FRAME_OVERHEAD) {
                return Err(ConfigError::QueueTooShort { lane, limits: *limits });
            }
        }
        if self.full_chains_per_peer == 0 {
            return Err(ConfigError::Zero { name: "full_chains_per_peer" });
        }
        if self.chains_per_peer == 0 {
            return Err(ConfigError::Zero { name: "chains_per_peer" });
        }
        Ok(())
    }

    /// The most bytes that one peer can make this node hold in queues and half-read frames, whatever it does: for each
    /// lane one outgoing queue and a frame that is being written, `full_chains_per_peer` incoming queues, and a frame that
    /// is being read (twice, since it is copied once it is whole).
    pub fn bytes_per_peer(&self) -> usize {
        Lane::ALL.into_iter().fold(0_usize, |sum, lane| {
            let limits = self.lanes.get(lane);
            sum.saturating_add(limits.queue_bytes.saturating_mul(self.full_chains_per_peer.saturating_add(1)))
                .saturating_add(limits.frame_bytes.saturating_mul(3))
        })
    }
}

/// Why bounds don't go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A frame's length has to fit into 4 bytes.
    #[error("frames of {frame_bytes} bytes in lane {lane}; the format ends at 4,294,967,295")]
    FrameTooLong {
        /// The lane.
        lane: Lane,
        /// Its frame length.
        frame_bytes: usize,
    },
    /// A queue that can't hold its lane's longest frame.
    #[error(
        "lane {lane} queues {} frames of together {} bytes, too few for one frame of {} bytes",
        limits.queue_frames, limits.queue_bytes, limits.frame_bytes
    )]
    QueueTooShort {
        /// The lane.
        lane: Lane,
        /// Its limits.
        limits: LaneLimits,
    },
    /// A connection that would be lost before it is kept alive.
    #[error("keep-alive after {keep_alive:?}, but connections are lost after {idle_timeout:?}")]
    KeepAlive {
        /// When a packet is sent.
        keep_alive: std::time::Duration,
        /// When the connection is lost.
        idle_timeout: std::time::Duration,
    },
    /// A bound that can't be zero.
    #[error("`{name}` is 0")]
    Zero {
        /// Which.
        name: &'static str,
    },
}
