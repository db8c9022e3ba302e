//! The networks against numbers of their reference implementations, and on real photographs where weights are at hand.

mod embed;
mod sam;
mod weights;
mod yolo;
