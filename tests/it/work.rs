//! Workers as real processes with a real Redis and a small network of random weights: killed, stopped, cut off, invited from elsewhere.

mod deaths;
mod invited;
mod mounted;
mod outages;
mod stopped;
mod tools;
